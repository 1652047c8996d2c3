"""Order: the states that entities go through, what a call requires of one, and what it makes of it.

An entity is named ``KIND:ID``, like a lock.  What the states of a kind are, and which may follow which, is said once
for all routes (``Machine``); a kind of which nobody says so has the states that routes name.  A route says what it
requires, which is judged where its call is granted, and what it sets, which is true once its call is done.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from sidecar.core.call import Headers
from sidecar.core.condition import CALL_NAMES, Condition
from sidecar.core.content import Content, Unreadable
from sidecar.core.guard import GuardSpec, Order
from sidecar.core.template import Template
from sidecar.core.view import View

DEFAULT_RETENTION_MS: Final = 30 * 24 * 3_600_000
"""How long a state is remembered where nobody says otherwise."""

LOOK_NAMES: Final = CALL_NAMES | {"answer"}
"""What the expression that reads a state may name."""

LONGEST_STATE: Final = 64

Unseen: TypeAlias = Literal["refuse", "allow", "initial", "probe"]


@dataclass(frozen=True, slots=True)
class Machine:
    """The states of one kind of entity."""

    entity: str
    """The kind."""
    states: tuple[str, ...]
    initial: str
    """That of an entity that nobody has seen."""
    transitions: Mapping[str, tuple[str, ...]]
    """From each state that may be left to those that may follow it."""
    retention_ms: int = DEFAULT_RETENTION_MS

    def before(self, state: str) -> tuple[str, ...]:
        """The states that ``state`` may follow."""
        return tuple(known for known in self.states if state in self.transitions.get(known, ()))

    @property
    def reached(self) -> set[str]:
        """The states that an entity can come to be in."""
        found, edge = {self.initial}, [self.initial]
        while edge:
            news = set(self.transitions.get(edge.pop(), ())) - found
            found |= news
            edge += news
        return found


@dataclass(frozen=True, slots=True)
class Look:
    """How the tool is asked which state an entity is in."""

    path: Template
    """The target of a GET, with its query."""
    state: Condition
    """An expression whose value is the state."""
    known: frozenset[str]
    """States that it may come to; empty: any name."""
    ttl_ms: int
    """How long what it found counts."""
    timeout_ms: int

    @property
    def reads_body(self) -> bool:
        """It looks into the call's body."""
        return self.path.reads_body or self.state.reads_body

    def found(self, view: View, status: int, headers: Headers, body: bytes) -> str:
        """The state that an answer tells; empty where it tells none."""
        if not 200 <= status < 300:
            return ""
        answer: dict[str, object] = {"status": status, "headers": _fields(headers)}
        try:
            answer["body"] = Content(body, headers).fields
            state = self.state.value(lambda name: answer if name == "answer" else view.read(name))
        except (Unreadable, ValueError):
            return ""
        if not isinstance(state, str) or not 0 < len(state) <= LONGEST_STATE:
            return ""
        return state if not self.known or state in self.known else ""


def _fields(headers: Headers) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.first.items()}


@dataclass(frozen=True, slots=True)
class OrderSpec:
    """One route's order on one entity, or on each of several."""

    entity: Template
    requires: tuple[str, ...]
    """Any of them; empty: whatever it is in."""
    sets: str
    """Empty: none."""
    max_age_ms: int
    """How long ago it may have come into the state that is required; zero: any time."""
    wait_ms: int
    retention_ms: int
    unseen: Unseen
    initial: str
    """The state that ``unseen: initial`` stands for."""
    look: Look | None
    """Present exactly where ``unseen`` is ``probe``."""
    steps: Mapping[str, Sequence[str]]
    """State to the routes that set it: what a refusal advises."""

    @property
    def reads_body(self) -> bool:
        """It looks into the body."""
        return self.entity.reads_body or (self.look is not None and self.look.reads_body)

    def of(self, view: View) -> list[Order]:
        """One for each entity.  Raises Refusal ``key-underivable``."""
        unseen = f"as {self.initial}" if self.unseen == "initial" else self.unseen
        steps = tuple(route for state in self.requires for route in self.steps.get(state, ()))
        return [
            Order(
                name,
                self.requires,
                self.max_age_ms,
                self.wait_ms,
                self.sets,
                self.retention_ms,
                unseen,
                steps,
            )
            for name in sorted(set(self.entity.names(view)))
        ]


def look_for(guards: Sequence[GuardSpec], view: View, entity: str) -> Look | None:
    """How to ask for an entity of one call; of several at once no request asks."""
    for spec in guards:
        if isinstance(spec, OrderSpec) and spec.look is not None and spec.entity.names(view) == [entity]:
            return spec.look
    return None


def kind_of(entity: str) -> str:
    """The kind that a template for entities, or an entity, begins with."""
    return entity.partition(":")[0].strip()
