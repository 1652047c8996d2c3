"""The store that breaks: silent, killed, restarted, emptied, replaced."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from sidecar.core.claim import Replay
from sidecar.core.outcome import NOT_SENT
from sidecar.core.refusal import Refusal
from sidecar.gate import store as store_module
from sidecar.gate.clock import clock
from sidecar.gate.gate import Gate
from sidecar.gate.lease import Lease, Ungated
from sidecar.gate.observer import Nobody
from sidecar.gate.store import StoreError
from tests.conftest import Serve
from tests.gate.scripts import claim
from tests.gate.test_gate import DONE, held, refused, soon
from tests.servers import Server


class Watch(Nobody):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.up: list[bool] = []
        self.scripts: list[str] = []
        self.failed = 0
        self.lost = 0
        self.queue = 0

    def store_seconds(self, script: str, seconds: float) -> None:
        assert 0 <= seconds < 10
        self.scripts.append(script)

    def store_up(self, up: bool) -> None:
        self.up.append(up)

    def lease_lost(self) -> None:
        self.lost += 1

    def settle_failed(self) -> None:
        self.failed += 1

    def queued(self, tenant: str) -> None:
        self.queue += 1

    def dequeued(self, tenant: str) -> None:
        self.queue -= 1


@pytest.fixture
async def server(serve: Serve, engine: str) -> Server:
    it = serve(engine)
    await it.start()
    return it


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
async def gate(server: Server, watch: Watch) -> AsyncIterator[Gate]:
    it = Gate(server.url, lease_ms=2000, observer=watch)
    await it.start()
    yield it
    await it.stop()


async def up(gate: Gate, state: bool = True) -> None:
    """Until the gate says so."""
    async with asyncio.timeout(20):
        while gate.up is not state:
            await asyncio.sleep(0.001)


async def test_with_the_store_away_every_claim_is_answered_at_once(
    gate: Gate, server: Server, watch: Watch
) -> None:
    await server.kill()
    await up(gate, False)
    began_s = clock()
    no = await refused(gate, claim("c1", "x", wait_ms=10_000))
    free = await gate.admit(claim("c2", None, (), {"global": 1}, store_down="allow"))
    assert clock() - began_s < 0.1
    assert (no.code, no.retry_after_ms, no.outcome) == ("store-unavailable", 1000, "not_sent")
    assert isinstance(free, Ungated)
    assert free.ungated == "store-down"
    assert watch.up == [True, False]
    await server.start()
    await up(gate)
    assert watch.up == [True, False, True]
    assert isinstance(await gate.admit(claim("c3", "x")), Lease)


async def test_a_silent_store_counts_as_away_within_a_second_and_frees_whoever_waits_for_it(
    gate: Gate, server: Server
) -> None:
    lease = await held(gate, claim("c0", None, ("a",)))
    waiter = soon(gate.admit(claim("c1", "x", ("a",), wait_ms=30_000)))
    async with asyncio.timeout(5):
        while not await gate.people.queues():
            await asyncio.sleep(0)
    server.pause()
    began_s = clock()
    no = await refused(gate, claim("c2", "y"))
    assert no.code == "store-unavailable"
    assert clock() - began_s < 1.0
    with pytest.raises(Refusal, match="store-unavailable"):
        await waiter
    server.resume()
    await up(gate)
    await lease.settle(NOT_SENT)
    await gate.drain(5)
    assert await gate.people.queues() == await gate.people.leases() == []


async def test_scripts_are_sent_again_after_a_flush(gate: Gate, server: Server) -> None:
    lease = await held(gate, claim("c1", "x"))
    await server.command("SCRIPT", "FLUSH")
    await lease.settle(DONE)
    assert isinstance(await gate.admit(claim("c2", "x")), Replay)


async def test_a_settle_that_meets_a_store_that_is_away_is_written_when_it_is_back(
    gate: Gate, server: Server, watch: Watch
) -> None:
    lease = await held(gate, claim("c1", "x", ("a",)))
    lease.sending()
    await server.kill()
    await lease.settle(DONE)  # never raises: the agent gets its answer
    assert watch.failed == 1
    await server.start()
    await up(gate)
    assert await gate.drain(10)
    assert isinstance(await gate.admit(claim("c2", "x")), Replay)
    assert isinstance(await gate.admit(claim("c3", "y", ("a",))), Lease)


async def test_a_settle_whose_reply_was_lost_is_not_written_twice(gate: Gate, watch: Watch) -> None:
    lease = await held(gate, claim("c1", "x"))
    settling = soon(lease.settle(DONE))
    await asyncio.sleep(0)
    assert gate._store._link is not None
    gate._store._link.close()
    await settling
    await up(gate)
    assert await gate.drain(10)
    assert isinstance(await gate.admit(claim("c2", "x")), Replay)
    assert watch.lost == 0


async def test_killed_and_restarted_under_load_it_grants_nothing_twice(
    gate: Gate, server: Server, watch: Watch
) -> None:
    other = Gate(server.url, lease_ms=2000)
    await other.start()
    inside: dict[str, int] = {}
    codes: set[str] = set()
    overlaps, done, stop = 0, 0, asyncio.Event()

    async def agent(number: int) -> None:
        nonlocal overlaps, done
        step = 0
        while not stop.is_set():
            step += 1
            entity = f"deal:{number % 3}"
            name = f"c{number}-{step}"
            asked = claim(name, name, (entity,), {"global": 4}, wait_ms=5000, timeout_ms=3000)
            try:
                lease = await (gate, other)[number % 2].admit(asked)
            except Refusal as no:
                codes.add(no.code)
                await asyncio.sleep(0.01)
                continue
            async with lease:  # type: ignore[union-attr]
                inside[entity] = inside.get(entity, 0) + 1
                overlaps += inside[entity] > 1
                lease.sending()  # type: ignore[union-attr]
                await asyncio.sleep(0.001)
                inside[entity] -= 1
                await lease.settle(DONE)  # type: ignore[union-attr]
            done += 1

    async def until(count: int) -> None:
        async with asyncio.timeout(30):
            while done < count:
                await asyncio.sleep(0.01)

    agents = [soon(agent(number)) for number in range(8)]
    for _ in range(2):
        await until(done + 50)
        await server.kill()
        await up(gate, False)
        await server.start()
        await up(gate)
    await until(done + 50)
    stop.set()
    await asyncio.gather(*agents)
    assert overlaps == 0
    assert codes <= {"store-unavailable", "locked", "cap-timeout"}
    await other.stop()


async def test_a_store_that_forgot_everything_pauses_what_excludes_others_for_one_lease(
    serve: Serve, engine: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(engine, keep=False)
    await server.start()
    gate = Gate(server.url, lease_ms=1000)
    await gate.start()
    await (await held(gate, claim("c1", "x", ("a",)))).settle(NOT_SENT)
    await server.kill()
    await server.start()
    await up(gate)
    assert "lost what it had acknowledged" in caplog.text
    no = await refused(gate, claim("c2", "x", ("a",), wait_ms=0))
    assert no.code == "store-unavailable"
    assert 0 < (no.retry_after_ms or 0) <= 1001
    assert isinstance(await gate.admit(claim("c3", None, (), {"global": 1})), Lease)  # excludes nobody
    newcomer = Gate(server.url, lease_ms=1000)
    await newcomer.start()
    assert (await refused(newcomer, claim("c4", "x", wait_ms=0))).code == "store-unavailable"
    waited = await held(gate, claim("c5", "x", ("a",), wait_ms=5000))
    assert waited.fence
    await gate.stop()
    await newcomer.stop()


async def test_a_restart_that_forgot_nothing_pauses_nobody(gate: Gate, server: Server) -> None:
    await held(gate, claim("c1", "x"))
    await server.kill()
    await server.start()
    await up(gate)
    assert isinstance(await gate.admit(claim("c2", "y")), Lease)


async def test_a_server_that_may_drop_locks_is_refused_unless_told_otherwise(
    serve: Serve, engine: str
) -> None:
    server = serve(engine, "--maxmemory-policy", "allkeys-lru")
    await server.start()
    with pytest.raises(StoreError, match=r"allkeys-lru.*noeviction.*allow_eviction"):
        await Gate(server.url).start()
    gate = Gate(server.url, allow_eviction=True)
    await gate.start()
    assert gate.up
    await gate.stop()


async def test_a_stop_ends_the_attempts_to_connect_although_one_of_them_lost_its_cancellation(
    server: Server, watch: Watch
) -> None:
    """As ``asyncio.wait_for`` does when what it waits for fails in the moment of its cancellation."""
    gate, trying = Gate(server.url, observer=watch), asyncio.Event()
    await gate.start()

    async def refuse() -> str:
        with suppress(asyncio.CancelledError):
            if not trying.is_set():
                trying.set()
                await asyncio.Event().wait()
        raise OSError("refused")

    gate._store.locate = refuse
    await server.kill()
    async with asyncio.timeout(10):
        await trying.wait()
        await gate.stop()
    assert watch.up[-1] is False


async def test_a_server_that_is_not_there_is_an_error_that_says_what_to_check() -> None:
    with pytest.raises(StoreError, match="is the server running"):
        await Gate("redis://user:secret@127.0.0.1:1/0").start()
    with pytest.raises(StoreError) as caught:
        await Gate("redis://user:secret@127.0.0.1:1/0").start()
    assert "secret" not in str(caught.value)


async def test_a_server_with_a_password_lets_in_who_has_it(serve: Serve, engine: str) -> None:
    server = serve(engine, "--requirepass", "sesame")
    server.launch()
    async with asyncio.timeout(20):
        while not server.socket.exists():
            await asyncio.sleep(0.01)
    gate = Gate(f"unix://:sesame@{server.socket}")
    await gate.start()
    assert isinstance(await gate.admit(claim("c1", "x")), Lease)
    await gate.stop()
    with pytest.raises(StoreError) as caught:
        await Gate(f"unix://:wrong@{server.socket}").start()
    assert "wrong" not in str(caught.value).split("unix")[0]
    assert "sesame" not in str(caught.value)


async def test_out_of_memory_refuses_new_calls_and_lets_running_ones_finish(
    gate: Gate, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "sidecar")
    lease = await held(gate, claim("c1", "x"))
    await server.command("CONFIG", "SET", "maxmemory", "1")
    assert (await refused(gate, claim("c2", "y"))).code == "store-unavailable"
    await lease.settle(DONE)
    await server.command("CONFIG", "SET", "maxmemory", "0")
    await gate.drain(5)
    assert isinstance(await gate.admit(claim("c3", "x")), Replay)


async def test_the_observer_is_told_of_round_trips_and_lines(gate: Gate, watch: Watch) -> None:
    lease = await held(gate, claim("c1", None, ("a",)))
    asked = soon(gate.admit(claim("c2", None, ("a",), wait_ms=10_000)))
    async with asyncio.timeout(5):
        while not watch.queue:
            await asyncio.sleep(0)
    await lease.settle(NOT_SENT)
    await (await asked).settle(NOT_SENT)  # type: ignore[union-attr]
    assert watch.queue == 0
    assert {"admit", "settle"} <= set(watch.scripts)


def test_the_breaker_opens_within_a_second() -> None:
    from sidecar.gate import link

    assert link.SILENCE_S + link._LOOK_S < 1.0
    assert store_module.CONNECT_S < 1.0


async def test_a_cancelled_settle_that_never_reached_the_store_is_written_later(
    gate: Gate, server: Server
) -> None:
    lease = await held(gate, claim("c1", "x"))
    server.pause()
    settling = soon(lease.settle(DONE))
    await asyncio.sleep(0)
    settling.cancel()
    await asyncio.gather(settling, return_exceptions=True)
    await server.kill()  # with the command unread
    await server.start()
    await up(gate)
    assert await gate.drain(10)
    assert isinstance(await gate.admit(claim("c2", "x")), Replay)
