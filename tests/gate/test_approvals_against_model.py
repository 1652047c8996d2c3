"""Approvals as the scripts do them, against a small pure model, through histories that chance makes up.

The model knows one thing that the store does not: how often each request was let through on the strength of what.
"""

from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.gate.people import TTL_MS, asking, decide, questions
from tests.gate.scripts import START_MS, Scripts

REQUESTS = ("refund 1", "refund 2", "mail 1")
RUNS = {"refund 1": "4:acme/run-1", "refund 2": "4:acme/run-1", "mail 1": "4:acme/run-2"}
NAMES = ("grace", "ada", "bob")
NEEDS = 2
OPEN = 2
"""Of the tenant at once; and one of each run."""


@dataclass
class Question:
    """What the model knows of one."""

    request: str
    ends: int
    state: str = "pending"
    yes: set[str] = field(default_factory=set)
    user: str = ""


class Machine(RuleBasedStateMachine):
    """The same done to both; whatever the scripts answer, the model expected."""

    scripts: Scripts

    @initialize()
    def begin(self) -> None:
        self.scripts.client.flushall()
        self.scripts.now = START_MS
        self.latest: dict[str, str] = {}
        self.known: dict[str, Question] = {}
        self.running: dict[str, tuple[str, int, str]] = {}
        self.calls = 0
        self.effects: dict[str, int] = {}

    def of(self, request: str) -> Question | None:
        found = self.known.get(self.latest.get(request, ""))
        return found if found is not None and found.ends > self.scripts.now else None

    def open_ones(self) -> list[Question]:
        return [one for one in self.known.values() if one.state == "pending" and one.ends > self.scripts.now]

    @rule(request=st.sampled_from(REQUESTS))
    def ask(self, request: str) -> None:
        self.calls += 1
        call = f"c{self.calls}"
        guard = {"approvers": NEEDS, "run": RUNS[request], "per_run": 1, "per_tenant": OPEN}
        got = self.scripts.admit(asking(call, request, intent=None, guard=guard), "now")
        known = self.of(request)
        if known is not None and known.state == "approved":
            assert got[0] == "granted"
            known.state, known.user, known.ends = "used", call, self.scripts.now + TTL_MS
            self.running[call] = (request, got[1], self.latest[request])
        elif known is not None and known.state == "denied":
            assert got[3:5] == ["denied", self.latest[request]]
        elif known is not None and known.state == "pending":
            assert got[3:] == [
                "pending",
                self.latest[request],
                known.ends - self.scripts.now,
                NEEDS - len(known.yes),
            ]
        elif len(self.open_ones()) >= OPEN:
            assert got[3:] == ["many", "tenant", OPEN]
        elif any(RUNS[one.request] == RUNS[request] for one in self.open_ones()):
            assert got[3:] == ["many", "run", 1]
        else:
            assert got[3:4] + got[5:] == ["pending", TTL_MS, NEEDS]
            assert got[4] not in self.known
            self.latest[request] = got[4]
            self.known[got[4]] = Question(request, self.scripts.now + TTL_MS)

    @precondition(lambda self: self.known)
    @rule(data=st.data(), by=st.sampled_from(NAMES), verdict=st.sampled_from(["approve", "approve", "deny"]))
    def answer(self, data: st.DataObject, by: str, verdict: str) -> None:
        asked = data.draw(st.sampled_from(sorted(self.known)))
        known, word = self.known[asked], decide(self.scripts, asked, verdict, by)
        if known.ends <= self.scripts.now:
            assert word == "gone"
        elif known.state == "pending" and verdict == "deny":
            assert word == "denied"
            known.state, known.user, known.ends = "denied", by, self.scripts.now + TTL_MS
        elif known.state == "pending":
            known.yes.add(by)
            assert word == ("approved" if len(known.yes) == NEEDS else "pending")
            if len(known.yes) == NEEDS:
                known.state, known.ends = "approved", self.scripts.now + TTL_MS
        elif known.state == "denied":
            assert word == ("denied" if verdict == "deny" and known.user == by else "decided")
        else:
            assert word == ("approved" if verdict == "approve" and by in known.yes else "decided")

    @precondition(lambda self: self.running)
    @rule(data=st.data(), ending=st.sampled_from(["done", "free", "not_sent", "unknown"]))
    def settle(self, data: st.DataObject, ending: str) -> None:
        call = data.draw(st.sampled_from(sorted(self.running)))
        request, fence, asked = self.running.pop(call)
        changed = ending in ("done", "unknown")
        self.scripts.settle(call, fence, ending, changed=changed, note="200")
        if changed:
            self.effects[asked] = self.effects.get(asked, 0) + 1
        known = self.known[asked]
        if not changed and known.ends > self.scripts.now and self.latest[request] == asked:
            known.state, known.user, known.ends = "approved", "", self.scripts.now + TTL_MS

    @rule(ms=st.sampled_from([1, 5_000, 5_000, TTL_MS // 2, TTL_MS - 1, TTL_MS]))
    def wait(self, ms: int) -> None:
        """A short while, in which the calls go on; or a long one, that their sidecar does not live to see."""
        self.scripts.advance(ms)
        if ms > 5_000:
            self.running.clear()
        elif self.running:
            self.scripts.renew(*self.running)

    @invariant()
    def every_question_is_as_expected(self) -> None:
        if not hasattr(self, "known"):
            return
        shown = {one["id"]: (one["state"], one["ends"]) for one in questions(self.scripts)}
        alive = {
            asked: (one.state, one.ends) for asked, one in self.known.items() if one.ends > self.scripts.now
        }
        assert shown == alive

    @invariant()
    def an_approval_has_one_effect(self) -> None:
        assert all(count == 1 for count in getattr(self, "effects", {}).values())


def test_approvals_do_what_the_model_says(scripts: Scripts) -> None:
    class Here(Machine):
        pass

    Here.scripts = scripts
    budget = settings(
        max_examples=30, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(Here, settings=budget)  # type: ignore[no-untyped-call]
