"""What ``min`` keeps of a cap, and what ``borrow`` lends of that."""

from sidecar.core.claim import Claim, Min
from tests.gate.crowd import Agent, Crowd
from tests.gate.scripts import Scripts, claim

LIMIT = 4
KEPT = (Min("lane:risk", 2, lent=False),)
LENT = (Min("lane:risk", 2, lent=True),)


def other(call: str, mins: tuple[Min, ...]) -> Claim:
    return claim(call, caps={"global": LIMIT}, mins=mins)


def risky(call: str, mins: tuple[Min, ...], locks: tuple[str, ...] = (), tenant: str = "risky") -> Claim:
    return claim(call, locks=locks, caps={"global": LIMIT, "lane:risk": LIMIT}, mins=mins, tenant=tenant)


def test_slots_that_are_kept_stay_free_for_their_owner(scripts: Scripts) -> None:
    assert [scripts.admit(other(f"c{n}", KEPT))[0] for n in range(3)] == ["granted", "granted", "waiting"]
    assert [scripts.admit(risky(f"r{n}", KEPT))[0] for n in range(2)] == ["granted", "granted"]
    assert scripts.holders("cap:global") == {"c0", "c1", "r0", "r1"}


def test_beyond_its_min_an_owner_competes_like_everybody(scripts: Scripts) -> None:
    fences = [scripts.grant(risky(f"r{n}", KEPT)) for n in range(4)]
    scripts.admit(other("c0", KEPT))
    scripts.admit(risky("r4", KEPT))
    scripts.settle("r0", fences[0], "free")
    assert scripts.states()["c0"] == "offered"


def test_a_slot_that_an_owner_gives_up_is_kept_again(scripts: Scripts) -> None:
    fence = scripts.grant(risky("r0", KEPT))
    for n in range(3):
        scripts.admit(other(f"c{n}", KEPT))
    scripts.settle("r0", fence, "free")
    assert scripts.states() == {"c0": "granted", "c1": "granted", "c2": "waiting"}


def test_idle_slots_of_a_lender_work_for_others_and_come_back_to_it_as_calls_end(scripts: Scripts) -> None:
    fences = [scripts.grant(other(f"c{n}", LENT)) for n in range(4)]
    scripts.admit(other("c4", LENT))
    scripts.admit(risky("r0", LENT))
    scripts.admit(risky("r1", LENT))
    scripts.settle("c0", fences[0], "free")
    scripts.settle("c1", fences[1], "free")
    assert scripts.states() == {
        "c2": "granted",
        "c3": "granted",
        "c4": "waiting",
        "r0": "offered",
        "r1": "offered",
    }
    scripts.settle("c2", fences[2], "free")
    assert scripts.states()["c4"] == "offered"  # the min is met


def test_of_what_is_owed_the_oldest_call_gets_it_and_a_newcomer_does_not_overtake(scripts: Scripts) -> None:
    fences = [scripts.grant(other(f"c{n}", LENT)) for n in range(4)]
    scripts.admit(risky("old", LENT, tenant="y"))
    scripts.admit(risky("young", LENT, tenant="z"))
    scripts.admit(other("c4", LENT))
    scripts.settle("c0", fences[0], "free")
    assert scripts.states()["old"] == "offered"
    assert scripts.states()["young"] == "waiting"
    assert scripts.admit(risky("new", LENT), "now")[0] == "blocked"


def test_an_owner_whose_head_waits_for_something_else_lets_its_next_call_have_the_slot(
    scripts: Scripts,
) -> None:
    fences = [scripts.grant(other(f"c{n}", LENT)) for n in range(4)]
    scripts.admit(risky("r0", LENT, ("a",)))
    scripts.admit(risky("r1", LENT))
    scripts.grant(claim("holder", None, ("a",)))
    scripts.settle("c0", fences[0], "free")
    assert scripts.states()["r0"] == "waiting"
    assert scripts.states()["r1"] == "offered"
    assert scripts.line("lock:a") == ["r0"]


def test_two_owners_that_are_owed_do_not_wait_for_each_other(scripts: Scripts) -> None:
    both = (Min("lane:risk", 2, lent=True), Min("tenant:vip", 2, lent=True))
    fences = [scripts.grant(other(f"c{n}", both)) for n in range(4)]
    scripts.admit(risky("r0", both))
    scripts.admit(claim("v0", caps={"global": LIMIT, "tenant:vip": LIMIT}, mins=both, tenant="vip"))
    for n in range(2):
        scripts.settle(f"c{n}", fences[n], "free")
    assert scripts.states() == {"c2": "granted", "c3": "granted", "r0": "offered", "v0": "offered"}


def test_a_min_that_a_reload_takes_away_is_free_at_once_for_who_waits(scripts: Scripts) -> None:
    for n in range(3):
        scripts.admit(other(f"c{n}", KEPT))
    scripts.admit(other("c3", ()))
    assert scripts.states() == {"c0": "granted", "c1": "granted", "c2": "offered", "c3": "offered"}


def test_a_lender_under_load_is_back_at_its_min_within_one_hold_and_the_cap_is_used_up(
    scripts: Scripts,
) -> None:
    flood = [Agent(lambda call: other(call, LENT)) for _ in range(30)]
    late = [Agent(lambda call: risky(call, LENT), starts_ms=1_000) for _ in range(6)]
    crowd = Crowd(scripts, flood + late)
    crowd.run(3_000)
    assert max(agent.waits[0] for agent in late[:2]) <= 30
    assert sum(len(agent.waits) for agent in late) >= 2 * 2_000 / 30 - 4
    assert len(crowd.grants) >= LIMIT * 3_000 / 30 - LIMIT
