"""Locks that a run holds between its calls, on the real scripts and a clock that only the test moves."""

from typing import Any

import pytest

from sidecar.core.claim import Claim
from sidecar.core.guard import EndRun, Hold
from sidecar.gate.runs import name_of
from tests.gate.scripts import LEASE_MS, Scripts, claim

IDLE_MS = 120_000


def call(name: str, run: str, *locks: str, hold: str = "", idle_ms: int = IDLE_MS, **others: Any) -> Claim:
    """A call of a run that locks ``locks``, and holds by run those that ``hold`` has in it."""
    guards = tuple(Hold(lock, idle_ms) for lock in locks if lock in hold)
    return claim(
        name, None, tuple(sorted(locks)), guards=guards + others.pop("guards", ()), run=run, **others
    )


def ids(run: str) -> str:
    return name_of(("acme", "dunning", run))


def keep(scripts: Scripts, run: str, quiet_ms: int = 0) -> str:
    more, word = scripts.run("keep", LEASE_MS, ids(run), quiet_ms)
    if more:
        scripts.sweep()
    return str(word)


def end(scripts: Scripts, run: str) -> int:
    _, more, count = scripts.run("end", ids(run), "")
    if more:
        scripts.sweep()
    return int(count)


def held(scripts: Scripts, run: str, lock: str = "x", name: str = "a1") -> None:
    """The run has made one call that holds the lock for it."""
    scripts.do(call(name, run, lock, hold=lock), "free", changed=False)


def nothing_of_runs_is_left(scripts: Scripts) -> bool:
    kinds = {key.split(b":")[2] for key in scripts.client.scan_iter()}
    return not kinds & {b"r", b"runs", b"o", b"h", b"c"} and not scripts.client.zcard(scripts.prefix + b"due")


def test_another_run_waits_between_the_calls_of_the_run_that_holds(scripts: Scripts) -> None:
    held(scripts, "A")
    word, at, ahead, left_ms, state, holder, about = scripts.admit(call("b1", "B", "x", hold="x"))
    assert (word, at, ahead, state, holder) == ("waiting", 1, 0, "held", ids("A"))
    assert about.split("\n")[:2] == ["A", "dunning"]
    assert 0 < left_ms <= LEASE_MS


def test_a_plain_lock_of_another_route_is_blocked_as_well_and_so_is_a_call_without_a_run(
    scripts: Scripts,
) -> None:
    held(scripts, "A")
    assert scripts.admit(call("b1", "B", "x"))[0] == "waiting"
    assert scripts.admit(call("b2", "", "x"), "now")[0] == "blocked"


def test_a_run_enters_what_it_holds_again_and_again_by_either_kind_of_route(scripts: Scripts) -> None:
    held(scripts, "A")
    scripts.do(call("a2", "A", "x", hold="x"))
    scripts.do(call("a3", "A", "x"))
    scripts.do(call("a4", "A", "x", "y"))
    assert scripts.holders("lock:x") == {ids("A")}
    assert scripts.holders("lock:y") == set()


def test_the_calls_of_one_run_exclude_each_other(scripts: Scripts) -> None:
    fence = scripts.grant(call("a1", "A", "x", hold="x"))
    word, _at, _ahead, _left, state, holder, _about = scripts.admit(call("a2", "A", "x", hold="x"))
    assert (word, state, holder) == ("waiting", "granted", "a1")
    scripts.settle("a1", fence)
    assert scripts.states() == {"a2": "offered"}


def test_a_run_passes_whoever_waits_for_what_it_holds(scripts: Scripts) -> None:
    held(scripts, "A")
    assert scripts.admit(call("b1", "B", "x"))[0] == "waiting"
    assert scripts.admit(call("a2", "A", "x"))[0] == "granted"


def test_a_call_of_the_run_that_waits_behind_another_run_is_handed_the_lock_first(scripts: Scripts) -> None:
    fence = scripts.grant(call("a1", "A", "x", hold="x"))
    assert scripts.admit(call("b1", "B", "x"))[0] == "waiting"
    assert scripts.admit(call("a2", "A", "x"))[0] == "waiting"
    scripts.settle("a1", fence)
    assert scripts.states() == {"b1": "waiting", "a2": "offered"}
    assert end(scripts, "A") == 1
    assert scripts.states() == {"b1": "waiting", "a2": "offered"}
    scripts.leave("a2")
    assert scripts.states() == {"b1": "offered"}


def test_a_run_of_another_tenant_or_workflow_is_another_run(scripts: Scripts) -> None:
    held(scripts, "A")
    assert scripts.admit(call("b1", "A", "x", tenant="other"))[0] == "waiting"
    assert scripts.admit(call("b2", "A", "x")._replace(workflow="other"))[0] == "waiting"


def test_who_waits_is_handed_the_lock_when_the_run_ends(scripts: Scripts) -> None:
    held(scripts, "A")
    scripts.admit(call("b1", "B", "x", hold="x"))
    assert end(scripts, "A") == 1
    assert scripts.states() == {"b1": "offered"}
    assert end(scripts, "A") == 0


def test_a_call_that_says_so_ends_its_run_when_it_is_settled_and_not_before(scripts: Scripts) -> None:
    held(scripts, "A")
    held(scripts, "A", "y", "a2")
    scripts.admit(call("b1", "B", "x", hold="x"))
    fence = scripts.grant(call("a3", "A", guards=(EndRun(),)))
    assert scripts.states()["b1"] == "waiting"
    scripts.settle("a3", fence, "free")
    assert scripts.states() == {"b1": "offered"}
    assert scripts.holders("lock:y") == set()


@pytest.mark.parametrize(("ending", "ends"), [("not_sent", False), ("unknown", True), ("done", True)])
def test_a_last_call_that_sent_nothing_does_not_end_its_run(
    scripts: Scripts, ending: str, ends: bool
) -> None:
    held(scripts, "A")
    fence = scripts.grant(call("a2", "A", "x", hold="x", guards=(EndRun(),)))
    scripts.settle("a2", fence, ending)
    assert (scripts.holders("lock:x") == set()) is ends


def test_a_last_call_that_was_done_before_ends_its_run(scripts: Scripts) -> None:
    scripts.do(claim("a1", "i", run="A"))
    held(scripts, "A", name="a2")
    scripts.admit(call("b1", "B", "x"))
    assert scripts.admit(claim("a3", "i", run="A", guards=(EndRun(),)))[0] == "completed"
    assert scripts.states() == {"b1": "offered"}


def test_a_quiet_run_keeps_its_lock_for_its_idle_time_and_no_longer(scripts: Scripts) -> None:
    held(scripts, "A")
    for second in range(5, 120, 5):
        scripts.advance(5_000)
        assert keep(scripts, "A", second * 1000) == "held"
    scripts.advance(4_999)
    assert scripts.admit(call("b1", "B", "x"), "now")[0] == "blocked"
    scripts.advance(2)
    assert scripts.admit(call("b2", "B", "x"), "now")[0] == "granted"
    assert keep(scripts, "A", 120_001) == "gone"


def test_an_idle_time_shorter_than_a_lease_counts_from_the_end_of_the_call(scripts: Scripts) -> None:
    fence = scripts.grant(call("a1", "A", "x", hold="x", idle_ms=2_000))
    scripts.advance(5_000)
    assert keep(scripts, "A", 0) == "held"
    scripts.settle("a1", fence)
    scripts.admit(call("b1", "B", "x"))
    scripts.advance(1_999)
    assert scripts.states() == {"b1": "waiting"}
    scripts.advance(2)
    assert scripts.states() == {"b1": "offered"}


def test_a_dead_sidecars_run_lets_go_after_one_lease_though_it_was_not_idle_for_long(
    scripts: Scripts,
) -> None:
    held(scripts, "A")
    scripts.advance(LEASE_MS - 1)
    assert scripts.admit(call("b1", "B", "x"), "now")[0] == "blocked"
    scripts.advance(2)
    assert scripts.admit(call("b2", "B", "x"), "now")[0] == "granted"
    scripts.leave("b2")
    assert nothing_of_runs_is_left(scripts)


def test_a_crash_in_the_middle_of_a_call_quarantines_the_record_also_from_the_crashed_run(
    scripts: Scripts,
) -> None:
    scripts.grant(call("a1", "A", "x", hold="x", timeout_ms=60_000))
    scripts.advance(LEASE_MS + 1)
    assert scripts.states() == {"a1": "lapsed"}
    assert scripts.holders("lock:x") == {"a1"}
    assert scripts.admit(call("a2", "A", "x", hold="x"), "now")[0] == "blocked"
    assert scripts.admit(call("b1", "B", "x"), "now")[0] == "blocked"
    scripts.advance(46_000)
    assert scripts.admit(call("b2", "B", "x"), "now")[0] == "granted"


def test_a_call_that_lapses_does_not_speak_for_its_run(scripts: Scripts) -> None:
    scripts.grant(call("a1", "A", "x", hold="x", timeout_ms=60_000))
    scripts.advance(10_000)
    keep(scripts, "A", 0)
    scripts.advance(5_001)
    assert scripts.states() == {"a1": "lapsed"}
    assert scripts.holders("lock:x") == {"a1", ids("A")}
    scripts.advance(10_000)
    assert scripts.holders("lock:x") == {"a1"}


def test_each_lock_of_a_run_has_an_idle_time_of_its_own(scripts: Scripts) -> None:
    for lock, idle_ms in (("x", 2_000), ("y", 2_500)):
        scripts.do(call(f"c{lock}", "A", lock, hold=lock, idle_ms=idle_ms), "free")
    scripts.advance(2_001)
    assert (scripts.holders("lock:x"), scripts.holders("lock:y")) == (set(), {ids("A")})
    scripts.advance(500)
    assert nothing_of_runs_is_left(scripts)


def test_a_call_that_sent_nothing_leaves_nothing_behind(scripts: Scripts) -> None:
    fence = scripts.grant(call("a1", "A", "x", hold="x"))
    scripts.settle("a1", fence, "not_sent")
    assert nothing_of_runs_is_left(scripts)
    held(scripts, "A")
    fence = scripts.grant(call("a2", "A", "x", hold="x"))
    scripts.settle("a2", fence, "not_sent")
    assert scripts.holders("lock:x") == {ids("A")}


def test_a_ticket_whose_asker_died_takes_nothing_for_its_run(scripts: Scripts) -> None:
    held(scripts, "A")
    scripts.admit(call("b1", "B", "x", hold="x"))
    end(scripts, "A")
    assert scripts.holders("lock:x") == {"b1", ids("B")}
    scripts.advance(2_001)
    assert nothing_of_runs_is_left(scripts)


def test_a_run_that_was_ended_is_not_brought_back_by_its_call_under_way(scripts: Scripts) -> None:
    held(scripts, "A")
    fence = scripts.grant(call("a2", "A", "x", hold="x"))
    scripts.admit(call("b1", "B", "x"))
    end(scripts, "A")
    assert scripts.states() == {"a2": "granted", "b1": "waiting"}
    scripts.settle("a2", fence)
    assert scripts.states() == {"b1": "offered"}


def test_two_runs_that_want_what_the_other_holds_are_found_out_at_once(scripts: Scripts) -> None:
    held(scripts, "A", "x", "a1")
    held(scripts, "B", "y", "b1")
    assert scripts.admit(call("a2", "A", "y", hold="y"))[0] == "waiting"
    word, wanted, holder, waits, other = scripts.admit(call("b2", "B", "x"))
    assert (word, wanted, waits) == ("deadlocked", "lock:x", "lock:y")
    assert (holder.split("\n")[0], other.split("\n")[0]) == ("A", "B")
    end(scripts, "B")
    assert scripts.states() == {"a2": "offered"}


def test_a_ring_of_many_runs_is_found_and_named_in_order(scripts: Scripts) -> None:
    for n in range(6):
        held(scripts, f"R{n}", f"x{n}", f"first{n}")
    for n in range(5):
        assert scripts.admit(call(f"c{n}", f"R{n}", f"x{n + 1}"))[0] == "waiting"
    word, *path = scripts.admit(call("c5", "R5", "x0"))
    assert word == "deadlocked"
    assert path[::2] == [f"lock:x{n}" for n in range(6)]
    assert [about.split("\n")[0] for about in path[1::2]] == [f"R{n}" for n in range(6)]


def test_a_wait_that_becomes_a_ring_only_later_is_found_out_as_well(scripts: Scripts) -> None:
    held(scripts, "A", "x", "a1")
    other = scripts.grant(call("o1", "O", "y"))
    assert scripts.admit(call("b0", "B", "y", hold="y"))[0] == "waiting"
    assert scripts.admit(call("a2", "A", "y"))[0] == "waiting"
    assert scripts.admit(call("b1", "B", "x"))[0] == "waiting"
    scripts.settle("o1", other)  # now B takes y, for which A waits
    assert scripts.states() == {"b0": "offered", "b1": "waiting"}
    assert scripts.admit(call("a2", "A", "y"), "again")[0] == "deadlocked"
    assert scripts.admit(call("b1", "B", "x"), "again")[0] == "waiting"


def test_a_wait_for_a_run_that_waits_for_nothing_is_no_ring(scripts: Scripts) -> None:
    held(scripts, "A", "x", "a1")
    held(scripts, "B", "y", "b1")
    assert scripts.admit(call("a2", "A", "y"))[0] == "waiting"
    assert scripts.admit(call("c1", "C", "x"))[0] == "waiting"
    assert scripts.admit(call("a3", "A", "x"))[0] == "granted"


def test_nothing_is_kept_for_a_senior_from_the_run_that_it_waits_for(scripts: Scripts) -> None:
    held(scripts, "A", "x", "a1")
    scripts.admit(call("s", "S", "x", "y"))
    c = scripts.client
    c.zadd(scripts.prefix + b"elders", {"s": 0})
    assert scripts.admit(call("o1", "O", "y"), "now")[0] == "blocked"
    assert scripts.admit(call("a2", "A", "y"), "now")[0] == "granted"


def test_what_a_call_holds_can_be_taken_back_and_its_late_truth_still_counts(scripts: Scripts) -> None:
    fence = scripts.grant(claim("c1", "i", ("x",), caps={"global": 1}))
    scripts.admit(claim("c2", None, ("x",), caps={"global": 1}))
    assert scripts.run("evict", "c1")[0] == "evicted"
    assert scripts.states() == {"c1": "lapsed", "c2": "offered"}
    assert scripts.admit(claim("c3", "i"), "now")[:1] == ["unknown"]
    assert scripts.settle("c1", fence) == "late"
    assert scripts.admit(claim("c4", "i"), "now")[0] == "completed"
    assert scripts.states() == {"c2": "offered"}
    assert scripts.run("evict", "c9")[0] == "gone"


def test_a_quarantine_can_be_lifted(scripts: Scripts) -> None:
    fence = scripts.grant(claim("c1", None, ("x",), quarantine="resolved"))
    scripts.settle("c1", fence, "unknown", over=False)
    scripts.advance(600_000)
    assert scripts.admit(claim("c2", None, ("x",)), "now")[0] == "blocked"
    assert scripts.run("evict", "c1")[0] == "evicted"
    assert scripts.admit(claim("c3", None, ("x",)), "now")[0] == "granted"
    assert "c1" not in scripts.states()


def test_where_no_run_holds_anything_a_full_lock_costs_no_look_at_runs(scripts: Scripts) -> None:
    scripts.grant(claim("c1", None, ("x",)))
    scripts.admit(claim("c2", None, ("x",)))
    assert not list(scripts.client.scan_iter(scripts.prefix + b"r*"))
