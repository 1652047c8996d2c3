"""The real Lua against the model, step by step, and the promises as invariants, on random interleavings."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from sidecar.core.claim import Claim, Min
from tests.gate.model import Model
from tests.gate.scripts import Scripts, claim
from tests.servers import Server

LIMITS = {"global": 2, "lane": 2, "tenant": 1}
MINS = st.sampled_from(
    [
        (),
        (),
        (Min("lane", 1, False),),
        (Min("tenant", 1, True),),
        (Min("lane", 1, True), Min("tenant", 1, False)),
    ]
)
CAPS = st.sampled_from(
    [
        (),
        ("global",),
        ("global",),
        ("tenant",),
        ("tenant",),
        ("global", "lane"),
        ("global", "tenant"),
        ("global", "lane", "tenant"),
    ]
)
PLACES = ("lock:a", "lock:b", "cap:global", "cap:lane", "cap:tenant")
LOCKS = st.sampled_from([(), ("a",), ("a",), ("b",), ("a", "b")])
TERMS = st.one_of(
    *(
        st.fixed_dictionaries(
            {
                "locks": LOCKS,
                "until": st.sampled_from(["change", "window"]),
                "resend": st.just(resend_ms is not None),
                "resend_ms": st.just(resend_ms or 0),
                "quarantine": st.sampled_from(["deadline", "deadline", "resolved"]),
            }
        )
        for resend_ms in (None, 0, 20_000)
    )
)
STEPS = settings(
    max_examples=120,
    derandomize=True,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Machine(RuleBasedStateMachine):
    """Callers that come, wait, send, settle, crash and come back, while time passes."""

    server: Server
    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.lua = Scripts(self.server)
        self.lua.client.flushall()
        self.model = Model()
        self.count = 0
        self.claims: dict[str, Claim] = {}
        self.fences: dict[str, int] = {}
        self.terms: dict[str, dict[str, Any]] = {}
        self.mins: tuple[Min, ...] = ()

    def teardown(self) -> None:
        self.lua.client.close()

    @initialize(x=TERMS, y=TERMS, mins=MINS)
    def twins_are_of_one_kind(self, x: dict[str, Any], y: dict[str, Any], mins: tuple[Min, ...]) -> None:
        """Calls of one intent come from one route, so they need the same entities on the same terms."""
        self.terms = {"x": x, "y": y}
        self.mins = mins

    @rule(
        target=calls,
        intent=st.sampled_from([None, "x", "y"]),
        locks=LOCKS,
        caps=CAPS,
        fingerprint=st.sampled_from(["", "", "", "", "f"]),
        timeout_ms=st.sampled_from([5_000, 30_000]),
        depth=st.sampled_from([(100, 100), (100, 100), (2, 100), (100, 2)]),
        tenant=st.sampled_from(["t1", "t2", "t3"]),
        priority=st.sampled_from(["interactive", "interactive", "background"]),
        weights=st.sampled_from([(1, 8), (1, 8), (3, 1)]),
        wait_ms=st.sampled_from([5_000, 60_000, 600_000]),
        mode=st.sampled_from(["ask", "ask", "ask", "now"]),
    )
    def come(self, intent: str | None, caps: tuple[str, ...], mode: str, **others: Any) -> str:
        self.count += 1
        name = f"c{self.count:03}"
        limits = {cap: LIMITS[cap] for cap in caps}
        terms = {"mins": self.mins} | others | self.terms.get(intent or "", {})
        self.claims[name] = claim(name, intent, caps=limits, **terms)
        self.ask(name, mode)
        return name

    @rule(name=calls, mode=st.sampled_from(["again", "again", "last"]))
    def ask_again(self, name: str, mode: str) -> None:
        self.ask(name, mode)

    def ask(self, name: str, mode: str) -> None:
        got, expected = self.lua.admit(self.claims[name], mode), self.model.admit(self.claims[name], mode)
        assert got[: len(expected)] == expected
        if got[0] == "granted":
            self.fences[name] = got[1]

    @rule(
        name=consumes(calls),
        ending=st.sampled_from(["answer", "done", "free", "not_sent", "unknown", "unknown"]),
        changed=st.booleans(),
        over=st.booleans(),
    )
    def settle(self, name: str, ending: str, changed: bool, over: bool) -> None:
        fence = self.fences.get(name, 0)
        got = self.lua.settle(
            name, fence, ending, changed=changed, over=over, note="timeout", answer=f"by {name}".encode()
        )
        assert got == self.model.settle(name, fence, ending, changed, over)

    @rule(name=consumes(calls))
    def leave(self, name: str) -> None:
        assert self.lua.leave(name) == self.model.leave(name)

    @rule(name=calls)
    def renew(self, name: str) -> None:
        assert self.lua.renew(name) == [self.model.renew(name)]

    @rule(ms=st.sampled_from([100, 1_000, 2_000, 3_000, 6_000, 15_000, 31_000, 90_000]))
    def time_passes(self, ms: int) -> None:
        self.lua.advance(ms)
        self.model.advance(ms)

    @invariant()
    def the_store_and_the_model_agree_on_who_waits_and_who_holds(self) -> None:
        assert self.lua.states() == {name: call.state for name, call in self.model.calls.items()}
        for place in PLACES:
            assert self.lua.holders(place) == self.model.holders(place).keys()
            line = self.model.lines.get(place)
            assert self.lua.flows(place) == (line.flows() if line else [])
        assert self.lua.senior() == (self.model.senior.id if self.model.senior else "")

    @invariant()
    def a_lock_has_one_holder_and_a_cap_no_more_than_its_limit(self) -> None:
        for place, limit in {
            "lock:a": 1,
            "lock:b": 1,
            "cap:global": 2,
            "cap:lane": 2,
            "cap:tenant": 1,
        }.items():
            assert len(self.lua.holders(place)) <= limit

    @invariant()
    def a_cap_is_held_by_the_living_only(self) -> None:
        live = self.lua.states()
        for place in PLACES[2:]:
            assert all(live.get(name) in ("granted", "offered") for name in self.lua.holders(place))

    @invariant()
    def nobody_waits_for_what_is_free_but_for_the_senior(self) -> None:
        for call in self.model.calls.values():
            if call.state == "waiting":
                word, prior = self.model.twin(call)
                assert word or self.model.refused(call, prior, heads=call.place)[0]

    @invariant()
    def a_flow_is_in_order_of_arrival(self) -> None:
        for place in PLACES:
            for *_, names in self.lua.flows(place):
                ages = [self.model.calls[name].age for name in names]
                assert ages == sorted(ages)

    @invariant()
    def where_nobody_waits_no_line_is_kept(self) -> None:
        if not any(call.state == "waiting" for call in self.model.calls.values()):
            kept = {key.split(b":")[2] for key in self.lua.client.scan_iter()}
            assert not kept & {b"l", b"m", b"n", b"o", b"w", b"elders"}

    @invariant()
    def one_intent_runs_at_most_once_at_a_time(self) -> None:
        running = [
            call.intent
            for call in self.model.calls.values()
            if call.intent and call.state in ("granted", "offered")
        ]
        assert len(running) == len(set(running))


def test_the_lua_does_what_the_model_says(shared: Server) -> None:
    machine = type("OnServer", (Machine,), {"server": shared})
    run_state_machine_as_test(machine, settings=STEPS)


@pytest.mark.slow
def test_the_lua_does_what_the_model_says_for_long(shared: Server) -> None:
    machine = type("OnServer", (Machine,), {"server": shared})
    run_state_machine_as_test(
        machine, settings=settings(STEPS, max_examples=3000, derandomize=False, stateful_step_count=80)
    )
