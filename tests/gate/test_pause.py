"""An upstream that turned a call away is left alone by the whole fleet, and one probe goes first when it is over."""

import pytest

from tests.gate.scripts import Scripts, claim


def turned_away(scripts: Scripts, call: str, asked_ms: int) -> None:
    """The call is granted and answered 429."""
    fence = scripts.grant(claim(call))
    scripts.run("pause", call, "crm", asked_ms)
    scripts.settle(call, fence, "free")


def test_a_call_waits_out_the_pause_and_then_goes_alone(scripts: Scripts) -> None:
    turned_away(scripts, "c1", 5000)
    for n in range(3):
        assert scripts.admit(claim(f"w{n}", None, (f"deal:{n}",)))[:2] == ["waiting", 2]
    scripts.advance(1999)
    scripts.renew("w0", "w1", "w2")
    scripts.advance(1999)
    scripts.renew("w0", "w1", "w2")
    scripts.advance(1001)
    assert set(scripts.states().values()) == {"waiting"}
    scripts.advance(1)
    assert scripts.states() == {"w0": "offered", "w1": "waiting", "w2": "waiting"}


def test_who_will_not_wait_is_told_how_long_the_pause_is(scripts: Scripts) -> None:
    turned_away(scripts, "c1", 5000)
    scripts.advance(1000)
    word, at, ahead, left_ms, *_ = scripts.admit(claim("c2"), "now")
    assert (word, at, ahead, left_ms) == ("blocked", 1, 0, 4000)


def test_a_probe_that_goes_well_opens_the_gate_for_all(scripts: Scripts) -> None:
    turned_away(scripts, "c1", 1000)
    for n in range(3):
        scripts.admit(claim(f"w{n}"))
    scripts.advance(1000)
    _, fence, _ = scripts.admit(claim("w0"), "again")
    scripts.settle("w0", fence, "answer")
    assert scripts.states() == {"w1": "offered", "w2": "offered"}
    assert not scripts.client.exists(scripts.prefix + b"paused")


@pytest.mark.parametrize("ending", ["unknown", "not_sent"])
def test_a_probe_that_fails_prolongs_the_pause_each_time_by_more(scripts: Scripts, ending: str) -> None:
    turned_away(scripts, "c0", 1000)
    scripts.advance(1000)
    waits = []
    for n in range(1, 16):
        fence = scripts.grant(claim(f"p{n}", timeout_ms=100))
        scripts.settle(f"p{n}", fence, ending)
        waits.append(scripts.admit(claim("x"), "now")[3])
        scripts.advance(waits[-1])
    assert waits[:4] == [2000, 4000, 8000, 16_000]
    assert max(waits) == waits[-1] == 3_600_000


def test_a_probe_that_is_turned_away_again_waits_at_least_as_long_as_asked(scripts: Scripts) -> None:
    turned_away(scripts, "c1", 1000)
    scripts.advance(1000)
    turned_away(scripts, "p1", 30_000)
    assert scripts.admit(claim("x"), "now")[3] == 30_000
    scripts.advance(30_000)
    turned_away(scripts, "p2", 0)  # it does not say for how long, and is the probe
    assert scripts.admit(claim("x"), "now")[3] == 4000


def test_a_call_turned_away_without_a_time_pauses_nobody(scripts: Scripts) -> None:
    turned_away(scripts, "c1", 0)
    assert scripts.admit(claim("c2"), "now")[0] == "granted"


def test_a_probe_that_dies_leaves_its_place_to_the_next(scripts: Scripts) -> None:
    turned_away(scripts, "c1", 1000)
    scripts.advance(1000)
    scripts.grant(claim("dead", timeout_ms=1000))
    scripts.admit(claim("w1"))
    assert scripts.states()["w1"] == "waiting"
    scripts.advance(1500)
    assert scripts.states()["w1"] == "offered"


def test_an_answer_to_a_call_from_before_the_pause_does_not_end_it(scripts: Scripts) -> None:
    early = scripts.grant(claim("early"))
    turned_away(scripts, "c1", 1000)
    scripts.settle("early", early, "answer")
    assert scripts.admit(claim("c2"), "now")[0] == "blocked"


def test_ten_calls_turned_away_at_once_are_one_failure(scripts: Scripts) -> None:
    fences = {f"c{n}": scripts.grant(claim(f"c{n}")) for n in range(10)}
    for call, fence in fences.items():
        scripts.run("pause", call, "crm", 1000)
        scripts.settle(call, fence, "free")
    assert scripts.admit(claim("x"), "now")[3] == 1000


def test_a_shorter_word_does_not_shorten_a_pause_and_none_is_longer_than_an_hour(scripts: Scripts) -> None:
    assert scripts.run("pause", "c1", "crm", 9000) == ["paused", 9000]
    assert scripts.run("pause", "c2", "crm", 1000) == ["paused", 9000]
    assert scripts.run("pause", "c3", "crm", 99_000_000) == ["paused", 3_600_000]


def test_a_ticket_from_before_the_pause_heeds_it_when_its_turn_comes(scripts: Scripts) -> None:
    fence = scripts.grant(claim("c1", None, ("a",)))
    scripts.admit(claim("w", None, ("a",)))
    scripts.run("pause", "c1", "crm", 2500)
    scripts.settle("c1", fence, "free")
    assert scripts.states() == {"w": "waiting"}
    assert scripts.holders("lock:a") == set()
    scripts.advance(2500)
    assert scripts.states() == {"w": "offered"}


def test_another_tool_goes_on(scripts: Scripts) -> None:
    turned_away(scripts, "c1", 5000)
    assert scripts.admit(claim("c2")._replace(tool="email"), "now")[0] == "granted"


def test_a_call_that_asks_for_nothing_else_is_paused_all_the_same(scripts: Scripts) -> None:
    scripts.run("pause", "read", "crm", 1000)
    assert scripts.admit(claim("c2"), "now")[:2] == ["blocked", 1]
