"""The claim: everything the gate must know about a call, and nothing about HTTP.

All names are already safe to store: intent keys are hashes, lock and cap names are text that the keyspace escapes.
Times are milliseconds and relative; only the store's clock turns them into instants.

All of it is named tuples: frozen, cheap to make anew for each call, and cheap to look up by.
"""

from typing import Literal, NamedTuple

from sidecar.core.call import Answer
from sidecar.core.guard import Guard


class Intent(NamedTuple):
    """What makes two calls the same."""

    key: str
    """Hex digest over tool, scope, credential and the rendered key.  Never text from the call."""
    fingerprint: str
    """Digest of the whole request where the caller chose the key; empty for a derived key, which *is* the request."""
    until: Literal["change", "window"]
    """``change``: replayed while no later write touched its entities.  ``window``: for the whole window."""
    window_ms: int
    """How long a completed twin is a duplicate."""
    resend: bool
    """An unknown outcome may be run again: the upstream honours our key, or the method replaces a state."""
    resend_ms: int
    """How long after the first attempt ``resend`` holds (the upstream key's retention).  Zero: while unchanged."""


class Min(NamedTuple):
    """Slots of a cap that are kept for whoever holds ``name``, a cap of its own."""

    name: str
    slots: int
    lent: bool
    """Others may have them while nobody of ``name`` waits."""


class Cap(NamedTuple):
    """At most ``limit`` leases hold ``name`` at once, across the fleet."""

    name: str
    limit: int
    mins: tuple[Min, ...] = ()


class AutoCap(NamedTuple):
    """A cap that finds its own limit by what the upstream takes well."""

    name: str
    least: int
    most: int


class Rate(NamedTuple):
    """At most ``most`` tokens of ``name`` are taken in any ``period_ms``, across the fleet."""

    name: str
    most: int
    period_ms: int
    cost: int = 1
    """Tokens that this call takes."""


class Flow(NamedTuple):
    """Whose turn a call counts as, and how deep its line may grow."""

    tenant: str
    priority: str
    tenant_weight: int = 1
    priority_weight: int = 1
    tenant_queue: int = 100
    total_queue: int = 10_000


class Claim(NamedTuple):
    """What one call asks of the gate."""

    call: str
    """The call's id: the owner of whatever is granted."""
    tool: str
    route: str
    lane: str
    workflow: str
    run: str
    flow: Flow
    intent: Intent | None = None
    locks: tuple[str, ...] = ()
    """Entities, sorted and without repeats; all of them or none are granted."""
    caps: tuple[Cap | AutoCap, ...] = ()
    """In canonical order, the narrowest first: tool and lane, run, workflow, tenant, lane, global; only the first may
    find its own limit."""
    wait_ms: int = 0
    """How long the caller will wait for a grant or for a running twin."""
    timeout_ms: int = 30_000
    """The call's hard limit once granted: by then its request is over."""
    quarantine: Literal["deadline", "resolved"] = "deadline"
    """How long an unknown outcome keeps the locks."""
    store_down: Literal["allow", "refuse"] = "refuse"
    durable: bool = False
    """Wait for the replicas' acknowledgement before the first byte."""
    rates: tuple[Rate, ...] = ()
    """In canonical order: tenant, tool, route."""
    guards: tuple[Guard, ...] = ()
    """What must hold beside room at the places; judged in this order."""

    @property
    def empty(self) -> bool:
        """Nothing to ask: the call never touches the store."""
        return self.intent is None and not self.locks and not self.caps and not self.rates and not self.guards


class Replay(NamedTuple):
    """What the gate answers where somebody already did this."""

    answer: Answer
    joined: bool
    """The caller waited for a running twin, rather than finding a stored answer."""
    wait_ms: int
