"""What a gate makes of an upstream that turns calls away: every sidecar of the cell hears of it."""

import asyncio

from sidecar.core.claim import Rate
from sidecar.core.outcome import NOT_SENT, Outcome
from sidecar.gate.gate import Gate
from sidecar.gate.lease import FREE
from tests.gate.conftest import Open
from tests.gate.scripts import claim
from tests.gate.test_gate import held, refused, soon, waiting

SERVED = Outcome("completed", status=200)


async def until_paused(gate: Gate, paused: bool = True) -> None:
    async with asyncio.timeout(10):
        while ("pause:crm" in gate.paused) != paused:
            await asyncio.sleep(0.005)


async def test_every_sidecar_hears_of_a_pause_and_of_its_end(open_gate: Open) -> None:
    here, there = await open_gate(), await open_gate()
    assert await there.admit(claim("free")) is FREE
    await here.turned_away(claim("c1"), 100)
    await until_paused(there)
    probe = await held(there, claim("read", wait_ms=10_000))  # free before, and now it waits its turn
    assert probe.blocked_by == "pause:crm"
    await probe.settle(SERVED)
    await until_paused(here, False)
    assert await here.admit(claim("free again")) is FREE


async def test_a_sidecar_that_starts_later_knows_of_a_pause(open_gate: Open) -> None:
    await (await open_gate()).turned_away(claim("c1"), 60_000)
    late = await open_gate()
    assert late.paused == {"pause:crm"}
    no = await refused(late, claim("read", wait_ms=100))
    assert (no.code, no.blocked_by) == ("tool-paused", "pause:crm")
    assert no.retry_after_ms is not None
    assert 50_000 < no.retry_after_ms <= 60_000
    assert no.wait_ms == 0  # nobody waits for what will not come in time


async def test_a_pause_that_the_store_forgot_is_forgotten_here_too(open_gate: Open) -> None:
    gate = await open_gate(lease_ms=300)
    await gate.turned_away(claim("c1"), 60_000)
    await until_paused(gate)
    store = gate._store
    assert store._link is not None
    await store._link.send("DEL", store._prefix + b"paused")
    await until_paused(gate, False)


async def test_who_waits_for_a_rate_goes_when_a_token_is_free(open_gate: Open) -> None:
    gate = await open_gate()
    rates = (Rate("tool:crm", 1, 300),)
    first = await held(gate, claim("c1")._replace(rates=rates))
    await first.settle(SERVED)
    second = await held(gate, claim("c2", wait_ms=10_000)._replace(rates=rates))
    assert second.blocked_by == "rate:tool:crm"
    assert 0 < second.wait_ms < 2_000
    await second.settle(NOT_SENT)


async def test_a_rate_that_will_not_have_room_in_time_refuses_at_once(open_gate: Open) -> None:
    gate = await open_gate()
    rates = (Rate("tool:crm", 1, 60_000),)
    await (await held(gate, claim("c1")._replace(rates=rates))).settle(SERVED)
    no = await refused(gate, claim("c2", wait_ms=10_000)._replace(rates=rates))
    assert (no.code, no.blocked_by, no.wait_ms) == ("rate-limited", "rate:tool:crm", 0)
    assert no.retry_after_ms is not None
    assert 50_000 < no.retry_after_ms <= 60_000


async def test_a_cancelled_waiter_leaves_the_line_of_a_rate(open_gate: Open) -> None:
    gate = await open_gate()
    rates = (Rate("tool:crm", 1, 5_000),)
    await (await held(gate, claim("c1")._replace(rates=rates))).settle(SERVED)
    asked = soon(gate.admit(claim("c2", wait_ms=10_000)._replace(rates=rates)))
    await waiting(gate, 1)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    assert await gate.drain(5)
    assert await gate.people.queues() == []
