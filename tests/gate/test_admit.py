"""What a call meets: twins, locks, caps, lines.  The real scripts on a clock that only the test moves."""

from typing import Any

import pytest

from tests.gate.scripts import Scripts, claim


def word(reply: list[Any]) -> str:
    return str(reply[0])


def test_a_free_call_is_granted_with_a_growing_fence(scripts: Scripts) -> None:
    assert scripts.grant(claim("c1", "x")) < scripts.grant(claim("c2", "y"))


def test_asking_again_gets_the_same_grant(scripts: Scripts) -> None:
    fence = scripts.grant(claim("c1", "x", ("a",)))
    assert scripts.admit(claim("c1", "x", ("a",)), "again") == ["granted", fence, "c1"]


def test_a_twin_gets_the_stored_answer_within_the_window_and_runs_again_after_it(scripts: Scripts) -> None:
    scripts.do(claim("c1", "x", window_ms=1000), answer=b"201\n\nmade")
    assert scripts.admit(claim("c2", "x")) == ["completed", "201\n\nmade"]
    scripts.advance(1000)
    assert word(scripts.admit(claim("c3", "x"))) == "granted"


def test_a_b_a_on_one_entity_is_three_writes_and_a_a_is_one(scripts: Scripts) -> None:
    def write(call: str, intent: str) -> str:
        asked = claim(call, intent, ("deal:1",), until="change")
        reply = scripts.admit(asked)
        if reply[0] == "granted":
            scripts.settle(call, reply[1])
        return word(reply)

    assert [write("c1", "a"), write("c2", "b"), write("c3", "a"), write("c4", "a")] == [
        "granted",
        "granted",
        "granted",
        "completed",
    ]


def test_a_write_without_an_intent_changes_the_entity_too(scripts: Scripts) -> None:
    scripts.do(claim("c1", "a", ("deal:1",), until="change"))
    scripts.do(claim("c2", None, ("deal:1",)))
    assert word(scripts.admit(claim("c3", "a", ("deal:1",), until="change"))) == "granted"


def test_a_write_that_changed_nothing_leaves_the_twin_a_duplicate(scripts: Scripts) -> None:
    scripts.do(claim("c1", "a", ("deal:1",), until="change"))
    scripts.do(claim("c2", "b", ("deal:1",), until="change"), changed=False)
    assert word(scripts.admit(claim("c3", "a", ("deal:1",), until="change"))) == "completed"


def test_an_intent_to_add_is_a_duplicate_whatever_else_was_written(scripts: Scripts) -> None:
    scripts.do(claim("c1", "note", ("deal:1",), until="window"))
    scripts.do(claim("c2", "stage", ("deal:1",), until="change"))
    assert word(scripts.admit(claim("c3", "note", ("deal:1",), until="window"))) == "completed"


def test_a_version_outlives_the_longest_window_that_is_compared_with_it(scripts: Scripts) -> None:
    scripts.do(claim("c1", "a", ("deal:1",), until="change", window_ms=3_600_000))
    scripts.do(claim("c2", "b", ("deal:1",), until="change", window_ms=1_000))
    scripts.advance(3_000_000)
    assert word(scripts.admit(claim("c3", "a", ("deal:1",), until="change"))) == "granted"


def test_an_entity_that_no_window_looks_at_leaves_nothing_behind(scripts: Scripts) -> None:
    scripts.do(claim("c1", None, ("deal:1",)))
    assert {key.split(b":")[2] for key in scripts.client.scan_iter()} == {b"fence"}


@pytest.mark.parametrize("ending", ["free", "not_sent"])
def test_a_call_that_changed_nothing_leaves_nothing_behind(scripts: Scripts, ending: str) -> None:
    scripts.do(claim("c1", "x", ("a",), {"global": 1}), ending)
    assert {key.split(b":")[2] for key in scripts.client.scan_iter()} == {b"fence"}
    assert word(scripts.admit(claim("c2", "x"))) == "granted"


def test_a_twin_of_something_done_whose_answer_was_not_kept_is_told_so(scripts: Scripts) -> None:
    scripts.do(claim("c1", "x"), "done", note="200")
    assert scripts.admit(claim("c2", "x")) == ["done", "200"]


def test_the_same_key_with_another_request_is_refused_whatever_became_of_the_first(scripts: Scripts) -> None:
    fence = scripts.grant(claim("c1", "x", fingerprint="f1"))
    assert scripts.admit(claim("c2", "x", fingerprint="f2")) == ["reused"]
    scripts.settle("c1", fence)
    assert scripts.admit(claim("c3", "x", fingerprint="f2")) == ["reused"]
    assert word(scripts.admit(claim("c4", "x", fingerprint="f1"))) == "completed"


def test_an_unknown_outcome_is_held_and_says_since_when_why_and_by_whom(scripts: Scripts) -> None:
    scripts.do(claim("c1", "x", run="run-7"), "unknown", note="timeout")
    scripts.advance(5000)
    held, since_ms, why, about = scripts.admit(claim("c2", "x"))
    assert (held, since_ms, why) == ("unknown", 5000, "timeout")
    assert about.startswith("run-7\n")


def test_an_unknown_outcome_may_be_sent_again_while_the_upstream_remembers_its_key(scripts: Scripts) -> None:
    scripts.do(claim("c1", "x"), "unknown")
    scripts.advance(9_000)
    again = claim("c2", "x", resend=True, resend_ms=10_000)
    granted, fence, origin = scripts.admit(again)
    assert (granted, origin) == ("granted", "c1")  # the key the upstream saw first
    scripts.settle("c2", fence, "unknown")
    scripts.advance(2_000)  # counted from the first attempt, not from the last
    assert word(scripts.admit(claim("c3", "x", resend=True, resend_ms=10_000))) == "unknown"


def test_an_unknown_write_may_be_sent_again_only_while_nobody_else_wrote(scripts: Scripts) -> None:
    put = {"locks": ("deal:1",), "until": "change", "resend": True}
    scripts.do(claim("c1", "x", **put), "unknown")
    granted, fence, _ = scripts.admit(claim("c2", "x", **put))
    assert granted == "granted"
    scripts.settle("c2", fence, "unknown")
    scripts.do(claim("c3", "y", ("deal:1",)))
    assert word(scripts.admit(claim("c4", "x", **put))) == "unknown"


def test_a_resend_that_was_not_sent_leaves_the_outcome_as_unknown_as_it_was(scripts: Scripts) -> None:
    scripts.do(claim("c1", "x"), "unknown", note="timeout")
    scripts.do(claim("c2", "x", resend=True, resend_ms=10_000), "not_sent")
    assert scripts.admit(claim("c3", "x"))[:3] == ["unknown", 0, "timeout"]
    assert [item[0] for item in scripts.run("peek", "unknown", 10)[1:]] == [b"x"]


def test_a_resend_waits_until_the_first_request_must_be_over(scripts: Scripts) -> None:
    put = {"locks": ("deal:1",), "until": "change", "resend": True, "timeout_ms": 5_000}
    scripts.do(claim("c1", "x", **put), "unknown", over=False)
    assert scripts.admit(claim("c2", "x", **put), "now")[:2] == ["blocked", 1]
    scripts.advance(5_500)
    assert word(scripts.admit(claim("c3", "x", **put))) == "granted"


def test_locks_are_taken_all_or_none(scripts: Scripts) -> None:
    scripts.grant(claim("c1", None, ("b",)))
    assert word(scripts.admit(claim("c2", None, ("a", "b", "c")))) == "waiting"
    assert scripts.holders("lock:a") == scripts.holders("lock:c") == set()


def test_a_cap_is_never_exceeded(scripts: Scripts) -> None:
    replies = [word(scripts.admit(claim(f"c{n}", None, (), {"global": 3}))) for n in range(5)]
    assert replies == ["granted"] * 3 + ["waiting"] * 2


def test_a_wait_says_what_blocks_who_holds_it_and_how_many_are_ahead(scripts: Scripts) -> None:
    scripts.grant(claim("c1", None, ("a",), run="run-7"))
    scripts.admit(claim("c2", None, ("a",)))
    waiting, at, ahead, left_ms, state, holder, about = scripts.admit(claim("c3", None, ("a",)))
    assert (waiting, at, ahead, state, holder) == ("waiting", 1, 1, "granted", "c1")
    assert left_ms == 30_500
    assert about.startswith("run-7\ndunning\n")


def test_who_will_not_wait_is_told_at_once_and_leaves_no_ticket(scripts: Scripts) -> None:
    scripts.grant(claim("c1", None, ("a",)))
    assert word(scripts.admit(claim("c2", None, ("a",)), "now")) == "blocked"
    assert scripts.states() == {"c1": "granted"}


def test_the_waiting_room_has_walls(scripts: Scripts) -> None:
    scripts.grant(claim("c0", None, ("a",)))
    walls = {"depth": (2, 3)}
    assert word(scripts.admit(claim("c1", None, ("a",), tenant="t1", **walls))) == "waiting"
    assert word(scripts.admit(claim("c2", None, ("a",), tenant="t1", **walls))) == "waiting"
    assert scripts.admit(claim("c3", None, ("a",), tenant="t1", **walls)) == ["full", "tenant", 0]
    assert word(scripts.admit(claim("c4", None, ("a",), tenant="t2", **walls))) == "waiting"
    assert scripts.admit(claim("c5", None, ("a",), tenant="t2", **walls)) == ["full", "total", 0]


def test_many_records_do_not_make_a_call_dearer(scripts: Scripts) -> None:
    def commands() -> int:
        stats = scripts.client.info("commandstats")
        return sum(
            value["calls"] for name, value in stats.items() if name not in ("cmdstat_info", "cmdstat_evalsha")
        )

    def cost(call: str) -> int:
        before = commands()
        scripts.do(claim(call, call, ("a",), {"global": 5}, until="change"))
        return commands() - before

    scripts.do(claim("warm", "warm", ("a",), {"global": 5}, until="change"))
    few = cost("few")
    for n in range(300):
        scripts.do(claim(f"c{n}", f"x{n}", (f"d{n}",), until="change"))
    assert cost("many") == few
