"""Everything that a configuration folder says, ready to run.  Built whole or not at all, and never changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sidecar.core.fleet import Fleet
from sidecar.core.identity import Identities
from sidecar.core.problems import Problem
from sidecar.core.route import Lane
from sidecar.core.table import Site, Table
from sidecar.core.units import Network

Address = tuple[str, int]
"""Host and port; port 0 lets the system choose."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where this process listens.  Read once: a change needs a restart."""

    proxy: Address
    admin: Address
    transparent: int = 0
    """Port on loopback for connections that ``sidecar redirect`` sends here; 0: none."""


@dataclass(frozen=True, slots=True)
class Store:
    """Which store the fleet shares.  Read once: a change needs a restart."""

    url: str
    """``embedded``, or ``redis://``, ``rediss://``, ``unix://``; may hold a password, so it is never logged."""
    namespace: str
    state: str
    """Folder of the embedded store."""
    lease_ms: int
    allow_eviction: bool


@dataclass(frozen=True, slots=True)
class Egress:
    """Where calls may go."""

    unmatched: Literal["tunnel", "deny"]
    deny: frozenset[str]
    """``metadata``, ``private``."""
    allow: tuple[Network, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what an agent may send."""

    header_bytes: int
    body_bytes: int
    connections: int


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the wire waits."""

    connect_ms: int
    idle_ms: int


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths of certificates."""

    ca_cert: str = ""
    """The authority that interception signs with; empty: it is ephemeral, or there is none."""
    ca_key: str = ""
    upstream_ca: str = ""
    """What upstreams are verified against; empty: the system's authorities."""
    ephemeral: bool = False
    """The authority is made at start, and its key is nowhere but in this process."""
    share: str = ""
    """A folder that agents see too, for the certificates that they need; empty: none."""

    @property
    def intercepts(self) -> bool:
        """There is an authority to intercept with."""
        return self.ephemeral or bool(self.ca_cert)


@dataclass(frozen=True, slots=True)
class Log:
    """What is written where."""

    level: Literal["debug", "info", "warning", "error"]
    decisions: str
    """``stdout``, ``stderr``, ``off``, or the path of a file."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Who is told that somebody is asked to approve a call."""

    url: str
    secret: str


@dataclass(frozen=True, slots=True)
class Approvals:
    """Who decides, and how many questions may be open at once."""

    approvers: Mapping[str, bytes] = field(default_factory=dict)
    """Name to SHA-256 of the token; empty: whoever has the admin token."""
    webhook: Webhook | None = None
    per_run: int = 5
    per_tenant: int = 50


@dataclass(frozen=True, slots=True)
class Process:
    """What ``sidecar.yaml`` says."""

    listen: Listen
    store: Store
    identity: Identities
    fleet: Fleet
    lanes: Mapping[str, Lane]
    egress: Egress
    limits: Limits
    timeouts: Timeouts
    log: Log
    tls: Tls
    mode: Literal["enforce", "observe"]
    """As it is written there; each route knows its own."""
    drain_ms: int
    approvals: Approvals = Approvals()


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration that was found good."""

    folder: str
    process: Process
    sites: tuple[Site, ...]
    """The tools with their routes, in order of their files' names."""
    table: Table
    """The same, ready to be asked."""
    identity: Identities
    """The process's, at hand for every call."""
    digest: str
    """Of the files' content, without the environment: tells two configurations apart, and no secret."""
    written: Mapping[str, object]
    """File name to what it says, with values from the environment and secrets left out."""
    warnings: tuple[Problem, ...] = ()
