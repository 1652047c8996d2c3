"""Who waits how long: the real scripts, agents that flood, split, batch, and what max-min says each should get."""

from collections.abc import Callable
from itertools import count
from random import Random
from statistics import median

import pytest

from sidecar.core.claim import Claim
from tests.gate.crowd import Agent, Crowd, places
from tests.gate.oracle import Demand, shares
from tests.gate.scripts import START_MS, Scripts, claim

DEEP = (100_000, 100_000)


def asks(
    tenant: str,
    locks: tuple[str, ...] = (),
    cap: int = 2,
    weights: tuple[int, int] = (1, 8),
    priority: str = "interactive",
) -> Callable[[str], Claim]:
    """Calls of a tenant that need a slot of the upstream, and these locks."""
    return lambda call: claim(
        call,
        None,
        locks,
        {"global": cap} if cap else {},
        tenant=tenant,
        weights=weights,
        priority=priority,
        depth=DEEP,
    )


def by_tenant(asked: Claim) -> str:
    return asked.flow.tenant


def p99(waits: list[int]) -> int:
    return sorted(waits)[int(len(waits) * 0.99)]


def test_a_noisy_tenant_costs_the_quiet_ones_no_more_than_a_turn(scripts: Scripts) -> None:
    loud = [Agent(asks("loud")) for _ in range(50)]
    quiet = [Agent(asks(f"quiet{n}"), think_ms=300, starts_ms=n * 37) for n in range(6)]
    Crowd(scripts, loud + quiet).run(20_000)
    assert p99([wait for agent in quiet for wait in agent.waits]) <= 60
    assert median(wait for agent in loud for wait in agent.waits) <= 1_000


def test_everybody_gets_what_max_min_says_whoever_floods(scripts: Scripts) -> None:
    threads = {"loud": (50, 0), "busy": (8, 0), "calm": (1, 170), "slow": (2, 370)}
    agents = [
        Agent(asks(name), think_ms=think) for name, (many, think) in threads.items() for _ in range(many)
    ]
    crowd = Crowd(scripts, agents)
    crowd.run(20_000)
    served = crowd.served(by_tenant)
    alone = {"calm": 1000 / 200, "slow": 2 * 1000 / 400}  # a second, if nobody else called
    fair = shares(
        {"slots": 2 * 1000 / 30}, {name: Demand(("slots",), most=alone.get(name, 1e9)) for name in threads}
    )
    for name in ("loud", "busy"):
        assert served[name] / 20 == pytest.approx(fair[name], rel=0.1)
    for name in alone:
        assert served[name] / 20 >= fair[name] * 0.8  # a caller that waits for its turn asks less often


def test_shares_follow_weights(scripts: Scripts) -> None:
    agents = [
        Agent(asks(name, weights=(weight, 8)))
        for name, weight in (("big", 3), ("small", 1))
        for _ in range(20)
    ]
    crowd = Crowd(scripts, agents)
    crowd.run(15_000)
    served = crowd.served(by_tenant)
    assert served["big"] == pytest.approx(3 * served["small"], rel=0.01)


def test_a_tenant_gains_nothing_by_splitting_itself_into_keys_workflows_and_runs(scripts: Scripts) -> None:
    number = count()

    def splitting(call: str) -> Claim:
        n = next(number)
        return asks("splitter", (f"deal:{n}",))(call)._replace(workflow=f"w{n}", run=f"r{n}")

    agents = [Agent(splitting) for _ in range(40)] + [Agent(asks("plain")) for _ in range(4)]
    crowd = Crowd(scripts, agents)
    crowd.run(10_000)
    served = crowd.served(by_tenant)
    assert served["plain"] == pytest.approx(served["splitter"], rel=0.02)


def test_a_tenant_that_comes_back_again_and_again_is_not_first_for_ever(scripts: Scripts) -> None:
    """Two threads of which one runs and one waits begin to wait anew each time; their name sorts first."""
    agents = [Agent(asks("aaa", cap=1)) for _ in range(2)] + [Agent(asks("zzz", cap=1)) for _ in range(5)]
    crowd = Crowd(scripts, agents)
    crowd.run(10_000)
    served = crowd.served(by_tenant)
    assert served["zzz"] == pytest.approx(served["aaa"], rel=0.05)


def test_one_interactive_tenant_is_not_drowned_by_twenty_background_ones_and_starves_none(
    scripts: Scripts,
) -> None:
    agents = [Agent(asks("person")) for _ in range(6)]
    agents += [
        Agent(asks(f"batch{n}", weights=(1, 1), priority="background")) for n in range(20) for _ in range(2)
    ]
    crowd = Crowd(scripts, agents)
    crowd.run(20_000)
    served = crowd.served(by_tenant)
    assert served["person"] / served.total() == pytest.approx(8 / 9, rel=0.02)
    assert min(served[f"batch{n}"] for n in range(20)) >= 5


def test_a_call_that_needs_twenty_locks_waits_for_a_bounded_time(scripts: Scripts) -> None:
    deals = tuple(f"deal:{n:02}" for n in range(20))
    singles = [Agent(asks("single", (deals[n % 20],), cap=0), starts_ms=n) for n in range(60)]
    batches = [Agent(asks("batch", deals, cap=0), starts_ms=100, think_ms=100) for _ in range(2)]
    crowd = Crowd(scripts, singles + batches)
    crowd.run(10_000)
    assert all(len(agent.waits) > 5 for agent in batches)
    assert max(wait for agent in batches for wait in agent.waits) <= 1_250
    assert max(wait for agent in singles for wait in agent.waits) <= 1_250


def test_a_thousand_waiters_at_one_entity_hold_up_nobody_else_and_another_tenant_only_a_turn(
    scripts: Scripts,
) -> None:
    hot = [Agent(asks("loud", ("hot",), cap=40), think_ms=10**9) for _ in range(1000)]
    other = Agent(asks("loud", ("cold",), cap=40), starts_ms=1, think_ms=40)
    quiet = Agent(asks("quiet", ("hot",), cap=40), starts_ms=1, think_ms=100)
    crowd = Crowd(scripts, [*hot, other, quiet])
    crowd.run(4_000)
    assert max(other.waits) == 0
    assert max(quiet.waits) <= 60
    first = [hot.index(agent) for _, agent in crowd.grants if agent not in (other, quiet)]
    assert first == sorted(first)
    assert len(first) >= 90


def test_a_background_call_that_waits_for_a_slot_keeps_no_entity_from_an_interactive_one(
    scripts: Scripts,
) -> None:
    """Priority inversion: a middle flow keeps the low one from running, which keeps the high one from its lock."""
    low = [Agent(asks("low", ("deal",), cap=2, weights=(1, 1), priority="background")) for _ in range(5)]
    middle = [Agent(asks("middle", weights=(1, 4), priority="normal")) for _ in range(40)]
    high = Agent(asks("high", ("deal",)), starts_ms=100, think_ms=200)
    Crowd(scripts, low + middle + [high]).run(10_000)
    assert max(high.waits) <= 4 * 30
    assert sum(len(agent.waits) for agent in low) > 5


def crm(tenant: str, random: Random) -> Callable[[str], Claim]:
    """A write to one of thirty records: global 40, tenant 5, CRM writes 2, record 1."""
    caps = {"tool:crm:write": 2, f"tenant:{tenant}": 5, "global": 40}
    return lambda call: claim(call, None, (f"deal:{random.randrange(30)}",), caps, tenant=tenant, depth=DEEP)


def draft(tenant: str) -> Callable[[str], Claim]:
    caps = {f"tenant:{tenant}": 5, "global": 40}
    return lambda call: claim(call, None, (), caps, tenant=tenant, depth=DEEP)


def test_of_twenty_tenants_one_may_be_fifty_times_louder_and_the_others_wait_no_longer(
    scripts: Scripts,
) -> None:
    slow_ms, threads = {}, {"behaved": 1, "loud": 50}
    for manner, many in threads.items():
        scripts.client.flushall()
        scripts.now, random = START_MS, Random(7)
        quiet = [Agent(crm(f"t{n:02}", random), think_ms=270, random=random) for n in range(19)]
        loud = [Agent(crm("t99", random), think_ms=270, random=random) for _ in range(many)]
        crowd = Crowd(scripts, quiet + loud)
        crowd.run(20_000)
        slow_ms[manner] = p99([wait for agent in quiet for wait in agent.waits])
        busy = len(crowd.grants) * 30 / (2 * 20_000)
    assert slow_ms["loud"] <= 2 * slow_ms["behaved"]
    assert busy >= 0.95


class NoSlotIdles(Crowd):
    """Nobody waits whose places all have room, but for what is kept for the senior."""

    seniors = 0

    def check(self) -> None:
        idle = [agent for agent in self.waiting.values() if self.fits(agent.claim)]
        if idle:
            senior = self.waiting[self.scripts.senior()]
            kept = places(senior.claim).keys()
            self.seniors += 1
            assert senior not in idle
            assert not [agent for agent in idle if self.fits(agent.claim, kept)]


def test_no_slot_idles_while_a_ticket_fits_and_no_ticket_starves(scripts: Scripts) -> None:
    deals = [f"deal:{n}" for n in range(6)]
    agents = [Agent(asks("t1", (deals[n % 6],), cap=4), hold_ms=20 + n) for n in range(12)]
    agents += [Agent(asks("t2", tuple(deals[n : n + 3]), cap=4), hold_ms=40) for n in range(3)]
    agents += [Agent(asks("t3", cap=4), hold_ms=25) for _ in range(3)]
    crowd = NoSlotIdles(scripts, agents)
    crowd.run(8_000)
    assert crowd.seniors
    assert min(len(agent.waits) for agent in agents) >= 8
    assert max(max(agent.waits) for agent in agents) <= 1_500


@pytest.mark.parametrize("louder", [1, 50])
def test_two_scarce_places_are_shared_fairly_and_neither_idles(scripts: Scripts, louder: int) -> None:
    """All writes want one of 2 slots of the tool and of 40 in all; all drafts want one of the 40."""
    random, threads = Random(7), {f"t{n:02}": 1 for n in range(19)} | {"loud": louder}
    writes = {
        name: [Agent(crm(name, random), hold_ms=60) for _ in range(many)] for name, many in threads.items()
    }
    drafts = {
        name: [Agent(draft(name), hold_ms=400) for _ in range(3 * many)] for name, many in threads.items()
    }
    crowd = NoSlotIdles(
        scripts, [agent for kind in (writes, drafts) for many in kind.values() for agent in many]
    )
    for number, agent in enumerate(crowd.agents):
        agent.starts_ms = number % 401
    crowd.run(12_000)
    for kind, slots, hold_ms in ((writes, 2, 60), (drafts, 38, 400)):
        fair = shares({"slots": slots * 12_000 / hold_ms}, dict.fromkeys(kind, Demand(("slots",))))
        served = {name: sum(len(agent.waits) for agent in many) for name, many in kind.items()}
        assert served == pytest.approx(fair, rel=0.15)
        assert sum(served.values()) >= 0.95 * sum(fair.values())


def test_equal_flows_get_equal_shares_whatever_their_names(scripts: Scripts) -> None:
    """One thread each: who was served last of a round is back a moment after the next one has begun."""
    agents = [Agent(asks(f"t{n:02}"), hold_ms=60, starts_ms=n) for n in range(20)]
    Crowd(scripts, agents).run(20_000)
    turns = [sum(wait > 0 for wait in agent.waits) for agent in agents]  # the first two find nobody there
    assert max(turns) - min(turns) <= 1


def test_who_waits_at_hot_entities_takes_no_slot_out_of_turn(scripts: Scripts) -> None:
    """Each end of a call frees an entity and a slot at once, and an entity always has somebody who wants both."""
    hot = [Agent(asks("hot", (f"deal:{n % 4}",))) for n in range(40)]
    crowd = Crowd(scripts, hot + [Agent(asks("plain")) for _ in range(5)])
    crowd.run(10_000)
    served = crowd.served(by_tenant)
    assert served["plain"] == pytest.approx(served["hot"], rel=0.02)
    assert served.total() >= 2 * 10_000 / 30 * 0.99


def test_names_that_somebody_invents_leave_nothing_behind(scripts: Scripts) -> None:
    fences = [scripts.grant(asks("t", cap=8)(f"h{n}")) for n in range(8)]
    kept = len(scripts.client.keys())
    for n in range(200):
        scripts.admit(asks(f"tenant{n}", (f"deal:{n}",), cap=8, priority=f"p{n % 3}")(f"c{n}"))
    assert (
        len(scripts.client.keys()) <= kept + 200 * 5 + 10
    )  # a call, a tenant's room, and its flow in one line
    for n in range(200):
        scripts.leave(f"c{n}")
    for n, fence in enumerate(fences):
        scripts.settle(f"h{n}", fence, "free")
    assert {key.split(b":")[2] for key in scripts.client.scan_iter()} == {b"fence"}
