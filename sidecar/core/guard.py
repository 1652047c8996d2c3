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


class Hold(NamedTuple):
    """The call's run holds the entity's lock with it, and keeps it when the call has ended."""

    entity: str
    idle_ms: int
    """How long it keeps it while it calls nobody."""


class EndRun(NamedTuple):
    """The call is its run's last: once it is settled the run holds nothing more."""


Guard: TypeAlias = Observe | Fresh | Hold | EndRun


class GuardSpec(Protocol):
    """What a route says of a guard."""

    @property
    def reads_body(self) -> bool:
        """It looks into the body."""
        ...

    def of(self, view: View) -> Iterable[Guard]:
        """The guards of one call.  Raises Refusal ``key-underivable``."""
        ...
