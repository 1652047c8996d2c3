"""Order on the real scripts against a model that knows every attempt, on random histories of two invoices.

The model keeps, for each entity, the state it was set to and the one step that is not known to be over; it is asked
before the scripts are, and must have said the same.  What it must never allow is an invariant of its own: two steps of
one entity in flight together, and a step from a state that the entity was not in.
"""

from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sidecar.core.claim import Claim
from sidecar.core.guard import Order
from sidecar.gate.gate import UNKNOWN_MS
from tests.gate.scripts import LEASE_MS, Scripts
from tests.gate.steps import HOUR_MS, step
from tests.servers import Server

MAX_AGE_MS, RETENTION_MS, TIMEOUT_MS = 20_000, 2 * HOUR_MS, 30_500
STEPS = {"validate": ("", "validated"), "pay": ("validated", "paid"), "void": ("validated paid", "void")}
"""What each kind of step requires, and what it sets; none of them is a twin of another."""
UNSEEN = st.sampled_from(["refuse", "allow", "as validated"])


@dataclass(frozen=True)
class Attempt:
    """A step that is on its way, or of which nobody knows whether it took effect."""

    call: str
    sets: str
    intent: str
    over: int
    ends: int
    running: bool = True
    before: "Attempt | None" = None
    """What it went over, or repeats."""


@dataclass
class Entity:
    """One invoice."""

    state: str = ""
    at: int = 0
    attempt: Attempt | None = None


@dataclass
class Flight:
    """What the scripts were asked for and granted."""

    claim: Claim
    fence: int
    deadline: int
    lapses: int
    prior: Attempt | None
    lapsed: bool = False


@dataclass
class Model:
    """What must be true."""

    now: int
    entities: dict[str, Entity] = field(default_factory=dict)

    def entity(self, name: str) -> Entity:
        it = self.entities.setdefault(name, Entity())
        if it.state and self.now >= it.at + RETENTION_MS:
            it.state = ""
        if it.attempt and not it.attempt.running and self.now >= it.attempt.ends:
            it.attempt = None
        if it.attempt and it.attempt.before and self.now >= it.attempt.before.ends:
            it.attempt = replace(it.attempt, before=None)
        return it

    def refuses(self, order: Order, intent: str) -> str:
        """The word that a step is refused with; empty where it goes."""
        it = self.entity(order.entity)
        other = it.attempt if it.attempt and it.attempt.intent != intent else None
        if other and other.running:
            return "running"
        if other and (order.requires or self.now < other.over):
            return "unknown"
        if not order.requires:
            return ""
        state, age = it.state, self.now - it.at
        if not state:
            if order.unseen in ("refuse", "allow"):
                return "" if order.unseen == "allow" else "unseen"
            state, age = order.unseen.removeprefix("as "), 0
        if state not in order.requires:
            return "missing"
        return "stale" if age > MAX_AGE_MS else ""


class Machine(RuleBasedStateMachine):
    """Callers that take steps, repeat them, die and come back, while time passes."""

    server: Server

    def __init__(self) -> None:
        super().__init__()
        self.lua = Scripts(self.server)
        self.lua.client.flushall()
        self.model = Model(self.lua.now)
        self.count = 0
        self.unknown: dict[str, Attempt] = {}
        """Intent to its unknown attempt, as long as its record lasts."""
        self.running: dict[str, Flight] = {}

    def teardown(self) -> None:
        self.lua.client.close()

    @rule(
        kind=st.sampled_from(["validate", "validate", "pay", "void"]),
        entity=st.sampled_from(["invoice:1", "invoice:1", "invoice:1", "invoice:2"]),
        again=st.booleans(),
        unseen=UNSEEN,
    )
    def come(self, kind: str, entity: str, again: bool, unseen: str) -> None:
        self.count += 1
        call = f"c{self.count:03}"
        requires, sets = STEPS[kind]
        wanted = f"{kind} {entity}"
        repeats = [intent for intent in self.unknown if intent.startswith(wanted)] if again else []
        intent = repeats[0] if repeats else f"{wanted} {call}"
        claim = step(
            *(call, requires, sets, intent),
            entity=entity,
            unseen=unseen,
            max_age_ms=MAX_AGE_MS,
            retention_ms=RETENTION_MS,
            resend=True,
            resend_ms=1000 * UNKNOWN_MS,  # as long as the record lasts, however often it is repeated
        )
        order = claim.guards[0]
        assert isinstance(order, Order)
        word = self.model.refuses(order, intent)
        reply = self.lua.admit(claim, "now")
        if word:
            assert (reply[0], reply[3]) == ("guarded", word)
            return
        assert reply[0] == "granted"
        now = self.model.now
        flight = Flight(claim, reply[1], now + TIMEOUT_MS, now + LEASE_MS, self.unknown.pop(intent, None))
        self.running[call] = flight
        over = now + TIMEOUT_MS
        it = self.model.entity(entity)
        before = replace(it.attempt, before=None) if it.attempt else None
        it.attempt = Attempt(call, sets, intent, over, over + UNKNOWN_MS, before=before)

    @precondition(lambda self: self.running)
    @rule(
        nth=st.integers(0, 2),
        ending=st.sampled_from(["answer", "answer", "answer", "free", "not_sent", "unknown", "unknown"]),
        status=st.sampled_from([200, 200, 303, 404]),
        over=st.booleans(),
    )
    def settle(self, nth: int, ending: str, status: int, over: bool) -> None:
        flight = self.running.pop(self._call(nth))
        call = flight.claim.call
        status = 429 if ending == "free" else status
        note = "timeout" if ending == "unknown" else str(status)
        said = self.lua.settle(call, flight.fence, ending, changed=status < 400, over=over, note=note)
        now, intent = self.model.now, self._intent(flight)
        mine = self._mine(flight)
        if flight.lapsed:
            expected = "late" if self._still_its(flight) else ("gone", "lost")
            assert said in expected
            if said != "late":
                return
        self.unknown.pop(intent, None)
        if ending == "unknown":
            left = flight.deadline if not over else now
            self._doubt(flight, left)
        elif ending == "answer" and status < 400:
            if mine:
                order = self._order(flight)
                self.model.entities[order.entity] = Entity(order.sets, now)
        elif ending != "answer" and flight.prior and flight.prior.ends > now:
            self.unknown[intent] = flight.prior
            if mine:
                self._step_back(flight, undone=True)
        elif mine:
            self._step_back(flight, undone=False)

    @precondition(lambda self: any(not flight.lapsed for flight in self.running.values()))
    @rule()
    def leave(self) -> None:
        call = next(call for call, flight in self.running.items() if not flight.lapsed)
        flight = self.running.pop(call)
        assert self.lua.leave(call) == "left"
        prior = flight.prior if flight.prior and flight.prior.ends > self.model.now else None
        if prior:
            self.unknown[self._intent(flight)] = prior
        if self._mine(flight):
            self._step_back(flight, undone=prior is not None)

    @rule(ms=st.sampled_from([100, 5_000, 15_000, 15_000, 31_000, HOUR_MS, 24 * HOUR_MS]))
    def time_passes(self, ms: int) -> None:
        self.model.now += ms
        now = self.model.now
        for flight in self.running.values():
            if not flight.lapsed and flight.lapses <= now:
                flight.lapsed = True
                self._doubt(flight, flight.deadline)
        self.unknown = {intent: attempt for intent, attempt in self.unknown.items() if attempt.ends > now}
        self.lua.advance(ms)

    @invariant()
    def a_step_that_runs_is_the_only_one_of_its_entity(self) -> None:
        live = [self._order(flight).entity for flight in self.running.values() if not flight.lapsed]
        assert len(live) == len(set(live))

    def _call(self, nth: int) -> str:
        """One that was granted and not settled yet, the newest first."""
        calls = sorted(self.running, reverse=True)
        return calls[nth % len(calls)]

    def _doubt(self, flight: Flight, over: int) -> None:
        order, intent, now = self._order(flight), self._intent(flight), self.model.now
        attempt = Attempt(flight.claim.call, order.sets, intent, over, now + UNKNOWN_MS, running=False)
        self.unknown[intent] = attempt
        if self._mine(flight):
            it = self.model.entity(order.entity)
            it.attempt = replace(attempt, before=it.attempt.before if it.attempt else None)

    def _step_back(self, flight: Flight, *, undone: bool) -> None:
        """It came to nothing: what it went over is as unknown as it was, and what it repeats if that was not undone."""
        it = self.model.entity(self._order(flight).entity)
        before = it.attempt.before if it.attempt else None
        it.attempt = before if before and (undone or before.intent != self._intent(flight)) else None

    def _mine(self, flight: Flight) -> bool:
        """The entity's attempt is this one: none went over it since."""
        attempt = self.model.entity(self._order(flight).entity).attempt
        return attempt is not None and attempt.call == flight.claim.call

    def _still_its(self, flight: Flight) -> bool:
        attempt = self.unknown.get(self._intent(flight))
        return attempt is not None and attempt.call == flight.claim.call and self.model.now < flight.deadline

    def _order(self, flight: Flight) -> Order:
        (order,) = flight.claim.guards
        assert isinstance(order, Order)
        return order

    def _intent(self, flight: Flight) -> str:
        assert flight.claim.intent is not None
        return flight.claim.intent.key


def test_order_is_what_the_model_says(shared: Server) -> None:
    machine = type("OnServer", (Machine,), {"server": shared})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            derandomize=True,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
