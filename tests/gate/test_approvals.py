"""A call that needs a person's agreement: asked once, good once, for that request alone, and never for ever."""

import asyncio
from typing import Any

import pytest

from sidecar.core.claim import Replay
from sidecar.core.outcome import Outcome
from sidecar.core.refusal import Refusal
from sidecar.tasks import spawn
from tests.gate.conftest import Open
from tests.gate.people import HOLD_MS, TTL_MS, asking, decide, pending, questions
from tests.gate.scripts import Scripts, claim


def test_a_call_waits_until_a_person_agrees_and_then_goes(scripts: Scripts) -> None:
    word, nth, patience_ms, said, question, left_ms, missing = scripts.admit(asking("c1"))
    assert (word, nth, patience_ms, said) == ("guarded", 0, HOLD_MS, "pending")
    assert (left_ms, missing) == (TTL_MS, 1)
    assert decide(scripts, question) == "approved"
    assert scripts.admit(asking("c1"), "again")[0] == "granted"


def test_who_waits_for_a_person_holds_nothing_and_stands_in_no_line(scripts: Scripts) -> None:
    pending(scripts, asking("c1", locks=("a",), caps={"global": 1}))
    assert scripts.states() == {}
    assert scripts.admit(claim("c2", None, ("a",), {"global": 1}))[0] == "granted"


def test_identical_calls_share_one_question(scripts: Scripts) -> None:
    question = pending(scripts, asking("c1"))
    assert pending(scripts, asking("c2")) == question
    assert pending(scripts, asking("c3", run="another")) == question
    assert len(questions(scripts)) == 1


@pytest.mark.parametrize(
    "changed", [{"request": "refund 8", "intent": "refund 7"}, {"intent": "another intent"}]
)
def test_a_changed_call_needs_an_approval_of_its_own(scripts: Scripts, changed: dict[str, str]) -> None:
    question = pending(scripts, asking("c1"))
    decide(scripts, question)
    assert pending(scripts, asking("c2", **changed)) != question
    assert scripts.admit(asking("c3"))[0] == "granted"


def test_an_approval_is_good_for_one_call(scripts: Scripts) -> None:
    question = pending(scripts, asking("c1", intent=None))
    decide(scripts, question)
    assert scripts.do(asking("c1", intent=None))
    assert questions(scripts, question)[0]["state"] == "used"
    assert pending(scripts, asking("c2", intent=None)) != question


def test_a_twin_of_an_approved_call_gets_its_answer_and_after_the_window_needs_a_new_approval(
    scripts: Scripts,
) -> None:
    question = pending(scripts, asking("c1", window_ms=60_000))
    decide(scripts, question)
    scripts.do(asking("c1", window_ms=60_000))
    assert scripts.admit(asking("c2"))[0] == "completed"
    scripts.advance(60_001)
    assert pending(scripts, asking("c3")) != question


def test_two_that_wait_for_one_approval_send_one_call(scripts: Scripts) -> None:
    decide(scripts, pending(scripts, asking("c1")))
    fence = scripts.grant(asking("c1"))
    assert scripts.admit(asking("c2"))[:2] == ["waiting", 0]
    scripts.settle("c1", fence)
    assert scripts.admit(asking("c2"), "again")[0] == "completed"


def test_two_that_wait_for_one_approval_without_an_intent_send_one_call(scripts: Scripts) -> None:
    question = pending(scripts, asking("c1", intent=None))
    decide(scripts, question)
    scripts.grant(asking("c1", intent=None))
    assert pending(scripts, asking("c2", intent=None), "again") != question


def test_a_denied_call_is_told_who_and_why_and_nobody_is_asked_again(scripts: Scripts) -> None:
    question = pending(scripts, asking("c1"))
    assert decide(scripts, question, "deny", why="not this one") == "denied"
    for call in ("c1", "c2"):
        assert scripts.admit(asking(call))[1:] == [0, 0, "denied", question, "Grace", "not this one"]
    scripts.advance(TTL_MS + 1)
    assert pending(scripts, asking("c3")) != question


def test_a_question_that_nobody_answers_ends(scripts: Scripts) -> None:
    question = pending(scripts, asking("c1"))
    scripts.advance(TTL_MS)
    assert decide(scripts, question) == "gone"
    assert pending(scripts, asking("c1"), "again") != question


def test_an_approval_that_nobody_uses_ends(scripts: Scripts) -> None:
    question = pending(scripts, asking("c1"))
    scripts.advance(TTL_MS - 1)
    decide(scripts, question)
    scripts.advance(TTL_MS - 1)
    assert questions(scripts, question)[0]["state"] == "approved"
    scripts.advance(1)
    assert pending(scripts, asking("c1")) != question


def test_who_answers_an_old_question_answers_no_new_one(scripts: Scripts) -> None:
    old = pending(scripts, asking("c1"))
    scripts.advance(TTL_MS)
    new = pending(scripts, asking("c1"))
    assert decide(scripts, old) == "gone"
    assert questions(scripts, new)[0]["state"] == "pending"


def test_an_approved_call_is_admitted_afresh_and_takes_its_turn(scripts: Scripts) -> None:
    decide(scripts, pending(scripts, asking("c1", locks=("a",))))
    fence = scripts.grant(claim("c0", None, ("a",)))
    assert scripts.admit(asking("c1", locks=("a",)), "again")[:2] == ["waiting", 1]
    scripts.settle("c0", fence, "done")
    assert scripts.states()["c1"] == "offered"
    assert scripts.admit(asking("c1", locks=("a",)), "again")[0] == "granted"


def test_an_approval_that_ends_while_its_call_stands_in_line_lets_nothing_through(scripts: Scripts) -> None:
    question = pending(scripts, asking("c1", locks=("a",)))
    decide(scripts, question)
    fence = scripts.grant(claim("c0", None, ("a",), timeout_ms=2 * TTL_MS))
    scripts.admit(asking("c1", locks=("a",)), "again")
    for _ in range(TTL_MS // 10_000):
        scripts.renew("c0")
        scripts.advance(10_000)
        if scripts.admit(asking("c1", locks=("a",)), "again")[0] == "guarded":
            break
    scripts.settle("c0", fence, "done")
    assert scripts.states() == {}
    assert pending(scripts, asking("c1", locks=("a",)), "again") != question


def test_a_call_that_was_not_sent_gives_its_approval_back(scripts: Scripts) -> None:
    question = pending(scripts, asking("c1"))
    decide(scripts, question)
    scripts.do(asking("c1"), "not_sent", changed=False)
    assert questions(scripts, question)[0]["state"] == "approved"
    assert scripts.admit(asking("c2"))[0] == "granted"


def test_an_offer_that_nobody_takes_gives_its_approval_back(scripts: Scripts) -> None:
    question = pending(scripts, asking("c1", locks=("a",)))
    decide(scripts, question)
    fence = scripts.grant(claim("c0", None, ("a",)))
    scripts.admit(asking("c1", locks=("a",)), "again")
    scripts.settle("c0", fence, "done")
    assert questions(scripts, question)[0]["state"] == "used"
    scripts.advance(2_001)
    assert questions(scripts, question)[0]["state"] == "approved"


@pytest.mark.parametrize(("effect", "state"), [(True, "approved"), (False, "used")])
def test_a_call_that_the_upstream_did_not_apply_gives_it_back_unless_it_never_applies_anything(
    scripts: Scripts, effect: bool, state: str
) -> None:
    asked = asking("c1", guard={"effect": effect})
    question = pending(scripts, asked)
    decide(scripts, question)
    scripts.do(asked, "free", changed=False)
    assert questions(scripts, question)[0]["state"] == state


def test_an_unknown_outcome_keeps_the_approval_used(scripts: Scripts) -> None:
    question = pending(scripts, asking("c1"))
    decide(scripts, question)
    scripts.do(asking("c1"), "unknown", over=True)
    assert questions(scripts, question)[0]["state"] == "used"
    assert scripts.admit(asking("c2"))[0] == "unknown"


def test_an_unknown_attempt_is_sent_again_on_the_same_approval(scripts: Scripts) -> None:
    decide(scripts, pending(scripts, asking("c1", resend=True, resend_ms=60_000)))
    scripts.do(asking("c1", resend=True, resend_ms=60_000), "unknown")
    fence = scripts.grant(asking("c2", resend=True, resend_ms=60_000))
    scripts.settle("c2", fence, "not_sent", changed=False)
    scripts.do(asking("c3", resend=True, resend_ms=60_000))
    assert scripts.admit(asking("c4", resend=True, resend_ms=60_000))[0] == "completed"


def test_an_attempt_that_nobody_approved_is_not_sent_again_on_the_approval_of_another(
    scripts: Scripts,
) -> None:
    again: dict[str, Any] = {"resend": True, "resend_ms": 60_000}
    scripts.do(claim("c0", "refund 7", **again), "unknown")
    decide(scripts, pending(scripts, asking("c1", **again)))
    scripts.do(asking("c1", **again), "unknown")
    pending(scripts, asking("c2", **again))


def test_a_sidecar_that_dies_mid_call_leaves_its_approval_used_until_a_late_word_says_otherwise(
    scripts: Scripts,
) -> None:
    question = pending(scripts, asking("c1"))
    decide(scripts, question)
    fence = scripts.grant(asking("c1"))
    scripts.advance(15_001)
    assert questions(scripts, question)[0]["state"] == "used"
    assert scripts.settle("c1", fence, "not_sent", changed=False) == "late"
    assert questions(scripts, question)[0]["state"] == "approved"


def test_an_approval_comes_back_to_no_request_that_was_asked_about_anew(scripts: Scripts) -> None:
    old = pending(scripts, asking("c1", intent=None))
    decide(scripts, old)
    fence = scripts.grant(asking("c1", intent=None))
    new = pending(scripts, asking("c2", intent=None))
    scripts.settle("c1", fence, "not_sent", changed=False)
    assert questions(scripts, old)[0]["state"] == "used"
    assert pending(scripts, asking("c2", intent=None)) == new


@pytest.mark.parametrize(("first", "second"), [("approve", "deny"), ("deny", "approve")])
def test_the_first_answer_counts(scripts: Scripts, first: str, second: str) -> None:
    question = pending(scripts, asking("c1"))
    once = decide(scripts, question, first, "Grace")
    assert decide(scripts, question, second, "Ada") == "decided"
    assert decide(scripts, question, second, "Grace") == "decided"
    assert questions(scripts, question)[0]["state"] == once


def test_an_answer_said_twice_is_heard_once_and_answered_alike(scripts: Scripts) -> None:
    question = pending(scripts, asking("c1"))
    assert [decide(scripts, question) for _ in range(2)] == ["approved", "approved"]
    scripts.do(asking("c1"))
    assert decide(scripts, question) == "approved"
    assert len(questions(scripts, question)[0]["said"]) == 1
    assert decide(scripts, question, by="Ada") == "decided"


def test_two_people_are_two_names(scripts: Scripts) -> None:
    asked = asking("c1", guard={"approvers": 2})
    question = pending(scripts, asked)
    assert decide(scripts, question, by="Grace") == "pending"
    assert decide(scripts, question, by="GRACE") == "pending"
    assert scripts.admit(asked, "again")[-1] == 1
    assert decide(scripts, question, by="Ada") == "approved"
    assert scripts.admit(asked, "again")[0] == "granted"


def test_one_no_is_enough_also_from_who_said_yes(scripts: Scripts) -> None:
    question = pending(scripts, asking("c1", guard={"approvers": 2}))
    decide(scripts, question)
    assert decide(scripts, question, "deny") == "denied"


@pytest.mark.parametrize("by", ["acme", "Dunning", "run-7"])
def test_who_asks_does_not_decide(scripts: Scripts, by: str) -> None:
    question = pending(scripts, asking("c1", run="RUN-7"))
    assert decide(scripts, question, by=by) == "asker"
    assert decide(scripts, question, "deny", by=by) == "asker"
    assert questions(scripts, question)[0]["state"] == "pending"


@pytest.mark.parametrize("whose", ["run", "tenant"])
def test_questions_are_bounded_and_a_decided_or_ended_one_makes_room(scripts: Scripts, whose: str) -> None:
    guard = {f"per_{whose}": 2}
    first = pending(scripts, asking("c1", "one", guard=guard))
    pending(scripts, asking("c2", "two", guard=guard))
    assert scripts.admit(asking("c3", "three", guard=guard))[1:] == [0, 0, "many", whose, 2]
    assert pending(scripts, asking("c4", "one", guard=guard)) == first  # who attaches opens none
    decide(scripts, first, "deny")
    scripts.advance(1)
    pending(scripts, asking("c3", "three", guard=guard))
    assert scripts.admit(asking("c5", "four", guard=guard))[3] == "many"
    scripts.advance(TTL_MS - 1)
    pending(scripts, asking("c5", "four", guard=guard))


def test_one_run_that_asks_much_leaves_room_to_others(scripts: Scripts) -> None:
    guard = {"per_run": 1}
    pending(scripts, asking("c1", "one", guard=guard))
    pending(scripts, asking("c2", "two", guard=guard | {"run": "4:acme/run-2"}))
    pending(scripts, asking("c3", "three", guard=guard | {"run": ""}))


def test_who_only_observes_asks_nobody(scripts: Scripts) -> None:
    assert scripts.admit(asking("c1", guard={"hold_ms": 0, "ttl_ms": 0}), "now") == ["guarded", 0, 0, "would"]
    assert questions(scripts) == []


def test_nothing_of_an_approval_outlives_its_time(scripts: Scripts) -> None:
    for number in range(5):
        asked = asking(f"c{number}", f"refund {number}", window_ms=1)
        decide(scripts, pending(scripts, asked), "approve" if number % 2 else "deny")
    scripts.do(asking("c1", "refund 1", window_ms=1))
    forever = {
        key
        for key in scripts.client.keys("*")
        if scripts.client.pttl(key) == -1 and not key.endswith(b":fence")
    }
    assert forever == set()


def test_a_question_is_announced_by_one_and_by_another_if_that_one_dies(scripts: Scripts) -> None:
    question = pending(scripts, asking("c1"))
    word, tries, _ = scripts.run("notice", 30_000)
    assert (word, tries) == ("notice", 0)
    assert scripts.run("notice", 30_000) == ["nothing"]
    scripts.advance(30_000)
    assert scripts.run("notice", 30_000)[:2] == ["notice", 1]
    scripts.run("noticed", question, 5_000)
    assert scripts.run("notice", 30_000) == ["nothing"]
    scripts.advance(5_000)
    assert scripts.run("notice", 30_000)[:2] == ["notice", 2]
    scripts.run("noticed", question, 0)
    scripts.advance(60_000)
    assert scripts.run("notice", 30_000) == ["nothing"]


def test_what_was_answered_is_not_announced_any_more(scripts: Scripts) -> None:
    question = pending(scripts, asking("c1"))
    scripts.run("notice", 1_000)
    decide(scripts, question)
    scripts.run("noticed", question, 1_000)
    scripts.advance(2_000)
    assert scripts.run("notice", 1_000) == ["nothing"]


async def test_a_held_call_goes_on_when_it_is_approved(open_gate: Open) -> None:
    gate = await open_gate()
    waiting = spawn(gate.admit(asking("c1", guard={"hold_ms": 60_000})), "a held call")
    while not (found := await gate.people.approvals.all()):
        await asyncio.sleep(0.01)
    assert found[0]["state"] == "pending"
    assert (found[0]["run"], found[0]["show"]) == ("run-c1", {"to": "ada"})
    assert 0 < found[0]["left_ms"] <= TTL_MS
    assert (await gate.people.approvals.decide(found[0]["id"], "approve", "Grace", "fine"))[0] == "approved"
    lease = await asyncio.wait_for(waiting, 5)
    assert not isinstance(lease, Replay)
    assert lease.blocked_by == f"approval:{found[0]['id']}"
    await lease.settle(Outcome("completed", "done", 200, changed=True))
    kept = await gate.people.approvals.one(found[0]["id"])
    assert kept is not None
    assert (kept["state"], kept["used_by"]) == ("used", "c1")
    assert await gate.people.approvals.one("nothing") is None


async def test_a_held_call_hears_of_a_no_at_once(open_gate: Open) -> None:
    gate = await open_gate()
    waiting = spawn(gate.admit(asking("c1", guard={"hold_ms": 60_000})), "a held call")
    while not (found := await gate.people.approvals.all()):
        await asyncio.sleep(0.01)
    await gate.people.approvals.decide(found[0]["id"], "deny", "Grace", "")
    with pytest.raises(Refusal, match="approval-denied"):
        await asyncio.wait_for(waiting, 5)


async def test_the_refusals_say_where_the_question_is_and_who_said_no(open_gate: Open) -> None:
    gate = await open_gate()
    asked = asking("c1", guard={"hold_ms": 0})
    with pytest.raises(Refusal) as no:
        await gate.admit(asked)
    (question,) = [item["id"] for item in await gate.people.approvals.all()]
    assert (no.value.code, no.value.approval) == ("approval-pending", f"/approvals/{question}")
    assert no.value.retryable
    await gate.people.approvals.decide(question, "deny", "Grace", "wrong person")
    with pytest.raises(Refusal) as no:
        await gate.admit(asked._replace(call="c2"))
    assert (no.value.code, no.value.retryable) == ("approval-denied", False)
    assert "Grace denied this call: wrong person." in no.value.detail


async def test_too_many_questions_are_refused_in_words(open_gate: Open) -> None:
    gate = await open_gate()
    guard = {"hold_ms": 0, "per_run": 1}
    with pytest.raises(Refusal):
        await gate.admit(asking("c1", "one", guard=guard))
    with pytest.raises(Refusal) as no:
        await gate.admit(asking("c2", "two", guard=guard))
    assert (no.value.code, no.value.blocked_by) == ("queue-full", "approvals:run")
