"""Order on the real scripts: what goes, what waits, what is refused, and what a state is after each ending."""

from typing import Any

import pytest

from tests.gate.scripts import Scripts, claim
from tests.gate.steps import HOUR_MS, order, step


def said(
    scripts: Scripts, call: str, requires: str = "", sets: str = "", mode: str = "now", **others: Any
) -> Any:
    """The word for a call that asks once: ``granted``, or the guard's own, and the state it speaks of."""
    reply = scripts.admit(step(call, requires, sets, **others), mode)
    return reply[0] if reply[0] != "guarded" else (reply[3], reply[5])


def do(
    scripts: Scripts, call: str, requires: str = "", sets: str = "", ending: str = "answer", **others: Any
) -> int:
    """Grant a step and settle it; its fence."""
    settled = {name: others.pop(name) for name in ("note", "changed", "over") if name in others}
    fence = scripts.grant(step(call, requires, sets, **others))
    assert scripts.settle(call, fence, ending, **({"note": "200"} | settled)) == "settled"
    return fence


def test_a_step_goes_once_the_one_before_it_is_done(scripts: Scripts) -> None:
    assert said(scripts, "c1", "validated") == ("unseen", "")
    do(scripts, "c2", sets="validated")
    assert said(scripts, "c3", "validated") == "granted"


def test_an_entity_has_one_state_so_a_step_is_not_done_twice(scripts: Scripts) -> None:
    do(scripts, "c1", sets="validated")
    do(scripts, "c2", "validated", "paid")
    assert said(scripts, "c3", "validated", "paid") == ("missing", "paid")
    assert said(scripts, "c4", "draft validated paid") == "granted"


def test_the_twin_of_a_step_that_is_done_gets_its_answer_whatever_the_state_is_now(scripts: Scripts) -> None:
    do(scripts, "c1", sets="validated")
    do(scripts, "c2", "validated", "paid", intent="x")
    assert scripts.admit(step("c3", "validated", "paid", intent="x"))[0] == "completed"


@pytest.mark.parametrize(
    ("ending", "note", "changed", "sets"),
    [
        ("answer", "200", True, True),
        ("answer", "201", False, True),
        ("done", "204", True, True),
        ("free", "200", False, True),
        ("free", "303", True, True),
        ("answer", "404", False, False),
        ("answer", "422", False, False),
        ("free", "429", False, False),
        ("free", "304", True, False),
        ("free", "308", True, False),
        ("answer", "207", True, False),
        ("answer", "500", True, False),
        ("answer", "", True, True),
        ("free", "", False, False),
        ("not_sent", "", False, False),
    ],
)
def test_only_a_success_sets_the_state(
    scripts: Scripts, ending: str, note: str, changed: bool, sets: bool
) -> None:
    do(scripts, "c1", sets="validated", ending=ending, note=note, changed=changed)
    assert (said(scripts, "c2", "validated") == "granted") is sets


def test_a_state_is_too_old_after_its_time(scripts: Scripts) -> None:
    do(scripts, "c1", sets="validated")
    scripts.advance(HOUR_MS)
    assert said(scripts, "c2", "validated", max_age_ms=HOUR_MS) == "granted"
    scripts.advance(1)
    assert said(scripts, "c3", "validated", max_age_ms=HOUR_MS) == ("stale", "validated")
    do(scripts, "c4", sets="validated")
    assert said(scripts, "c5", "validated", max_age_ms=HOUR_MS) == "granted"


def test_a_state_is_forgotten_after_its_retention_and_nothing_is_left(scripts: Scripts) -> None:
    do(scripts, "c1", sets="validated", retention_ms=HOUR_MS)
    scripts.advance(HOUR_MS)
    assert said(scripts, "c2", "validated") == ("unseen", "")


def test_a_step_waits_for_the_one_that_is_on_its_way_and_no_longer_than_it_says(scripts: Scripts) -> None:
    fence = scripts.grant(step("c1", sets="validated"))
    reply = scripts.admit(step("c2", "validated", wait_ms=3_000))
    assert reply[:4] == ["guarded", 0, 3_000, "running"]
    assert 0 < reply[4] <= 30_500
    assert reply[5:] == ["validated", "run-c1\ndunning\ncrm\ndeal.update\nwrite\nacme"]
    scripts.settle("c1", fence, note="200")
    assert scripts.admit(step("c2", "validated"), "again")[0] == "granted"


def test_whoever_waits_is_woken_by_the_end_of_the_step(scripts: Scripts) -> None:
    heard = scripts.client.pubsub(ignore_subscribe_messages=True)
    heard.subscribe(scripts.prefix + b"wake:here")
    assert heard.get_message(timeout=5) is None
    fence = scripts.grant(step("c1", sets="validated"))
    scripts.admit(step("c2", "validated"))
    scripts.admit(step("c3", "validated", wait_ms=0))
    scripts.settle("c1", fence, "free", note="429")
    messages = [heard.get_message(timeout=0.2) for _ in range(2)]
    assert [message and message["data"] for message in messages] == [b"c2", None]
    heard.close()


def test_a_state_that_is_about_to_end_holds_back_who_requires_it(scripts: Scripts) -> None:
    do(scripts, "c1", sets="validated")
    fence = scripts.grant(step("c2", "validated", "void"))
    assert said(scripts, "c3", "validated", "paid") == ("running", "void")
    scripts.settle("c2", fence, "free", note="409")
    assert said(scripts, "c4", "validated", "paid") == "granted"


def test_two_steps_of_one_entity_never_run_together(scripts: Scripts) -> None:
    scripts.grant(step("c1", sets="validated"))
    assert said(scripts, "c2", sets="validated") == ("running", "validated")
    assert said(scripts, "c3", sets="validated", entity="invoice:2") == "granted"


def test_an_unknown_step_blocks_what_requires_its_entity_until_its_record_is_forgotten(
    scripts: Scripts,
) -> None:
    do(scripts, "c1", sets="validated")
    fence = scripts.grant(step("c2", "validated", "paid", intent="x"))
    scripts.settle("c2", fence, "unknown", note="timeout", retain_ms=HOUR_MS)
    assert said(scripts, "c3", "paid") == ("unknown", "paid")
    assert said(scripts, "c4", "validated", "void") == ("unknown", "paid")
    scripts.advance(HOUR_MS)
    assert said(scripts, "c5", "validated", "void") == "granted"


def test_a_step_whose_sidecar_died_is_unknown(scripts: Scripts) -> None:
    scripts.grant(step("c1", sets="validated"))
    scripts.advance(15_000)
    assert said(scripts, "c2", "validated") == ("unknown", "validated")


def test_the_truth_that_comes_late_counts(scripts: Scripts) -> None:
    fence = scripts.grant(step("c1", sets="validated"))
    scripts.advance(15_000)
    assert scripts.settle("c1", fence, note="200") == "late"
    assert said(scripts, "c2", "validated") == "granted"


def test_a_late_refusal_leaves_the_state_that_was(scripts: Scripts) -> None:
    do(scripts, "c1", sets="validated")
    fence = scripts.grant(step("c2", "validated", "paid"))
    scripts.advance(15_000)
    assert scripts.settle("c2", fence, "free", note="402", changed=False) == "late"
    assert said(scripts, "c3", "validated") == "granted"


def test_the_retry_of_an_unknown_step_goes_on_where_it_stood(scripts: Scripts) -> None:
    do(scripts, "c1", sets="validated")
    again = {"requires": "validated", "sets": "paid", "intent": "x", "resend": True, "resend_ms": HOUR_MS}
    fence = scripts.grant(step("c2", **again))
    scripts.settle("c2", fence, "unknown", note="timeout")
    do(scripts, "c3", **again)
    assert said(scripts, "c4", "paid") == "granted"


@pytest.mark.parametrize(("ending", "note"), [("not_sent", ""), ("free", "429")])
def test_a_retry_that_did_not_go_leaves_the_step_as_unknown_as_it_was(
    scripts: Scripts, ending: str, note: str
) -> None:
    again = {"sets": "validated", "intent": "x", "resend": True, "resend_ms": HOUR_MS}
    fence = scripts.grant(step("c1", **again))
    scripts.settle("c1", fence, "unknown", note="timeout")
    do(scripts, "c2", ending=ending, note=note, changed=False, **again)
    assert said(scripts, "c3", "validated") == ("unknown", "validated")


def test_a_retry_that_was_handed_its_turn_and_never_came_leaves_it_unknown(scripts: Scripts) -> None:
    again = {"sets": "validated", "intent": "x", "resend": True, "resend_ms": HOUR_MS}
    fence = scripts.grant(step("c1", **again))
    scripts.settle("c1", fence, "unknown", note="timeout")
    scripts.grant(step("c2", **again))
    assert scripts.leave("c2") == "left"
    assert said(scripts, "c3", "validated") == ("unknown", "validated")


def test_a_step_that_requires_nothing_goes_over_an_unknown_one_once_that_must_be_over(
    scripts: Scripts,
) -> None:
    fence = scripts.grant(step("c1", sets="validated"))
    scripts.settle("c1", fence, "unknown", note="timeout", over=False)
    assert said(scripts, "c2", sets="validated") == ("unknown", "validated")
    scripts.advance(30_500)
    do(scripts, "c3", sets="validated")
    assert said(scripts, "c4", "validated") == "granted"
    assert scripts.settle("c1", fence, "free", note="500") == "gone"
    assert said(scripts, "c5", "validated") == "granted"


def test_an_unknown_step_that_was_answered_is_over_at_once(scripts: Scripts) -> None:
    do(scripts, "c1", sets="validated", ending="unknown", note="status 500")
    assert said(scripts, "c2", sets="validated") == "granted"


def test_a_grant_that_is_given_back_sets_nothing(scripts: Scripts) -> None:
    scripts.grant(step("c1", sets="validated"))
    assert scripts.leave("c1") == "left"
    assert said(scripts, "c2", "validated") == ("unseen", "")


def test_a_call_that_waits_in_a_line_is_judged_again_when_its_turn_comes(scripts: Scripts) -> None:
    do(scripts, "c1", sets="validated")
    lock = scripts.grant(claim("c2", None, ("a",)))
    paying = step("c3", "validated", "paid", locks=("a",))
    assert scripts.admit(paying)[0] == "waiting"
    do(scripts, "c4", "validated", "void")
    scripts.settle("c2", lock, "not_sent")
    reply = scripts.admit(paying, "again")
    assert (reply[0], reply[3], reply[5]) == ("guarded", "missing", "void")
    assert scripts.admit(claim("c5", None, ("a",)))[0] == "granted"  # and it stands in nobody's way


@pytest.mark.parametrize(
    ("unseen", "word"),
    [
        ("refuse", ("unseen", "")),
        ("probe", ("unseen", "")),
        ("allow", "granted"),
        ("as draft", "granted"),
        ("as void", ("missing", "void")),
    ],
)
def test_an_entity_that_nobody_has_seen_counts_for_what_the_route_says(
    scripts: Scripts, unseen: str, word: object
) -> None:
    assert said(scripts, "c1", "draft", unseen=unseen) == word
    do(scripts, "c2", sets="paid", entity="invoice:2")
    assert said(scripts, "c3", "draft", unseen=unseen, entity="invoice:2") == ("missing", "paid")


def test_what_the_tool_said_counts_for_its_time_and_never_over_what_a_step_set(scripts: Scripts) -> None:
    assert scripts.run("saw", "invoice:1", "draft", 60_000) == ["taken"]
    assert scripts.run("saw", "invoice:1", "paid", 60_000) == ["known"]
    assert said(scripts, "c1", "draft") == "granted"
    scripts.advance(60_000)
    assert said(scripts, "c2", "draft") == ("unseen", "")
    fence = scripts.grant(step("c3", sets="validated"))
    assert scripts.run("saw", "invoice:1", "draft", 60_000) == ["known"]
    scripts.settle("c3", fence, note="200")
    assert scripts.run("saw", "invoice:1", "draft", 60_000) == ["known"]
    assert said(scripts, "c4", "validated") == "granted"


def test_every_order_of_a_call_must_hold_and_all_are_set(scripts: Scripts) -> None:
    both = (order("a:1", "x", "y"), order("b:1", "x", "y"))
    do(scripts, "c1", sets="x", entity="a:1")
    reply = scripts.admit(claim("c2", guards=both))
    assert (reply[:2], reply[3]) == (["guarded", 1], "unseen")
    do(scripts, "c3", sets="x", entity="b:1")
    scripts.do(claim("c4", guards=both), note="200")
    assert said(scripts, "c5", "y", entity="a:1") == said(scripts, "c6", "y", entity="b:1") == "granted"


def test_whatever_is_written_ends_by_itself(scripts: Scripts) -> None:
    do(scripts, "c1", sets="validated")
    fence = scripts.grant(step("c2", "validated", "paid"))
    scripts.admit(step("c3", "paid"))
    scripts.settle("c2", fence, "unknown", note="timeout")
    scripts.admit(step("c4", sets="x", entity="e:2"))
    kept = [key for key in scripts.client.scan_iter() if key.split(b":")[2] in (b"s", b"sw")]
    assert len(kept) == 2
    assert all(scripts.client.pttl(key) > 0 for key in kept)


def test_the_truth_about_a_step_that_another_went_over_changes_nothing(scripts: Scripts) -> None:
    late = scripts.grant(step("c1", sets="validated", quarantine="resolved"))
    scripts.advance(31_000)  # lapsed, and over; it may come back as long as its locks are kept
    do(scripts, "c2", sets="validated")
    scripts.grant(step("c3", "validated", "paid"))
    assert scripts.settle("c1", late, note="200") == "late"
    assert said(scripts, "c4", "validated") == ("running", "paid")


@pytest.mark.parametrize(("ending", "note"), [("not_sent", ""), ("answer", "404")])
def test_a_step_that_went_over_an_unknown_one_and_came_to_nothing_leaves_it_unknown(
    scripts: Scripts, ending: str, note: str
) -> None:
    do(scripts, "c1", sets="validated")
    do(scripts, "c2", sets="void", ending="unknown", note="status 500")
    do(scripts, "c3", sets="validated", ending=ending, note=note, changed=False)
    assert said(scripts, "c4", "validated") == ("unknown", "void")


@pytest.mark.parametrize(("note", "word"), [("200", ("missing", "void")), ("404", "granted")])
def test_the_truth_about_what_a_step_went_over_counts_if_that_step_came_to_nothing(
    scripts: Scripts, note: str, word: object
) -> None:
    do(scripts, "c1", sets="validated")
    late = scripts.grant(step("c2", sets="void", quarantine="resolved"))
    scripts.advance(31_000)
    over = scripts.grant(step("c3", sets="validated"))
    assert scripts.settle("c2", late, note=note, changed=note == "200") == "late"
    scripts.settle("c3", over, "not_sent", changed=False)
    assert said(scripts, "c4", "validated") == word
