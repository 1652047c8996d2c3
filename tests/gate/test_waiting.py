"""Lines: direct hand-off, in order of arrival, and no slot idle while a ticket fits."""

import asyncio

from sidecar.gate.waiting import Waiting
from sidecar.tasks import spawn
from tests.gate.scripts import Scripts, claim


def test_a_release_hands_over_to_the_head_of_the_line_at_once(scripts: Scripts) -> None:
    fence = scripts.grant(claim("c1", None, ("a",)))
    scripts.admit(claim("c2", None, ("a",)))
    scripts.admit(claim("c3", None, ("a",)))
    scripts.settle("c1", fence, "free")
    assert scripts.states() == {"c2": "offered", "c3": "waiting"}
    assert scripts.admit(claim("c4", None, ("a",)), "now")[0] == "blocked"  # no newcomer slips in
    assert scripts.admit(claim("c2", None, ("a",)), "again")[0] == "granted"


def test_a_newcomer_never_overtakes_who_waits_even_where_there_is_room_elsewhere(scripts: Scripts) -> None:
    scripts.grant(claim("c1", None, ("a",)))
    scripts.admit(claim("c2", None, ("a",), {"global": 5}))
    assert scripts.admit(claim("c3", None, ("b",), {"global": 5}))[0] == "granted"
    assert scripts.admit(claim("c4", None, ("a", "b")), "now")[:2] == ["blocked", 1]


def test_a_slot_does_not_idle_because_the_head_needs_something_else(scripts: Scripts) -> None:
    hot = scripts.grant(claim("c1", None, ("hot",)))
    slot = scripts.grant(claim("c2", None, (), {"global": 1}))
    scripts.admit(claim("c3", None, ("hot",), {"global": 1}))
    scripts.admit(claim("c4", None, ("cold",), {"global": 1}))
    scripts.settle("c2", slot, "free")
    assert scripts.states()["c4"] == "offered"  # c3 stands at its entity and not in front of the cap
    scripts.settle("c1", hot, "free")
    assert scripts.line("cap:global") == ["c3"]


def test_a_ticket_keeps_its_age_when_it_moves(scripts: Scripts) -> None:
    lock = scripts.grant(claim("c1", None, ("a",)))
    slot = scripts.grant(claim("c2", None, (), {"global": 1}))
    scripts.admit(claim("old", None, ("a",), {"global": 1}))
    scripts.admit(claim("young", None, (), {"global": 1}))
    scripts.settle("c1", lock, "free")
    assert scripts.line("cap:global") == ["old", "young"]
    scripts.settle("c2", slot, "free")
    assert scripts.states()["old"] == "offered"


def test_a_line_moves_in_order_of_arrival(scripts: Scripts) -> None:
    fence = scripts.grant(claim("c0", None, ("a",)))
    names = [f"c{n}" for n in range(1, 8)]
    for name in names:
        scripts.admit(claim(name, None, ("a",)))
    previous, order = "c0", []
    for _ in names:
        scripts.settle(previous, fence, "free")
        (previous,) = [name for name, state in scripts.states().items() if state == "offered"]
        _, fence, _ = scripts.admit(claim(previous, None, ("a",)), "again")
        order.append(previous)
    assert order == names


def test_a_twin_joins_the_running_call_and_gets_its_answer(scripts: Scripts) -> None:
    fence = scripts.grant(claim("c1", "x", ("a",)))
    assert scripts.admit(claim("c2", "x", ("a",)))[:2] == ["waiting", 0]
    scripts.settle("c1", fence, answer=b"200\n\nhi")
    assert scripts.admit(claim("c2", "x", ("a",)), "again") == ["completed", "200\n\nhi"]


def test_a_twin_runs_when_the_first_was_not_sent_and_the_next_twin_joins_it(scripts: Scripts) -> None:
    fence = scripts.grant(claim("c1", "x"))
    scripts.admit(claim("c2", "x"))
    scripts.admit(claim("c3", "x"))
    scripts.settle("c1", fence, "not_sent")
    assert scripts.states() == {"c2": "offered", "c3": "waiting"}
    _, fence, _ = scripts.admit(claim("c2", "x"), "again")
    scripts.settle("c2", fence, answer=b"200\n\nsecond")
    assert scripts.admit(claim("c3", "x"), "again") == ["completed", "200\n\nsecond"]


def test_a_twin_that_waits_for_the_entity_is_answered_when_the_first_is_done(scripts: Scripts) -> None:
    first = scripts.grant(claim("c0", None, ("a",)))
    scripts.admit(claim("c1", "x", ("a",)))
    scripts.admit(claim("c2", "x", ("a",)))
    scripts.settle("c0", first, "free")
    _, fence, _ = scripts.admit(claim("c1", "x", ("a",)), "again")
    scripts.settle("c1", fence)
    assert scripts.admit(claim("c2", "x", ("a",)), "again")[0] == "completed"


def test_who_leaves_a_line_makes_room_in_it(scripts: Scripts) -> None:
    fence = scripts.grant(claim("c1", None, ("a",)))
    scripts.admit(claim("c2", None, ("a",)))
    scripts.admit(claim("c3", None, ("a",)))
    assert scripts.leave("c2") == "left"
    scripts.settle("c1", fence, "free")
    assert scripts.states() == {"c3": "offered"}


def test_who_asks_a_last_time_is_granted_or_out_of_the_line(scripts: Scripts) -> None:
    fence = scripts.grant(claim("c1", None, ("a",)))
    scripts.admit(claim("c2", None, ("a",)))
    scripts.admit(claim("c3", None, ("a",)))
    assert scripts.admit(claim("c2", None, ("a",)), "last")[0] == "blocked"
    scripts.settle("c1", fence, "free")
    assert scripts.admit(claim("c3", None, ("a",)), "last")[0] == "granted"


def test_a_grant_given_back_goes_to_the_next(scripts: Scripts) -> None:
    scripts.grant(claim("c1", "x", ("a",)))
    scripts.admit(claim("c2", "y", ("a",)))
    assert scripts.leave("c1") == "left"
    assert scripts.states() == {"c2": "offered"}
    assert scripts.admit(claim("c3", "x"))[0] == "granted"  # as if c1 had never come


def test_a_raised_cap_lets_the_line_go_and_a_lowered_one_drops_nobody(scripts: Scripts) -> None:
    fences = [scripts.grant(claim(f"c{n}", None, (), {"global": 3})) for n in range(3)]
    scripts.admit(claim("c3", None, (), {"global": 1}))
    scripts.settle("c0", fences[0], "free")
    assert scripts.states()["c3"] == "waiting"
    scripts.settle("c1", fences[1], "free")
    scripts.settle("c2", fences[2], "free")
    assert scripts.states() == {"c3": "offered"}


def test_a_thousand_waiting_twins_are_all_answered_though_a_script_tries_only_a_few(scripts: Scripts) -> None:
    fence = scripts.grant(claim("first", "x"))
    walls = {"depth": (2000, 2000)}
    for n in range(1000):
        scripts.admit(claim(f"c{n}", "x", **walls))
    word, more = scripts.run("settle", "first", fence, "answer", 1, 1, "", 0, b"200\n\nok")
    assert (word, more) == ("settled", 1)
    assert len(scripts.states()) > 900
    scripts.sweep()
    assert scripts.states() == {}


def test_what_a_script_left_over_is_done_by_whoever_comes_next(scripts: Scripts) -> None:
    fence = scripts.grant(claim("first", "x"))
    for n in range(40):
        scripts.admit(claim(f"c{n}", "x"))
    scripts.run("settle", "first", fence, "answer", 1, 1, "", 0, b"200\n\nok")
    for n in range(100, 110):  # the sidecar that was told `more` died; others go on as usual
        scripts.admit(claim(f"c{n}", "x", ("other",)))
        scripts.run("renew")
    assert scripts.states() == {}


def test_a_hundred_thousand_do_not_pile_up_in_one_script(scripts: Scripts) -> None:
    fence = scripts.grant(claim("holder", None, ("hot",)))
    for n in range(300):
        scripts.admit(claim(f"c{n}", None, ("hot",), {"busy": 1}, depth=(1000, 1000)))
    scripts.grant(claim("other", None, (), {"busy": 1}))
    scripts.client.config_resetstat()
    scripts.run("settle", "holder", fence, "free", 0, 1, "", 0, b"")
    tried = scripts.client.info("commandstats")["cmdstat_get"]["calls"]
    assert tried < 60


def test_the_head_of_one_line_does_not_overtake_who_waits_longer_at_another(scripts: Scripts) -> None:
    fence = scripts.grant(claim("c1", None, ("a",), {"global": 1}))
    scripts.admit(claim("old", None, (), {"global": 1}))
    scripts.admit(claim("young", None, ("a",), {"global": 1}))
    scripts.settle("c1", fence, "free")
    assert scripts.states() == {"old": "offered", "young": "waiting"}
    assert scripts.line("cap:global") == ["young"]


def test_a_newcomer_with_a_higher_limit_lets_those_go_who_wait_under_the_old_one(scripts: Scripts) -> None:
    scripts.grant(claim("c1", None, (), {"global": 1}))
    scripts.admit(claim("c2", None, (), {"global": 1}))
    scripts.admit(claim("c3", None, (), {"global": 1}))
    assert scripts.admit(claim("c4", None, (), {"global": 3}))[:3] == ["waiting", 1, 0]
    assert scripts.states() == {"c1": "granted", "c2": "offered", "c3": "offered", "c4": "waiting"}


def test_a_newcomer_with_a_lower_limit_lowers_it_for_those_who_wait_and_drops_no_holder(
    scripts: Scripts,
) -> None:
    fences = [scripts.grant(claim(f"c{n}", None, (), {"global": 3})) for n in range(3)]
    scripts.admit(claim("old", None, (), {"global": 3}))
    scripts.admit(claim("new", None, (), {"global": 1}))
    scripts.settle("c0", fences[0], "free")
    scripts.settle("c1", fences[1], "free")
    assert scripts.holders("cap:global") == {"c2"}
    scripts.settle("c2", fences[2], "free")
    assert scripts.states() == {"old": "offered", "new": "waiting"}


def test_whose_twin_was_done_meanwhile_gets_the_answer_even_where_it_is_not_its_turn(
    scripts: Scripts,
) -> None:
    first = scripts.grant(claim("c0", None, ("a",)))
    for name, intent in (("c1", "x"), ("c2", "y"), ("c3", "z"), ("c4", "x")):
        scripts.admit(claim(name, intent, ("a",)))
    scripts.settle("c0", first, "free")
    _, fence, _ = scripts.admit(claim("c1", "x", ("a",)), "again")
    scripts.settle("c1", fence)
    assert scripts.states() == {"c2": "offered", "c3": "waiting", "c4": "waiting"}
    assert scripts.admit(claim("c4", "x", ("a",)), "last")[0] == "completed"


def test_a_wait_that_cannot_end_in_time_is_refused_at_once_and_says_when_to_come_again(
    scripts: Scripts,
) -> None:
    fence, name = scripts.grant(claim("c0", None, ("a",))), "c0"
    for n in range(1, 30):
        scripts.admit(claim(f"c{n}", None, ("a",)))
    for n in range(1, 11):  # one a second
        scripts.advance(500)
        scripts.renew(*(f"c{k}" for k in range(n, 30)))
        scripts.advance(500)
        scripts.settle(name, fence, "free")
        name = f"c{n}"
        fence = scripts.admit(claim(name, None, ("a",)), "again")[1]
        scripts.renew(*(f"c{k}" for k in range(n, 30)))
    word, wall, after_ms = scripts.admit(claim("hasty", None, ("a",), wait_ms=5_000))
    assert (word, wall) == ("full", "time")
    assert 12_000 <= after_ms <= 14_000  # nineteen go before it, one a second, and it would wait for five
    assert scripts.admit(claim("patient", None, ("a",), wait_ms=30_000))[0] == "waiting"
    assert scripts.admit(claim("quiet", None, ("a",), wait_ms=5_000, tenant="quiet"))[0] == "waiting"


def test_a_twin_is_not_refused_for_the_length_of_its_line(scripts: Scripts) -> None:
    scripts.grant(claim("first", "x"))
    for n in range(50):
        scripts.admit(claim(f"c{n}", "x"))
    assert scripts.admit(claim("hasty", "x", wait_ms=1))[0] == "waiting"


async def test_a_wake_up_that_comes_before_the_wait_is_not_lost() -> None:
    waiting = Waiting()
    waiting.wake(b"c1")
    async with asyncio.timeout(1):
        await waiting.turn("c1", 60)


async def test_a_wake_up_ends_the_wait_and_so_does_time() -> None:
    waiting = Waiting()
    turn = spawn(waiting.turn("c1", 60), "turn")
    await asyncio.sleep(0)
    waiting.wake(b"c1")
    await turn
    await waiting.turn("c1", 0.001)
