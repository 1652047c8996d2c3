"""The senior: whoever was passed over too often has a slot of each of its places kept."""

from sidecar.core.claim import Rate
from tests.gate.scripts import Scripts, claim


def passed_over(scripts: Scripts, rates: tuple[Rate, ...] = ()) -> tuple[str, int]:
    """A call that needs two locks, of which each is free while the other is not; who holds the one it waits for."""
    holder = {lock: (f"h-{lock}", scripts.grant(claim(f"h-{lock}", None, (lock,)))) for lock in "ab"}
    scripts.admit(claim("big", None, ("a", "b"), rates=rates))
    for n in range(5):
        lock = "ab"[n % 2]
        scripts.admit(claim(f"s{n}", None, (lock,)))
        scripts.settle(*holder[lock], "free")
        if scripts.states()[f"s{n}"] == "offered":
            holder[lock] = f"s{n}", scripts.admit(claim(f"s{n}", None, (lock,)), "again")[1]
    return holder["b"]


def test_who_was_passed_over_four_times_has_a_slot_of_each_of_its_places_kept(scripts: Scripts) -> None:
    holder = passed_over(scripts)
    assert scripts.senior() == "big"
    assert scripts.states()["s4"] == "waiting"  # its lock is free, and kept
    assert scripts.admit(claim("new", None, ("a",)), "now")[0] == "blocked"
    scripts.settle(*holder, "free")
    assert scripts.states()["big"] == "offered"
    assert scripts.senior() == ""


def test_nothing_is_kept_for_a_senior_that_waits_for_the_time_to_pass(scripts: Scripts) -> None:
    rates = (Rate("crm", 1, 60_000),)
    holder = passed_over(scripts, rates)
    scripts.do(claim("taker", rates=rates), "free")
    scripts.settle(*holder, "free")
    assert scripts.states() == {"big": "waiting", "s4": "offered"}
    assert scripts.senior() == ""


def test_what_was_kept_for_a_senior_that_leaves_goes_to_who_waits(scripts: Scripts) -> None:
    passed_over(scripts)
    scripts.leave("big")
    assert scripts.states()["s4"] == "offered"
    assert scripts.senior() == ""


def test_of_many_who_were_passed_over_only_those_go_first_whose_flow_is_not_ahead(scripts: Scripts) -> None:
    """Four of one tenant need both locks, and are passed over by another's that need one each; then all are stopped."""
    fences = {lock: (f"h-{lock}", scripts.grant(claim(f"h-{lock}", None, (lock,)))) for lock in "ab"}
    for n in range(4):
        scripts.admit(claim(f"big{n}", None, ("a", "b"), tenant="batch"))
    for n in range(16):
        lock = "ab"[n % 2]
        scripts.admit(claim(f"s{n}", None, (lock,)))
        if not scripts.senior():
            scripts.settle(*fences[lock], "free")
            fences[lock] = f"s{n}", scripts.admit(claim(f"s{n}", None, (lock,)), "again")[1]
    order, holders = [], dict(fences.values())
    for _ in range(4):
        for name, fence in holders.items():
            scripts.settle(name, fence, "free")
        offered = sorted(name for name, state in scripts.states().items() if state == "offered")
        order.append(offered)
        holders = {name: scripts.admit(claim(name, None, ("a", "b")), "again")[1] for name in offered}
    assert order[:2] == [["big0"], ["big1"]]
    assert not [name for offered in order[2:] for name in offered if name.startswith("big")]
