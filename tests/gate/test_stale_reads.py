"""What a run saw, and who changed it since: on the real scripts and a clock that only the test moves."""

from typing import Any

import pytest

from sidecar.core.claim import Claim
from sidecar.core.guard import Fresh, Observe
from tests.gate.scripts import LEASE_MS, Scripts, claim

HOUR_MS = 3_600_000


def read(name: str, run: str, *entities: str) -> Claim:
    return claim(name, None, guards=tuple(map(Observe, entities or ("x",))), run=run)


def write(name: str, run: str, **others: Any) -> Claim:
    """A write of x by a route that says nothing of freshness."""
    return claim(name, None, ("x",), run=run, **others)


def careful(name: str, run: str) -> Claim:
    return claim(name, None, ("x",), guards=(Fresh("x"),), run=run)


def see(scripts: Scripts, run: str, name: str, status: str = "200") -> None:
    scripts.do(read(name, run), "free", changed=False, note=status)


def word(scripts: Scripts, run: str, name: str = "w") -> str:
    said = scripts.admit(careful(name, run), "now")
    if said[0] == "granted":
        scripts.leave(name)
    return str(said[0])


def test_a_write_on_what_another_run_changed_since_is_refused_and_told_who_and_when(scripts: Scripts) -> None:
    see(scripts, "A", "a1")
    scripts.now += 1_000
    scripts.do(write("b1", "B"))
    changed_at = scripts.now
    scripts.now += 5_000
    assert scripts.admit(careful("a2", "A")) == ["guarded", 0, 0, changed_at, 5_000, "B\ndunning"]
    see(scripts, "A", "a3")
    assert word(scripts, "A") == "granted"


def test_a_runs_own_changes_make_nothing_stale_and_hide_nobody_elses(scripts: Scripts) -> None:
    see(scripts, "A", "a1")
    scripts.do(write("a2", "A"))
    assert word(scripts, "A") == "granted"
    scripts.do(write("b1", "B"))
    scripts.do(write("a3", "A"))
    assert scripts.admit(careful("a4", "A"), "now")[0] == "guarded"
    scripts.do(write("a5", "A"))
    assert scripts.admit(careful("a6", "A"), "now")[0] == "guarded"


def test_a_run_that_never_read_it_is_not_refused(scripts: Scripts) -> None:
    see(scripts, "A", "a1")
    scripts.do(write("b1", "B"))
    assert word(scripts, "C") == "granted"


def test_a_change_under_way_while_the_run_reads_may_not_have_been_seen(scripts: Scripts) -> None:
    fence = scripts.grant(write("b1", "B"))
    see(scripts, "A", "a1")
    scripts.settle("b1", fence)
    assert word(scripts, "A") == "guarded"


def test_a_change_settled_while_the_run_reads_may_not_have_been_seen_either(scripts: Scripts) -> None:
    see(scripts, "C", "c1")  # so that changes are stamped at all
    fence = scripts.grant(read("a1", "A"))
    scripts.do(write("b1", "B"))
    scripts.settle("a1", fence, "free", changed=False, note="200")
    assert word(scripts, "A") == "guarded"


def test_a_change_settled_before_the_read_was_granted_was_seen(scripts: Scripts) -> None:
    see(scripts, "C", "c1")
    scripts.do(write("b1", "B"))
    see(scripts, "A", "a1")
    assert word(scripts, "A") == "granted"


@pytest.mark.parametrize("status", ["304", "404", "401", "429"])
def test_a_read_that_brought_nothing_counts_for_nothing(scripts: Scripts, status: str) -> None:
    see(scripts, "A", "a1")
    scripts.do(write("b1", "B"))
    see(scripts, "A", "a2", status)
    assert word(scripts, "A") == ("granted" if status == "304" else "guarded")


@pytest.mark.parametrize("ending", ["not_sent", "unknown"])
def test_a_read_that_did_not_end_well_counts_for_nothing(scripts: Scripts, ending: str) -> None:
    see(scripts, "A", "a1")
    scripts.do(write("b1", "B"))
    scripts.do(read("a2", "A"), ending, changed=False, note="")
    assert word(scripts, "A") == "guarded"


@pytest.mark.parametrize(
    ("ending", "changed", "said"),
    [("unknown", True, "guarded"), ("not_sent", False, "granted"), ("free", False, "granted")],
)
def test_what_may_have_changed_it_counts_as_a_change_and_what_did_not_does_not(
    scripts: Scripts, ending: str, changed: bool, said: str
) -> None:
    see(scripts, "A", "a1")
    scripts.do(write("b1", "B"), ending, changed=changed)
    assert word(scripts, "A") == said


def test_a_lost_call_may_change_it_until_its_deadline_also_after_the_read(scripts: Scripts) -> None:
    see(scripts, "C", "c1")
    scripts.grant(write("b1", "B", timeout_ms=60_000))
    scripts.advance(LEASE_MS + 1)
    see(scripts, "A", "a1")
    scripts.advance(50_000)  # the quarantine is over
    assert "b1" not in scripts.states()
    assert word(scripts, "A") == "guarded"


def test_freshness_is_judged_again_when_a_waiting_write_gets_its_turn(scripts: Scripts) -> None:
    see(scripts, "A", "a1")
    fence = scripts.grant(write("b1", "B"))
    assert scripts.admit(careful("a2", "A"))[0] == "waiting"
    scripts.settle("b1", fence)
    assert scripts.states() == {}
    assert scripts.admit(careful("a2", "A"), "again")[0] == "guarded"


def test_two_runs_that_both_read_and_then_write_do_not_both_write(scripts: Scripts) -> None:
    see(scripts, "A", "a1")
    see(scripts, "B", "b1")
    scripts.do(careful("a2", "A"))
    assert word(scripts, "B") == "guarded"
    assert word(scripts, "A") == "granted"


def test_what_a_run_saw_is_forgotten_in_time_and_with_it_everything_that_was_kept_for_it(
    scripts: Scripts,
) -> None:
    see(scripts, "A", "a1")
    scripts.do(write("b1", "B"))
    scripts.advance(HOUR_MS + 1)
    assert word(scripts, "A") == "granted"
    for key in scripts.client.scan_iter():
        assert key.split(b":")[2] == b"fence" or 0 < scripts.client.pttl(key) <= HOUR_MS + 60_000, key


def test_where_nobody_reads_that_way_a_write_leaves_no_version(scripts: Scripts) -> None:
    scripts.do(write("b1", "B"))
    assert not list(scripts.client.scan_iter(scripts.prefix + b"v:*"))


def test_a_write_that_no_twin_meets_is_a_change_all_the_same(scripts: Scripts) -> None:
    see(scripts, "A", "a1")
    scripts.do(claim("c1", "i", ("x",), until="change", run="A"))
    scripts.do(write("b1", "B"), "free", changed=True)
    assert word(scripts, "A") == "guarded"
    assert scripts.admit(claim("c2", "i", ("x",), until="change"), "now")[0] == "granted"


def test_a_watched_entity_changes_nothing_in_what_a_twin_is(scripts: Scripts) -> None:
    see(scripts, "A", "a1")
    scripts.do(claim("c1", "i", ("x",), until="change", run="A"))
    assert scripts.admit(claim("c2", "i", ("x",), until="change"), "now")[0] == "completed"
    scripts.do(write("b1", "B"))
    assert scripts.admit(claim("c3", "i", ("x",), until="change"), "now")[0] == "granted"
