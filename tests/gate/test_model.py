"""The oracle's own test: the few things it must not be wrong about, said once more by hand."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gate.lines import Level
from tests.gate.model import Model
from tests.gate.scripts import claim


def granted(model: Model, call: str, *rest: object, **others: object) -> int:
    word, fence, _ = model.admit(claim(call, *rest, **others), "ask")  # type: ignore[arg-type]
    assert word == "granted"
    return int(fence)


def test_a_lock_has_one_holder_and_the_next_in_line_gets_it() -> None:
    model = Model()
    fence = granted(model, "c1", None, ("a",))
    assert model.admit(claim("c2", None, ("a",)), "ask")[0] == "waiting"
    assert model.admit(claim("c3", None, ("a",)), "ask")[0] == "waiting"
    model.settle("c1", fence, "free", False, True)
    assert {call.id: call.state for call in model.calls.values()} == {"c2": "offered", "c3": "waiting"}


def test_a_completed_twin_is_a_duplicate_until_its_window_is_over() -> None:
    model = Model()
    model.settle("c1", granted(model, "c1", "x", window_ms=1000), "answer", True, True)
    assert model.admit(claim("c2", "x"), "ask")[0] == "completed"
    model.advance(1000)
    assert model.admit(claim("c3", "x"), "ask")[0] == "granted"


def test_the_dead_leave_unknown_and_keep_their_locks_until_the_deadline() -> None:
    model = Model()
    granted(model, "c1", "x", ("a",), {"global": 1})
    model.advance(15_000)
    assert model.admit(claim("c2", "x"), "ask")[0] == "unknown"
    assert not model.holders("cap:global")
    assert model.holders("lock:a")
    model.advance(15_500)
    assert not model.holders("lock:a")


def test_what_was_offered_to_the_dead_goes_to_the_next() -> None:
    model = Model()
    fence = granted(model, "c1", None, ("a",))
    model.admit(claim("c2", "x", ("a",)), "ask")
    model.settle("c1", fence, "free", False, True)
    model.advance(2_000)
    assert not model.calls
    assert not model.records


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("come"), st.sampled_from("abcd")),
            st.tuples(st.just("leave"), st.sampled_from("abcd")),
            st.tuples(st.just("serve"), st.sampled_from(["stays", "stays", "stops"])),
        ),
        max_size=300,
    )
)
@settings(deadline=None, max_examples=300)
def test_who_waits_sees_any_other_flow_served_at_most_once_and_by_its_weight(
    steps: list[tuple[str, str]],
) -> None:
    """Where nobody is ahead, 1 + weight(f) / w times, however flows come and go meanwhile."""
    weights = {"a": 1, "b": 2, "c": 3, "d": 8}
    level, seen = Level(), dict[str, Counter[str]]()
    for step, what in steps:
        if step == "come" and what not in seen:
            level.begin(what)
            seen[what] = Counter()
        elif step == "serve" and seen:
            first = level.order()[0]
            level.charge(first, weights[first])
            for other in seen.keys() - {first}:
                seen[other][first] += 1
                assert seen[other][first] <= 1 + weights[first] / weights[other]
            seen[first] = Counter()
        gone = what if step == "leave" else first if what == "stops" and seen else ""
        if gone in seen:
            del seen[gone], level.passes[gone]
        level = level if seen else Level()


@given(
    st.lists(st.tuples(st.sampled_from(["come", "come", "leave", "serve", "pass"]), st.sampled_from("abcd")))
)
@settings(deadline=None, max_examples=300)
def test_who_begins_to_wait_owing_nothing_sees_any_other_flow_served_at_most_twice(
    steps: list[tuple[str, str]],
) -> None:
    """The bound that `line.lua` states, where any flow may be a turn ahead, waiting or not."""
    weights = {"a": 1, "b": 2, "c": 3, "d": 8}
    level, seen = Level(), dict[str, Counter[str]]()
    for step, what in steps:
        if step == "come" and what not in level.passes:
            if level.debts.get(what, 0) <= level.clock:
                seen[what] = Counter()
            level.begin(what)
        elif step == "leave":
            level.passes.pop(what, None)
            seen.pop(what, None)
        elif step in ("serve", "pass") and level.passes:
            served = level.order()[0] if step == "serve" else what
            if level.may_go(served, weights[served]):
                level.charge(served, weights[served])
                seen.pop(served, None)
                for others in seen.values():
                    others[served] += 1
                    assert others[served] <= 2
        level = level if level.passes else Level()
