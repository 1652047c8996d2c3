"""The dead: slots free after a lease, records unknown, entities in quarantine, places in line gone."""

import pytest

from tests.gate.scripts import Scripts, claim

TIMEOUT = 30_500
"""The claim's 30 s and the slack."""


def test_a_dead_call_frees_its_slots_after_its_lease_and_its_outcome_is_unknown(scripts: Scripts) -> None:
    scripts.grant(claim("c1", "x", (), {"global": 1}))
    scripts.admit(claim("c2", "y", (), {"global": 1}))
    for _ in range(14):
        scripts.now += 1000
        scripts.renew("c2")
    assert scripts.states()["c2"] == "waiting"
    scripts.advance(1000)
    assert scripts.states()["c2"] == "offered"
    assert scripts.admit(claim("c3", "x"))[:3] == ["unknown", 0, "crash"]


def test_the_entities_of_a_dead_call_stay_locked_until_its_request_must_be_over(scripts: Scripts) -> None:
    scripts.grant(claim("c1", "x", ("a",)))
    scripts.advance(TIMEOUT - 1)
    assert scripts.admit(claim("c2", "y", ("a",)), "now")[:5] == ["blocked", 1, 0, 1, "lapsed"]
    scripts.advance(1)
    assert scripts.admit(claim("c2", "y", ("a",)), "now")[0] == "granted"


def test_the_line_at_a_quarantined_entity_moves_when_the_quarantine_ends(scripts: Scripts) -> None:
    scripts.grant(claim("c1", "x", ("a",)))
    scripts.advance(TIMEOUT - 1000)
    scripts.admit(claim("c2", "y", ("a",)))
    scripts.advance(1000)
    assert scripts.states() == {"c2": "offered"}


def test_a_quarantine_until_resolved_outlives_the_deadline(scripts: Scripts) -> None:
    scripts.grant(claim("c1", "x", ("a",), quarantine="resolved"))
    scripts.advance(10 * TIMEOUT)
    assert scripts.admit(claim("c2", "y", ("a",)), "now")[0] == "blocked"


def test_a_call_is_never_dead_later_than_its_own_timeout(scripts: Scripts) -> None:
    scripts.grant(claim("c1", "x", (), {"global": 1}, timeout_ms=1000))
    scripts.advance(1500)
    assert scripts.admit(claim("c2", "y", (), {"global": 1}))[0] == "granted"


def test_a_renewed_lease_lives_and_never_past_its_deadline(scripts: Scripts) -> None:
    scripts.grant(claim("c1", "x", (), {"global": 1}))
    for _ in range(6):
        scripts.now += 5_000
        assert scripts.renew("c1") == ["held"]
        assert scripts.holders("cap:global") == {"c1"}
    scripts.advance(500)
    assert scripts.renew("c1") == ["gone"]


def test_a_lapsed_slot_is_taken_back_by_whoever_looks_even_before_any_sweep(scripts: Scripts) -> None:
    for n in range(10):
        scripts.grant(claim(f"elsewhere{n}", None, (), {"other": 99}))
    scripts.grant(claim("c1", None, (), {"global": 1}))
    scripts.now += 15_000
    assert scripts.admit(claim("c2", None, (), {"global": 1}))[0] == "granted"
    assert len(scripts.states()) > 5  # a script looks only at a few of the dead


def test_a_settle_never_frees_what_somebody_else_holds(scripts: Scripts) -> None:
    fence = scripts.grant(claim("c1", "x", ("a",), {"global": 1}))
    scripts.advance(TIMEOUT)
    scripts.grant(claim("c2", "y", ("a",), {"global": 1}))
    assert scripts.settle("c1", fence) == "gone"
    assert scripts.holders("lock:a") == scripts.holders("cap:global") == {"c2"}
    assert scripts.admit(claim("c3", "x"))[0] == "unknown"


def test_an_owner_that_comes_back_within_the_quarantine_may_say_what_happened(scripts: Scripts) -> None:
    fence = scripts.grant(claim("c1", "x", ("a",)))
    scripts.advance(20_000)
    assert scripts.run("peek", "unknown", 10)[1:]
    assert scripts.settle("c1", fence, answer=b"200\n\nlate") == "late"
    assert scripts.admit(claim("c2", "x")) == ["completed", "200\n\nlate"]
    assert scripts.client.zcard(scripts.prefix + b"unknown") == 0
    assert scripts.admit(claim("c3", "y", ("a",)))[0] == "granted"  # the quarantine is over with it


def test_an_owner_whose_intent_was_run_again_comes_back_too_late(scripts: Scripts) -> None:
    again = {"resend": True, "resend_ms": 60_000}
    fence = scripts.grant(claim("c1", "x", **again))
    scripts.advance(20_000)
    second = scripts.grant(claim("c2", "x", **again))
    assert scripts.settle("c1", fence, answer=b"200\n\nfirst") == "lost"
    scripts.settle("c2", second, answer=b"200\n\nsecond")
    assert scripts.admit(claim("c3", "x")) == ["completed", "200\n\nsecond"]


def test_a_settle_with_another_fence_is_refused(scripts: Scripts) -> None:
    fence = scripts.grant(claim("c1", "x"))
    assert scripts.settle("c1", fence + 1) == "gone"
    assert scripts.settle("c1", fence) == "settled"
    assert scripts.settle("c1", fence) == "gone"


def test_a_grant_handed_to_the_dead_is_taken_back_within_two_seconds_as_if_it_had_not_been(
    scripts: Scripts,
) -> None:
    fence = scripts.grant(claim("c1", None, ("a",)))
    scripts.admit(claim("dead", "x", ("a",)))
    scripts.admit(claim("alive", "y", ("a",)))
    scripts.settle("c1", fence, "free")
    assert scripts.states() == {"dead": "offered", "alive": "waiting"}
    scripts.now += 1000
    scripts.renew("alive")
    scripts.advance(1000)
    assert scripts.states() == {"alive": "offered"}
    assert scripts.admit(claim("c4", "x"))[0] == "granted"  # no unknown: nothing was sent


def test_the_tickets_of_a_dead_sidecar_are_gone_within_a_lease(scripts: Scripts) -> None:
    scripts.grant(claim("c1", None, ("a",)))
    for n in range(50):
        scripts.admit(claim(f"dead{n}", f"x{n}", ("a",)))
    for _ in range(3):
        scripts.now += 1000
        scripts.renew("c1")
    scripts.sweep()
    assert scripts.states() == {"c1": "granted"}
    assert scripts.client.keys("*:w*") == scripts.client.keys("*:l:*") == []


@pytest.mark.parametrize("over", [True, False])
def test_an_unknown_outcome_keeps_its_locks_only_while_the_upstream_may_still_be_at_it(
    scripts: Scripts, over: bool
) -> None:
    scripts.do(claim("c1", "x", ("a",), {"global": 1}), "unknown", over=over)
    assert scripts.holders("cap:global") == set()
    assert scripts.admit(claim("c2", "y", ("a",)), "now")[0] == ("granted" if over else "blocked")


def test_an_unknown_outcome_is_forgotten_after_its_retention(scripts: Scripts) -> None:
    scripts.do(claim("c1", "x"), "unknown", retain_ms=60_000)
    scripts.advance(60_000)
    assert scripts.run("peek", "unknown", 10) == ["unknown"]
    assert scripts.admit(claim("c2", "x"))[0] == "granted"


def test_everything_the_dead_left_is_gone_in_the_end(scripts: Scripts) -> None:
    for n in range(20):
        scripts.admit(claim(f"c{n}", f"x{n}", (f"d{n % 3}",), {"global": 2}))
    for _ in range(40):
        scripts.advance(5_000)
    assert {key.split(b":")[2] for key in scripts.client.scan_iter()} <= {b"fence", b"i", b"v", b"unknown"}


def test_a_re_send_goes_on_where_the_attempt_stood_though_only_a_person_may_free_the_entity(
    scripts: Scripts,
) -> None:
    put = {"locks": ("a",), "resend": True, "resend_ms": 60_000, "quarantine": "resolved"}
    scripts.do(claim("c1", "x", **put), "unknown", over=False)
    scripts.admit(claim("other", "y", ("a",)))
    scripts.admit(claim("c2", "x", **put))
    for _ in range(31):
        scripts.now += 1000
        scripts.renew("other", "c2")
    assert scripts.states() == {"c1": "lapsed", "other": "waiting", "c2": "offered"}


def test_a_call_that_asks_again_after_its_grant_lapsed_gets_no_second_one(scripts: Scripts) -> None:
    scripts.grant(claim("c1", None, ("a",)))
    scripts.advance(15_000)
    assert scripts.admit(claim("c1", None, ("a",)), "again") == ["lapsed"]


def test_a_re_send_that_comes_later_passes_who_waits_for_what_only_it_may_have(scripts: Scripts) -> None:
    put = {"locks": ("a",), "resend": True, "resend_ms": 60_000, "quarantine": "resolved"}
    scripts.do(claim("c1", "x", **put), "unknown", over=False)
    scripts.advance(30_500)
    scripts.admit(claim("other", "y", ("a",)))
    assert scripts.admit(claim("c2", "x", **put))[0] == "granted"
    assert scripts.states()["other"] == "waiting"


def test_a_twin_of_a_dead_call_is_told_so_even_before_any_sweep(scripts: Scripts) -> None:
    scripts.grant(claim("c1", "x"))
    scripts.now += 15_000
    assert scripts.admit(claim("c2", "x"))[0] == "unknown"
