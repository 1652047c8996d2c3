"""What will run: tools, lanes and routes, as ``compile`` builds them from YAML and the hot path reads them.

Everything that can be worked out before a call comes is worked out here, once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Self
from urllib.parse import urlsplit

from sidecar.core.claim import Rate
from sidecar.core.client import Client
from sidecar.core.condition import Condition
from sidecar.core.cost import Cost
from sidecar.core.fleet import Limit, Standing
from sidecar.core.guard import GuardSpec
from sidecar.core.order import OrderSpec
from sidecar.core.outbound import Trust
from sidecar.core.pattern import EVERYTHING, HostPattern, PathPattern
from sidecar.core.probe import ProbeSpec
from sidecar.core.template import Template

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110 section 9.2.1)."""

CHANGING: Final = frozenset({"PUT", "PATCH", "DELETE"})
"""Methods that act against a state: their intents are ``until: change`` unless the route says otherwise."""

DEFAULT_WINDOW_MS: Final = 60_000
"""How long a twin is a duplicate where nobody wrote a key."""

WRITTEN_WINDOW_MS: Final = 600_000
"""The same where the route writes a key and no window: who names an intent means more than one retry loop."""

DEFAULT_RETENTION_MS: Final = 24 * 3_600_000
"""As long as Stripe and Resend remember a key: past it neither side can tell a retry from news."""

DEFAULT_KEEP_BYTES: Final = 256 * 1024
DEFAULT_BODY_LIMIT: Final = 1024 * 1024

NEVER_STORED: Final = frozenset({401, 407, 408, 425, 429})
"""Answers about the attempt rather than the request: the same call may well succeed a moment later."""

DEFAULT_STATUSES: Final = (
    frozenset({*range(200, 300), *range(400, 500)}) - NEVER_STORED - {409, 421, 423, 424}
)
"""2xx and the 4xx that depend on the request alone; a conflict or a foreign lock may pass."""

DEFAULT_CREDENTIALS: Final = ("header:authorization", "header:x-api-key")


@dataclass(frozen=True, slots=True)
class Lane:
    """How calls of one kind wait, and what they count against."""

    name: str
    cap: int | None = None
    """Across the fleet; None: as many as come."""
    wait_ms: int = 0
    store_down: Literal["allow", "refuse"] = "refuse"
    counted: bool = True
    """Its calls count in the global, tenant, workflow and run caps."""
    durable: bool = False


@dataclass(frozen=True, slots=True)
class Base:
    """Where a tool's calls really go: an origin and a path prefix."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    prefix: str = ""
    """Begins with a slash and ends without one, or is empty."""
    authority: bytes = field(init=False, compare=False)
    """As a ``Host`` field says it."""

    def __post_init__(self) -> None:
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == (443 if self.scheme == "https" else 80)
        authority = host if usual else f"{host}:{self.port}"
        object.__setattr__(self, "authority", authority.encode("latin-1"))

    @classmethod
    def parse(cls, url: str) -> Self:
        """``https://api.example.com/v1``.  Raises ValueError that says what is wrong."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise ValueError(f"{url!r} must begin with http:// or https://")
        if not parts.hostname:
            raise ValueError(f"{url!r} names no host")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("an upstream has no user, query or fragment, only scheme, host, port and a path")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
        return cls(scheme, parts.hostname.rstrip("."), port, parts.path.rstrip("/"))


@dataclass(frozen=True, slots=True)
class DownstreamKey:
    """Where an upstream takes an idempotency key, and for how long it honours one."""

    place: Literal["header", "query", "body"]
    name: str
    retention_ms: int = DEFAULT_RETENTION_MS
    max_length: int = 255


@dataclass(frozen=True, slots=True)
class Tool:
    """One upstream API."""

    name: str
    hosts: tuple[HostPattern, ...] = ()
    base: Base | None = None
    """Where its calls go; None: to the host that each call names."""
    timeout_ms: int = 30_000
    connect_timeout_ms: int = 5_000
    trust: Trust | None = None
    """None: as of every other upstream."""
    caps: Mapping[str, Limit] = field(default_factory=dict)
    """Lane name to the most calls in that lane, the whole fleet."""
    rate: tuple[int, int] | None = None
    """The most calls, by their cost, in a period of so many milliseconds, the whole fleet."""
    credentials: tuple[str, ...] = DEFAULT_CREDENTIALS
    """``header:NAME`` or ``query:NAME`` (names in lower case for headers): what tells one account from
    another."""
    downstream: DownstreamKey | None = None
    clients: tuple[Client, ...] = ()
    """How its SDKs are told no; the first that fits."""

    @property
    def rates(self) -> tuple[Rate, ...]:
        """What all its calls count against."""
        return () if self.rate is None else (Rate(f"tool:{self.name}", *self.rate),)

    @property
    def one_place(self) -> bool:
        """All its calls end at one place, so that the host tells no two calls apart."""
        return self.base is not None or (len(self.hosts) == 1 and not self.hosts[0].wildcard)


@dataclass(frozen=True, slots=True)
class IntentSpec:
    """How a route tells twins from news."""

    key: Template | None = None
    """None: method, path, query and canonical body."""
    explicit: Literal["trust", "ignore", "require"] = "trust"
    """What the caller's own ``Idempotency-Key`` counts for."""
    scope: Literal["tenant", "workflow", "run"] = "tenant"
    until: Literal["change", "window"] | None = None
    """None: ``change`` for PUT, PATCH and DELETE, else ``window``."""
    window_ms: int = DEFAULT_WINDOW_MS
    group: str = ""
    """Routes of one group and tool share their intents: the same key by another door is a twin."""


@dataclass(frozen=True, slots=True)
class StoreSpec:
    """What is kept of an answer."""

    statuses: frozenset[int] = DEFAULT_STATUSES
    keep_bytes: int = DEFAULT_KEEP_BYTES
    retention_ms: int = DEFAULT_RETENTION_MS
    """How long the answer to an explicit key, and an unknown outcome, are remembered."""


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """What is asked of the gate for the calls it names."""

    tool: Tool
    name: str
    lane: Lane
    standing: Standing
    """The caps, the rates and the flow of whoever calls: see ``Fleet.standing``."""
    methods: frozenset[str] = frozenset()
    """Upper case; empty: every method."""
    path: PathPattern = EVERYTHING
    when: Condition | None = None
    locks: tuple[Template, ...] = ()
    cost: Cost | None = None
    """What a call takes of each rate; None: one token."""
    intent: IntentSpec | None = None
    guards: tuple[GuardSpec, ...] = ()
    """What must hold beside room at the places."""
    store: StoreSpec = StoreSpec()
    resolve: Literal["hold", "resend", "probe"] | None = None
    """What an unknown outcome allows; None: ``resend`` where the upstream honours our key or the method
    replaces."""
    probe: ProbeSpec | None = None
    """How the upstream is asked what became of an attempt; present exactly where ``resolve`` is ``probe``."""
    partial: Condition | None = None
    """Which answers mean that a batch was done in part; None: those with status 207."""
    quarantine: Literal["deadline", "resolved"] = "deadline"
    observe: bool = False
    """Decide and tell, never refuse or delay."""
    body_limit: int = DEFAULT_BODY_LIMIT
    """Bytes of body it will look into; past it the call is refused."""
    reads_body: bool = field(init=False)
    """Something here looks into the body: a condition, a lock, the cost, a guard, the probe, the intent or the
    downstream key."""

    asks: bool = field(init=False)
    """Its tool may have to be asked: what became of an attempt, or which state an entity is in."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "reads_body", self._looks_inside())
        looks = any(isinstance(guard, OrderSpec) and guard.look for guard in self.guards)
        object.__setattr__(self, "asks", looks or self.probe is not None)

    def _looks_inside(self) -> bool:
        if self.when is not None and self.when.reads_body:
            return True
        if any(lock.reads_body for lock in self.locks):
            return True
        if self.cost is not None and self.cost.reads_body:
            return True
        if any(guard.reads_body for guard in self.guards):
            return True
        if self.probe is not None and self.probe.reads_body:
            return True
        if self.partial is not None and self.partial.reads_body:
            return True
        if self.intent is None:
            return False
        downstream = self.tool.downstream
        return (
            self.intent.key is None
            or self.intent.key.reads_body
            or self.intent.explicit != "ignore"  # the fingerprint of an explicit key covers the body
            or (downstream is not None and downstream.place == "body")
        )
