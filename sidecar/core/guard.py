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


Guard: TypeAlias = Observe | Fresh | Approval


class GuardSpec(Protocol):
    """What a route says of a guard."""

    @property
    def reads_body(self) -> bool:
        """It looks into the body."""
        ...

    def of(self, view: View) -> Iterable[Guard]:
        """The guards of one call.  Raises Refusal ``key-underivable``."""
        ...
