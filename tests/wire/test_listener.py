import asyncio
import contextlib

import pytest

from sidecar.wire.connection import MAX_EXCESS
from sidecar.wire.exchange import Exchange
from sidecar.wire.shared import Limits
from tests.wire.agents import PATIENCE_S, agent, arriving, ask, echo, parsed, port, problem, quiet

GET = b"GET http://crm.test/a HTTP/1.1\r\nHost: crm.test\r\n\r\n"
LAST = b"GET http://crm.test/a HTTP/1.1\r\nHost: crm.test\r\nConnection: close\r\n\r\n"


async def test_draining_closes_idle_connections_at_once_and_busy_ones_after_their_reply() -> None:
    began, go = asyncio.Event(), asyncio.Event()

    async def held(exchange: Exchange) -> None:
        began.set()
        await go.wait()
        await echo(exchange)

    async with port(held) as listener, agent(listener) as idle, agent(listener) as busy:
        await busy.say(GET)
        await began.wait()
        assert (listener.connections, listener.calls) == (2, 1)
        draining = asyncio.ensure_future(listener.drain())  # noqa: TID251 - a test's own
        assert await idle.rest() == b""
        assert not draining.done()
        go.set()
        assert parsed(await busy.until(b"\r\n\r\n"))[1]["connection"] == "close"
        assert await busy.rest() == b"GET http://crm.test:80/a? 0"
        async with asyncio.timeout(PATIENCE_S):
            await draining


async def test_who_connects_while_others_drain_gets_one_reply() -> None:
    began, go = asyncio.Event(), asyncio.Event()

    async def held(exchange: Exchange) -> None:
        if not began.is_set():
            began.set()
            await go.wait()
        await echo(exchange)

    async with port(held) as listener, agent(listener) as busy:
        await busy.say(GET)
        await began.wait()
        draining = asyncio.ensure_future(listener.drain())  # noqa: TID251 - a test's own
        await asyncio.sleep(0)
        assert b"Connection: close" in await ask(listener, GET)
        go.set()
        await draining


async def test_an_answer_that_was_held_back_when_draining_began_is_the_last() -> None:
    held, go = asyncio.Event(), asyncio.Event()
    answer, _ = arriving(5, pieces=[b"hello"])
    answer.body.end()

    async def settles(exchange: Exchange) -> None:
        await exchange.relay(answer, b"", 0, True)
        held.set()
        await go.wait()
        exchange.finish()

    async with port(settles) as listener, agent(listener) as it:
        await it.say(GET)
        await held.wait()
        draining = asyncio.ensure_future(listener.drain())  # noqa: TID251 - a test's own
        await asyncio.sleep(0)
        go.set()
        assert (await it.rest()).endswith(b"hello")
        await draining


async def test_who_stopped_accepting_is_not_connected_to() -> None:
    async with port() as listener:
        address = listener.address
        async with agent(listener) as it:
            await it.say(GET)
            await it.reply()
            listener.stop_accepting()
            await it.say(GET)
            assert (await it.reply())[0] == 200
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)


async def test_connections_past_the_limit_are_told_so() -> None:
    async with port(limits=Limits(connections=2)) as listener:
        async with agent(listener) as one, agent(listener):
            await one.say(GET)
            await one.reply()
            assert problem(await ask(listener))["code"] == "queue-full"
        await quiet(listener)
        assert (await ask(listener, LAST)).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_flood_past_the_limit_is_cut_off() -> None:
    async with port(limits=Limits(connections=0)) as listener:
        told = [await asyncio.open_connection(*listener.address) for _ in range(MAX_EXCESS)]
        for reader, _ in told:
            assert (await reader.readline()).startswith(b"HTTP/1.1 429 ")
        with contextlib.suppress(ConnectionError):
            assert await ask(listener) == b""
        for _, writer in told:
            writer.close()
        await quiet(listener)


async def test_closing_drops_everybody() -> None:
    async def stuck(exchange: Exchange) -> None:
        await asyncio.Event().wait()

    async with port(stuck) as listener, agent(listener) as it:
        await it.say(GET)
        listener.close()
        with contextlib.suppress(ConnectionError):
            assert await it.rest() == b""
        await quiet(listener)


async def test_call_ids_differ_between_listeners_and_calls() -> None:
    seen: list[str] = []

    async def note(exchange: Exchange) -> None:
        seen.append(exchange.call.id)
        await echo(exchange)

    async with port(note) as one, port(note) as other:
        for listener in (one, one, other):
            await ask(listener, LAST)
    assert len(set(seen)) == 3
