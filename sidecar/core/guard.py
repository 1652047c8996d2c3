"""Guards: what must hold for a call to go that is no room at a place, and what its outcome makes hold for others.

A place (a lock, a cap, a rate) says how many may go, and whoever is refused there stands in line.  A guard says what
must have happened before, or must not have; nobody hands it on, so nobody stands in line at it.  The store judges
guards in the same step as the places, in the order they are given, and again whenever the call would get its grant.

Names are not escaped yet; the keyspace does that.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol, TypeAlias

from sidecar.core.view import View


class Observe(NamedTuple):
    """The call reads an entity; once it completed, its run has seen what there was when the call went."""

    entity: str


class Fresh(NamedTuple):
    """No other run changed the entity since this run last read it."""

    entity: str


class Budget(NamedTuple):
    """What the call takes of a sum leaves it at most ``limit``, in any stretch of ``window_ms``."""

    title: str
    """As people named it."""
    name: str
    """With its tool and whom it is for."""
    amount: int
    """Of the smallest unit, like the limit; from 1 to 2^53 - 1."""
    limit: int
    window_ms: int
    decimals: int
    """How many of an amount's last digits stand behind the point, where people read it."""


class Order(NamedTuple):
    """The entity is in a state that is required, and once the call is done it is in the one that this sets."""

    entity: str
    requires: tuple[str, ...]
    """Any of them; empty: whatever it is in."""
    max_age_ms: int
    """How long ago it may have come into that state; zero: any time."""
    wait_ms: int
    """For a step that is on its way."""
    sets: str
    """Empty: none."""
    retention_ms: int
    """How long what it sets is remembered."""
    unseen: str
    """What an entity counts for that nobody has seen: ``refuse``, ``allow``, ``probe``, or ``as STATE``."""
    steps: tuple[str, ...]
    """Routes that set a required state, for who is refused."""


class Hold(NamedTuple):
    """The call's run holds the entity's lock with it, and keeps it when the call has ended."""

    entity: str
    idle_ms: int
    """How long it keeps it while it calls nobody."""


class EndRun(NamedTuple):
    """The call is its run's last: once it is settled the run holds nothing more."""


class Approval(NamedTuple):
    """People agreed to exactly this request, and it was not done on the strength of that yet.  Always the last guard:
    nobody is asked about a call that could not go anyway.
    """

    name: str
    """The tool and the route."""
    request: str
    """Digest of all but the intent, which the store adds."""
    hold_ms: int
    ttl_ms: int
    """Zero: nobody is asked."""
    approvers: int
    tenant: str
    run: str
    """The run within its tenant; empty where nobody says."""
    per_run: int
    per_tenant: int
    """Questions of theirs that may be open at once."""
    effect: bool
    """A completed call that changed nothing was not applied: the approval is as good as before."""
    announced: bool
    seen: str
    """What a person sees of it, as JSON."""


Guard: TypeAlias = Observe | Fresh | Hold | EndRun | Order | Budget | Approval


class GuardSpec(Protocol):
    """What a route says of a guard."""

    @property
    def reads_body(self) -> bool:
        """It looks into the body."""
        ...

    def of(self, view: View) -> Iterable[Guard]:
        """The guards of one call.  Raises Refusal ``key-underivable``."""
        ...
