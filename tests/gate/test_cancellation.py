"""Die at every await: afterwards the store is as if we had never come, or the record is there."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from sidecar.core.claim import Claim, Replay
from sidecar.core.outcome import NOT_SENT, Outcome
from sidecar.gate.gate import Gate
from sidecar.gate.lease import Lease
from tests.gate.conftest import Open
from tests.gate.scripts import claim
from tests.gate.test_gate import DONE, soon, waiting

TURNS = range(40)
"""Loop turns after which the victim is cancelled; a whole call takes fewer."""


async def cancelled_after(turns: int, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Run ``work`` for that many turns of the loop, then cancel it."""
    task = soon(work)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return task


async def is_empty(gate: Gate) -> None:
    """Nothing waits and nothing is held."""
    await gate.drain(5)
    assert await gate.people.leases() == await gate.people.queues() == []


@pytest.mark.parametrize("turns", TURNS)
async def test_a_cancelled_ask_is_as_if_it_had_never_been(open_gate: Open, turns: int) -> None:
    gate = await open_gate()
    task = await cancelled_after(turns, gate.admit(claim("c1", "x", ("a",), {"global": 1})))
    if not task.cancelled():
        await task.result().settle(NOT_SENT)
    await is_empty(gate)
    again = await gate.admit(claim("c2", "x", ("a",), {"global": 1}))
    assert isinstance(again, Lease)
    await again.settle(NOT_SENT)


@pytest.mark.parametrize("turns", TURNS)
async def test_a_cancelled_wait_leaves_its_line_and_gives_back_what_it_was_handed(
    open_gate: Open, turns: int
) -> None:
    here, there = await open_gate(), await open_gate()
    lease = await here.admit(claim("c1", None, ("a",)))
    assert isinstance(lease, Lease)
    asked = soon(there.admit(claim("c2", "x", ("a",), wait_ms=10_000)))
    await waiting(there, 1)
    release = soon(lease.settle(NOT_SENT))
    for _ in range(turns):
        await asyncio.sleep(0)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    await release
    if not asked.cancelled():
        await asked.result().settle(NOT_SENT)  # type: ignore[union-attr]
    await here.drain(5)
    await is_empty(there)
    third = await here.admit(claim("c3", "x", ("a",)))
    assert isinstance(third, Lease)
    await third.settle(NOT_SENT)


async def whole_call(gate: Gate, asked: Claim, sent: list[str]) -> None:
    async with await gate.admit(asked) as lease:  # type: ignore[union-attr]
        await asyncio.sleep(0)
        lease.sending()
        sent.append(asked.call)
        await asyncio.sleep(0)
        await lease.settle(DONE)


@pytest.mark.parametrize("turns", TURNS)
async def test_a_cancelled_call_is_free_if_it_was_not_sent_and_never_free_if_it_was(
    open_gate: Open, turns: int
) -> None:
    gate = await open_gate()
    sent: list[str] = []
    await cancelled_after(turns, whole_call(gate, claim("c1", "x", ("a",), {"global": 1}), sent))
    await gate.drain(5)
    assert [item for item in await gate.people.leases() if item["state"] == "granted"] == []
    unknown = await gate.people.unknown()
    if unknown:
        assert sent
        return
    second = await gate.admit(claim("c2", "x", ("a",), {"global": 1}, wait_ms=1000))
    assert isinstance(second, Replay if sent else Lease)
    if isinstance(second, Lease):
        await second.settle(NOT_SENT)


@pytest.mark.parametrize("turns", TURNS)
async def test_a_cancelled_settle_is_written_all_the_same(open_gate: Open, turns: int) -> None:
    gate = await open_gate()
    lease = await gate.admit(claim("c1", "x"))
    assert isinstance(lease, Lease)
    lease.sending()

    async def settle() -> None:
        async with lease:
            await lease.settle(DONE)

    await cancelled_after(turns + 1, settle())  # a task that never began has not left its lease either
    await is_empty(gate)
    assert isinstance(await gate.admit(claim("c2", "x")), Replay)


async def test_a_second_cancellation_does_not_undo_the_first_ones_cleaning_up(open_gate: Open) -> None:
    gate = await open_gate()
    entered = asyncio.Event()

    async def call() -> None:
        async with await gate.admit(claim("c1", "x")) as lease:  # type: ignore[union-attr]
            lease.sending()
            entered.set()
            await asyncio.Event().wait()

    task = soon(call())
    await entered.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await gate.drain(5)
    assert [item["why"] for item in await gate.people.unknown()] == ["cancelled"]
    await asyncio.gather(task, return_exceptions=True)


async def test_who_gives_up_while_the_store_is_silent_still_leaves(open_gate: Open) -> None:
    gate = await open_gate()
    link = gate._store._link
    assert link is not None
    task = soon(gate.admit(claim("c1", "x", ("a",))))
    await asyncio.sleep(0)
    link.close()  # asked, and the answer never came
    await asyncio.gather(task, return_exceptions=True)
    await is_empty_in_the_end(gate)


async def is_empty_in_the_end(gate: Gate) -> None:
    async with asyncio.timeout(10):
        while not gate.up:
            await asyncio.sleep(0.01)
    await is_empty(gate)


def test_an_outcome_has_one_default() -> None:
    assert Outcome("not_sent") == NOT_SENT
