"""Rates: so many tokens in any period, wherever it begins, and no token lost.  The scripts on a simulated clock."""

from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sidecar.core.claim import Claim, Rate
from tests.gate.scripts import START_MS, Scripts, claim


def rated(call: str, most: int = 3, period_ms: int = 1000, cost: int = 1, **others: Any) -> Claim:
    return claim(call, **others)._replace(rates=(Rate("tool:crm", most, period_ms, cost),))


def goes(scripts: Scripts, asked: Claim) -> bool:
    """Whether it goes at once; then it is done at once, too."""
    reply = scripts.admit(asked, "now")
    if reply[0] == "granted":
        scripts.settle(asked.call, reply[1], "free")
    return bool(reply[0] == "granted")


def test_all_of_a_rate_may_go_at_once_and_the_next_only_when_the_period_is_over(scripts: Scripts) -> None:
    assert [goes(scripts, rated(f"c{n}")) for n in range(4)] == [True, True, True, False]
    scripts.advance(999)
    assert not goes(scripts, rated("c4"))
    scripts.advance(1)
    assert goes(scripts, rated("c5"))


def test_who_is_refused_is_told_when_a_token_is_free(scripts: Scripts) -> None:
    for n in range(3):
        assert goes(scripts, rated(f"c{n}"))
        scripts.advance(100)
    word, at, _, left_ms, _, holder, *_ = scripts.admit(rated("late"), "now")
    assert (word, at, left_ms, holder) == ("blocked", 1, 700, "")


def test_a_batch_takes_what_it_costs_or_nothing(scripts: Scripts) -> None:
    assert goes(scripts, rated("c1", cost=2))
    assert not goes(scripts, rated("c2", cost=2))
    assert goes(scripts, rated("c3"))
    assert not goes(scripts, rated("c4"))


def test_a_call_that_was_not_sent_gives_its_tokens_back_and_any_other_does_not(scripts: Scripts) -> None:
    for number, ending in enumerate(("not_sent", "answer", "unknown", "free")):
        fence = scripts.grant(rated(f"c{number}", cost=1))
        scripts.settle(f"c{number}", fence, ending)
    assert not goes(scripts, rated("late"))
    fences = scripts.client.zcard(scripts.prefix + b"h:rate:tool:crm")
    assert fences == 3


def test_a_grant_that_nobody_used_gives_its_tokens_back(scripts: Scripts) -> None:
    scripts.grant(rated("c1", cost=3))
    assert scripts.leave("c1") == "left"
    assert goes(scripts, rated("c2", cost=3))


def test_a_crash_costs_what_a_call_costs_and_no_more(scripts: Scripts) -> None:
    scripts.grant(rated("dead", most=1, period_ms=60_000, timeout_ms=5_000))
    scripts.advance(20_000)
    assert not goes(scripts, rated("c1", most=1, period_ms=60_000))
    scripts.advance(40_000)
    assert goes(scripts, rated("c2", most=1, period_ms=60_000))


def test_asking_again_after_a_lost_reply_takes_no_second_token(scripts: Scripts) -> None:
    asked = rated("c1", most=2)
    scripts.grant(asked)
    assert scripts.admit(asked, "again")[0] == "granted"
    assert goes(scripts, rated("c2", most=2))


def test_renewing_a_lease_does_not_prolong_its_tokens(scripts: Scripts) -> None:
    scripts.grant(rated("long", most=1, period_ms=20_000))
    scripts.now += 10_000
    assert scripts.renew("long") == ["held"]
    scripts.advance(10_000)
    assert goes(scripts, rated("c2", most=1, period_ms=20_000))


def test_a_line_at_a_rate_moves_by_the_clock_though_nobody_releases_anything(scripts: Scripts) -> None:
    for n in range(3):
        assert goes(scripts, rated(f"c{n}"))
        scripts.advance(100)
    for n in range(4):
        assert scripts.admit(rated(f"w{n}"))[0] == "waiting"
    scripts.advance(700)
    assert scripts.states() == {"w0": "offered", "w1": "waiting", "w2": "waiting", "w3": "waiting"}
    scripts.advance(100)
    assert scripts.states()["w1"] == "offered"


def test_each_in_line_is_told_about_its_own_turn(scripts: Scripts) -> None:
    for n in range(2):
        assert goes(scripts, rated(f"c{n}", most=2))
        scripts.advance(100)
    left = [scripts.admit(rated(f"w{n}", most=2))[3] for n in range(4)]
    assert left == [800, 900, 1800, 1900]


def test_a_newcomer_does_not_overtake_at_a_rate(scripts: Scripts) -> None:
    assert goes(scripts, rated("c1", most=2))
    assert scripts.admit(rated("big", most=2, cost=2))[0] == "waiting"
    assert not goes(scripts, rated("small", most=2))


def test_an_idle_rate_leaves_nothing_behind(scripts: Scripts) -> None:
    assert goes(scripts, rated("c1"))
    assert 0 < scripts.client.pttl(scripts.prefix + b"h:rate:tool:crm") <= 61_000


def test_two_rates_are_taken_together_or_not_at_all(scripts: Scripts) -> None:
    wide, narrow = Rate("tenant:acme", 5, 1000), Rate("route:crm:x", 1, 1000)
    both = [claim(f"c{n}")._replace(rates=(wide, narrow)) for n in range(3)]
    assert [goes(scripts, asked) for asked in both] == [True, False, False]
    assert scripts.client.zcard(scripts.prefix + b"h:rate:tenant:acme") == 1


def test_who_sends_batches_gets_no_more_tokens_than_who_sends_single_calls(scripts: Scripts) -> None:
    assert goes(scripts, rated("first", most=10, cost=10))
    batches = {f"b{n}": rated(f"b{n}", most=10, cost=5, tenant="batches") for n in range(6)}
    singles = {f"s{n:02}": rated(f"s{n:02}", most=10, tenant="singles") for n in range(30)}
    for asked in (batches | singles).values():
        assert scripts.admit(asked)[0] == "waiting"
    went: list[str] = []
    for _ in range(4):
        scripts.renew(*scripts.states())
        scripts.advance(1000)
        for name in [name for name, state in scripts.states().items() if state == "offered"]:
            _, fence, _ = scripts.admit((batches | singles)[name], "again")
            scripts.settle(name, fence, "free")
            went.append(name)
    assert [name[0] for name in went].count("b") == 4
    assert [name[0] for name in went].count("s") == 20


STEPS = st.lists(st.tuples(st.integers(0, 700), st.integers(1, 3), st.booleans()), min_size=1, max_size=60)


@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(most=st.integers(3, 6), steps=STEPS)
def test_no_window_sees_more_than_the_rate_and_no_token_is_lost(
    scripts: Scripts, most: int, steps: list[tuple[int, int, bool]]
) -> None:
    """The model is the definition: every grant of the last period, counted anew each time."""
    scripts.client.flushall()
    scripts.now = START_MS
    taken: list[tuple[int, int]] = []
    for number, (pause_ms, cost, sent) in enumerate(steps):
        scripts.advance(pause_ms)
        used = sum(tokens for at, tokens in taken if at > scripts.now - 1000)
        asked = rated(f"c{number}", most, 1000, cost)
        reply = scripts.admit(asked, "now")
        assert (reply[0] == "granted") == (used + cost <= most)
        if reply[0] == "granted":
            scripts.settle(asked.call, reply[1], "free" if sent else "not_sent")
            taken += [(scripts.now, cost)] * sent
        else:
            assert 0 < reply[3] <= 1000
    assert all(one <= other for (one, _), (other, _) in pairwise(taken))


def test_a_refused_call_that_comes_back_when_told_goes(scripts: Scripts) -> None:
    for n in range(3):
        assert goes(scripts, rated(f"c{n}"))
        scripts.advance(250)
    left_ms = scripts.admit(rated("w", cost=2), "now")[3]
    scripts.advance(left_ms - 1)
    assert not goes(scripts, rated("w2", cost=2))
    scripts.advance(1)
    assert goes(scripts, rated("w3", cost=2))


def test_an_offer_that_nobody_takes_gives_its_tokens_back(scripts: Scripts) -> None:
    fence = scripts.grant(claim("holder", None, ("a",)))
    scripts.admit(rated("dead", most=1, period_ms=60_000, locks=("a",)))
    scripts.settle("holder", fence, "free")
    assert scripts.states() == {"dead": "offered"}
    assert not goes(scripts, rated("c1", most=1, period_ms=60_000))
    scripts.advance(2000)
    assert goes(scripts, rated("c2", most=1, period_ms=60_000))


def test_waiting_for_a_token_is_no_bypass_for_which_others_would_have_to_stand_back(scripts: Scripts) -> None:
    fence = scripts.grant(claim("h0", None, ("a",)))
    scripts.admit(rated("t", most=1, locks=("a",)))
    for n in range(2):
        assert goes(scripts, rated(f"r{n}", most=1))
        scripts.settle(f"h{n}", fence, "free")
        assert scripts.line("rate:tool:crm") == ["t"]
        fence = scripts.grant(claim(f"h{n + 1}", None, ("a",)))
        scripts.advance(1000)
        assert scripts.line("lock:a") == ["t"]
    assert not scripts.client.exists(scripts.prefix + b"elders")


OPS = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.integers(1, 3), st.booleans()),
        st.tuples(st.just("settle"), st.integers(0, 5), st.sampled_from(["free", "not_sent", "unknown"])),
        st.tuples(st.just("leave"), st.integers(0, 5), st.none()),
        st.tuples(st.just("time"), st.sampled_from([50, 400, 1000, 2500]), st.none()),
    ),
    max_size=50,
)


@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(ops=OPS)
@example([("come", 2, False), ("come", 3, False), ("time", 1000, None), ("settle", 0, "free")])
def test_whoever_comes_goes_and_waits_no_token_is_taken_twice_or_left_idle(
    scripts: Scripts, ops: list[tuple[str, int, Any]]
) -> None:
    scripts.client.flushall()
    scripts.now = START_MS
    asked: dict[str, Claim] = {}
    for number, (what, amount, how) in enumerate(ops):
        known = sorted(scripts.states())
        one = known[amount % len(known)] if known else ""
        if what == "come":
            name = f"c{number:02}"
            asked[name] = rated(name, 4, 1000, amount, caps={"global": 2} if how else None)
            scripts.admit(asked[name])
        elif what == "time":
            scripts.renew(*known)
            scripts.advance(amount)
        elif one and what == "leave":
            scripts.leave(one)
        elif one and scripts.states()[one] in ("granted", "offered"):
            _, fence, _ = scripts.admit(asked[one], "again")
            scripts.settle(one, fence, how)
        tokens = scripts.client.zcount(scripts.prefix + b"h:rate:tool:crm", f"({scripts.now}", "+inf")
        assert tokens <= 4
        for head in scripts.line("rate:tool:crm")[:1]:
            assert tokens + asked[head].rates[0].cost > 4
