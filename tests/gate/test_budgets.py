"""A budget's sum is never above its limit in any stretch of its window, and what had no effect is given back."""

import pytest

from sidecar.core.claim import Claim
from sidecar.core.guard import Budget
from tests.gate.scripts import START_MS, Scripts, claim

HOUR_MS = 3_600_000
BUCKET_MS = HOUR_MS // 60


def spending(call: str, amount: int, intent: str | None = None, limit: int = 100, **others: object) -> Claim:
    budget = Budget("refunds", "crm:refunds:tenant:acme", amount, limit, HOUR_MS, 0)
    others.setdefault("timeout_ms", 10_000)
    return claim(call, intent, guards=(budget,), **others)  # type: ignore[arg-type]


def sums(scripts: Scripts) -> tuple[int, int]:
    """Used and reserved."""
    found = scripts.run("budgets", 10)[1:]
    return (int(found[0][5]), int(found[0][6])) if found else (0, 0)


def said(scripts: Scripts, asked: Claim) -> tuple[str, int, int]:
    """What a refusal says: why, what is left, when there may be room."""
    word, nth, patience, why, left, after = scripts.admit(asked)
    assert (word, nth, patience) == ("guarded", 0, 0)
    return (why.decode() if isinstance(why, bytes) else why), left, after


@pytest.mark.parametrize(
    ("ending", "changed", "after"),
    [
        ("answer", True, (60, 0)),
        ("done", True, (60, 0)),
        ("answer", False, (0, 0)),
        ("free", False, (0, 0)),
        ("not_sent", False, (0, 0)),
        ("unknown", True, (0, 60)),
    ],
)
def test_what_was_reserved_is_used_kept_or_given_back_by_its_outcome(
    scripts: Scripts, ending: str, changed: bool, after: tuple[int, int]
) -> None:
    fence = scripts.grant(spending("c1", 60, "x"))
    assert sums(scripts) == (0, 60)
    scripts.settle("c1", fence, ending, changed=changed)
    assert sums(scripts) == after


def test_a_call_goes_only_where_its_amount_is_left(scripts: Scripts) -> None:
    scripts.do(spending("c1", 60))
    scripts.grant(spending("c2", 30))  # in flight, and reserved
    why, left, _ = said(scripts, spending("c3", 11))
    assert (why, left) == ("full", 10)
    scripts.grant(spending("c4", 10))


def test_an_amount_above_the_limit_never_goes(scripts: Scripts) -> None:
    assert said(scripts, spending("c1", 101))[0] == "never"


def test_room_comes_when_the_amount_is_older_than_the_window_and_a_bucket_at_most(scripts: Scripts) -> None:
    scripts.do(spending("c1", 100))
    _, _, after_ms = said(scripts, spending("c2", 1))
    assert HOUR_MS < after_ms <= HOUR_MS + BUCKET_MS
    scripts.advance(HOUR_MS - 1)
    assert said(scripts, spending("c3", 1))[0] == "full"
    scripts.advance(after_ms - HOUR_MS)
    assert said(scripts, spending("c4", 1))[0] == "full"
    scripts.advance(1)
    scripts.grant(spending("c5", 100))


def test_what_is_used_counts_from_when_it_happened_and_not_from_its_grant(scripts: Scripts) -> None:
    fence = scripts.grant(spending("c1", 100, timeout_ms=20 * BUCKET_MS))
    for _ in range(120):
        scripts.advance(10_000)
        assert scripts.renew("c1") == ["held"]
    scripts.settle("c1", fence, "answer")
    scripts.advance(HOUR_MS - 1)
    assert said(scripts, spending("c2", 1))[0] == "full"


def test_a_crash_keeps_the_amount_reserved_long_after_its_call_is_forgotten(scripts: Scripts) -> None:
    fence = scripts.grant(spending("dead", 40, "x"))
    scripts.advance(10_600)
    scripts.advance(60_000)
    assert scripts.settle("dead", fence, "not_sent", changed=False) == "gone"
    assert sums(scripts) == (0, 40)


def test_a_late_truth_replaces_the_doubt_and_its_amount_counts_once(scripts: Scripts) -> None:
    fence = scripts.grant(spending("c1", 40, "x", locks=("a",), timeout_ms=60_000))
    scripts.advance(16_000)  # nobody renewed it
    assert sums(scripts) == (0, 40)
    assert scripts.settle("c1", fence, "answer") == "late"
    assert sums(scripts) == (40, 0)
    assert not scripts.client.keys(scripts.prefix + b"bu:*")


def test_a_late_not_sent_gives_the_amount_back(scripts: Scripts) -> None:
    fence = scripts.grant(spending("c1", 40, "x", locks=("a",), timeout_ms=60_000))
    scripts.advance(16_000)
    assert scripts.settle("c1", fence, "not_sent", changed=False) == "late"
    assert sums(scripts) == (0, 0)


def test_a_resend_takes_over_what_its_unknown_attempt_reserved(scripts: Scripts) -> None:
    scripts.do(spending("c1", 80, "x", resend=True, resend_ms=HOUR_MS), "unknown")
    assert said(scripts, spending("other", 30, "y"))[1] == 20
    fence = scripts.grant(spending("c2", 80, "x", resend=True, resend_ms=HOUR_MS))
    assert sums(scripts) == (0, 80)
    scripts.settle("c2", fence, "answer")
    assert sums(scripts) == (80, 0)


@pytest.mark.parametrize("ending", ["not_sent", "free"])
def test_a_resend_that_changed_nothing_leaves_the_doubt_of_the_first_attempt(
    scripts: Scripts, ending: str
) -> None:
    terms = {"resend": True, "resend_ms": HOUR_MS}
    scripts.do(spending("c1", 80, "x", **terms), "unknown")
    scripts.do(spending("c2", 80, "x", **terms), ending, changed=False)
    assert sums(scripts) == (0, 80)
    scripts.do(spending("c3", 80, "x", **terms), "answer")
    assert sums(scripts) == (80, 0)


def test_a_replay_costs_nothing_also_where_nothing_is_left(scripts: Scripts) -> None:
    scripts.do(spending("c1", 100, "x"))
    assert scripts.admit(spending("c2", 100, "x"))[0] == "completed"
    assert sums(scripts) == (100, 0)


def test_a_limit_that_was_changed_counts_at_once(scripts: Scripts) -> None:
    scripts.do(spending("c1", 90))
    scripts.grant(spending("c2", 90, limit=200))
    why, left, _ = said(scripts, spending("c3", 1, limit=50))
    assert (why, left) == ("full", 0)


def test_a_place_given_back_unused_gives_the_amount_back(scripts: Scripts) -> None:
    fence = scripts.grant(claim("first", None, ("a",)))
    scripts.admit(spending("w", 60, None, locks=("a",)))
    scripts.settle("first", fence, "free")
    assert sums(scripts) == (0, 60)  # offered
    scripts.leave("w")
    assert sums(scripts) == (0, 0)


def test_an_offer_that_lapses_gives_the_amount_back(scripts: Scripts) -> None:
    fence = scripts.grant(claim("first", None, ("a",)))
    scripts.admit(spending("w", 60, None, locks=("a",)))
    scripts.settle("first", fence, "free")
    scripts.advance(2100)
    assert sums(scripts) == (0, 0)


def test_who_waits_in_line_is_refused_when_the_budget_is_used_up_meanwhile(scripts: Scripts) -> None:
    fence = scripts.grant(spending("c1", 60, None, locks=("a",)))
    assert scripts.admit(spending("w", 50, None, locks=("a",)))[0] == "guarded"
    scripts.settle("c1", fence, "not_sent", changed=False)
    first = scripts.grant(claim("first", None, ("a",)))
    assert scripts.admit(spending("w", 50, None, locks=("a",)))[0] == "waiting"
    scripts.do(spending("c2", 60))
    scripts.settle("first", first, "free")
    assert scripts.states() == {}  # told to ask again
    assert scripts.admit(spending("w", 50, None, locks=("a",)), "again")[0] == "guarded"


def test_amounts_are_exact_up_to_what_a_double_holds(scripts: Scripts) -> None:
    most = 2**53 - 1
    scripts.do(spending("c1", most - 1, limit=most))
    assert said(scripts, spending("c2", 2, limit=most))[1] == 1
    scripts.do(spending("c3", 1, limit=most))
    assert sums(scripts) == (most, 0)


def test_many_calls_take_no_more_memory_than_the_buckets(scripts: Scripts) -> None:
    key = scripts.prefix + b"b:crm:refunds:tenant:acme 3600000"
    for n in range(400):
        scripts.do(spending(f"c{n}", 1, limit=10_000))
        scripts.now += BUCKET_MS // 4
    assert scripts.client.hlen(key) <= 2 * 62 + 6
    assert scripts.client.memory_usage(key) < 8192


def test_a_budget_that_nobody_spends_from_leaves_nothing_behind(scripts: Scripts) -> None:
    scripts.do(spending("c1", 60, "x"), "unknown")
    for key in scripts.client.keys(scripts.prefix + b"b*"):
        assert 0 < scripts.client.pttl(key) < 3 * HOUR_MS
    scripts.now = START_MS + 3 * HOUR_MS
    assert sums(scripts) == (0, 0)


def test_many_budgets_of_one_call_are_judged_each(scripts: Scripts) -> None:
    wide = Budget("all", "crm:all", 60, 1000, HOUR_MS, 0)
    narrow = Budget("refunds", "crm:refunds:tenant:acme", 60, 100, HOUR_MS, 0)
    scripts.do(claim("c1", "x", guards=(wide, narrow)))
    assert scripts.admit(claim("c2", "y", guards=(wide, narrow)))[:2] == ["guarded", 1]
    assert {item[0]: int(item[5]) for item in scripts.run("budgets", 10)[1:]} == {
        b"crm:all": 60,
        b"crm:refunds:tenant:acme": 60,
    }
