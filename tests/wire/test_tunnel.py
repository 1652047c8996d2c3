import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from sidecar.core.call import Headers
from sidecar.core.refusal import Refusal
from sidecar.wire.body import Body
from sidecar.wire.exchange import Exchange
from sidecar.wire.held import Held
from sidecar.wire.listener import Listener
from sidecar.wire.response import LiveAnswer
from sidecar.wire.shared import Limits
from tests.wire.agents import PATIENCE_S, Agent, Far, agent, ask, parsed, port, problem, quiet

CONNECT = b"CONNECT crm.test:443 HTTP/1.1\r\nHost: crm.test:443\r\n\r\n"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
UPGRADE = (
    b"GET http://crm.test/ws HTTP/1.1\r\nHost: crm.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
)


class Upstream:
    """Accepts one connection and hands it to the test."""

    def __init__(self) -> None:
        self.accepted: asyncio.Queue[Agent] = asyncio.Queue()
        self.address = ("", 0)

    async def take(self, exchange: Exchange) -> None:
        """A handler that tunnels to here."""
        await exchange.tunnel(await self.held())

    async def held(self, early: bytes = b"") -> Held:
        _, held = await asyncio.get_running_loop().create_connection(lambda: Held(early), *self.address)
        return held


@contextlib.asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    it = Upstream()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        it.accepted.put_nowait(Agent(reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    it.address = server.sockets[0].getsockname()
    try:
        yield it
    finally:
        server.close()


@contextlib.asynccontextmanager
async def tunnel(limits: Limits | None = None) -> AsyncIterator[tuple[Listener, Agent, Agent]]:
    """A tunnel that is established: its listener, its agent, and the other end."""
    async with upstream() as far, port(far.take, limits) as listener, agent(listener) as near:
        await near.say(CONNECT)
        assert await near.until(b"\r\n\r\n") == ESTABLISHED
        other = await far.accepted.get()
        try:
            yield listener, near, other
        finally:
            other.writer.close()


async def test_bytes_pass_both_ways() -> None:
    async with tunnel() as (_, near, far):
        await near.say(b"\x16\x03\x01 hello")
        assert await far.exactly(9) == b"\x16\x03\x01 hello"
        await far.say(b"HTTP is not looked at\0")
        assert await near.until(b"\0") == b"HTTP is not looked at\0"


async def test_what_followed_the_connect_goes_first() -> None:
    async with upstream() as far, port(far.take) as listener, agent(listener) as near:
        await near.say(CONNECT + b"first ")
        await near.until(b"\r\n\r\n")
        await near.say(b"second")
        other = await far.accepted.get()
        assert await other.exactly(12) == b"first second"
        other.writer.close()


@pytest.mark.parametrize("closer", ["agent", "upstream"])
async def test_each_side_may_finish_speaking_before_it_finishes_listening(closer: str) -> None:
    async with tunnel() as (listener, near, far):
        one, other = (near, far) if closer == "agent" else (far, near)
        await one.say(b"the end")
        one.finish()
        assert await other.rest() == b"the end"
        assert listener.connections == 1
        await other.say(b"not mine")
        other.finish()
        assert await one.rest() == b"not mine"
        await quiet(listener)


async def test_an_agent_that_finished_with_its_connect_is_still_answered() -> None:
    finished = asyncio.Event()
    async with upstream() as far:

        async def late(exchange: Exchange) -> None:
            await finished.wait()
            await far.take(exchange)

        async with port(late) as listener, agent(listener) as near:
            await near.say(CONNECT + b"all of it")
            near.finish()
            await ask(listener, b"GET / HTTP/1.1\r\n\r\n")  # by its answer the end of file has been seen, too
            finished.set()
            await _is_answered(far, listener, near)


async def _is_answered(far: Upstream, listener: Listener, near: Agent) -> None:
    other = await far.accepted.get()
    assert await other.rest() == b"all of it"
    await other.say(b"answer")
    other.writer.close()
    assert await near.rest() == ESTABLISHED + b"answer"
    await quiet(listener)


@pytest.mark.parametrize("closer", ["agent", "upstream"])
async def test_a_reset_takes_both_sides_down(closer: str) -> None:
    async with tunnel() as (listener, near, far):
        one, other = (near, far) if closer == "agent" else (far, near)
        one.reset()
        with contextlib.suppress(ConnectionError):
            assert await other.rest() == b""
        await quiet(listener)


@pytest.mark.parametrize("slow", ["agent", "upstream"])
async def test_a_slow_reader_slows_the_writer_down(slow: str) -> None:
    async with tunnel() as (_, near, far):
        reader, writer = (near, far) if slow == "agent" else (far, near)
        reader.reader._transport.pause_reading()  # type: ignore[attr-defined] - there is no public way to read slowly
        size = 64 << 20
        sending = asyncio.ensure_future(writer.say(b"x" * size))  # noqa: TID251 - a test's own
        await asyncio.wait([sending], timeout=0.3)
        assert not sending.done(), "64 MB went nowhere"
        reader.reader._transport.resume_reading()  # type: ignore[attr-defined] - as above
        seen = 0
        async with asyncio.timeout(PATIENCE_S):
            while seen < size:
                seen += len(await reader.reader.read(1 << 20))
        await sending


async def test_an_idle_tunnel_is_torn_down() -> None:
    async with tunnel(Limits(tunnel_idle_s=0.1)) as (listener, near, far):
        with contextlib.suppress(ConnectionError):
            assert await near.rest() == b""
        with contextlib.suppress(ConnectionError):
            assert await far.rest() == b""
        await quiet(listener)


async def test_a_tunnel_in_use_is_not_idle() -> None:
    async with tunnel(Limits(tunnel_idle_s=0.2)) as (_, near, far):
        for _ in range(10):
            await near.say(b"x")
            assert await far.exactly(1) == b"x"
            await asyncio.sleep(0.05)


async def test_closing_the_listener_takes_tunnels_down() -> None:
    async with tunnel() as (listener, near, far):
        assert listener.calls == 1
        listener.close()
        with contextlib.suppress(ConnectionError):
            assert await near.rest() == b""
        with contextlib.suppress(ConnectionError):
            assert await far.rest() == b""
        await quiet(listener)


async def test_an_upstream_that_left_before_the_splice_ends_the_tunnel() -> None:
    async def late(exchange: Exchange) -> None:
        held = Held()
        held.connection_lost(None)
        await exchange.tunnel(held)

    async with port(late) as listener, agent(listener) as near:
        await near.say(CONNECT)
        assert await near.rest() == ESTABLISHED
        await quiet(listener)


async def test_a_refused_connect_closes_the_connection() -> None:
    async def refuse(exchange: Exchange) -> None:
        exchange.reply(Refusal("egress-denied", "No.").as_answer(exchange.call.id, ""))

    async with port(refuse) as listener, agent(listener) as near:
        await near.say(CONNECT + b"\x16\x03\x01")
        assert problem(await near.rest())["code"] == "egress-denied"


async def test_after_a_101_the_connection_is_a_tunnel() -> None:
    go = asyncio.Event()
    async with upstream() as far:

        async def switch(exchange: Exchange) -> None:
            fields = Headers(
                [(b"Upgrade", b"websocket"), (b"Connection", b"upgrade"), (b"Sec-WebSocket-Accept", b"x")]
            )
            body = Body(Far(), 0)
            body.end()
            answer = LiveAnswer(101, b"Switching Protocols", fields, body, Far())
            assert await exchange.relay(answer, b"executed", 0, True) == b""
            await go.wait()
            exchange.finish()
            await exchange.tunnel(await far.held(b"greeting"))

        async with port(switch) as listener, agent(listener) as near:
            await near.say(UPGRADE + b"early ")
            go.set()
            status, got = parsed(await near.until(b"\r\n\r\n"))
            assert status == 101
            assert (got["connection"], got["upgrade"]) == ("Upgrade", "websocket")
            assert "content-length" not in got
            assert await near.exactly(8) == b"greeting"
            other = await far.accepted.get()
            await near.say(b"frame")
            assert await other.exactly(11) == b"early frame"
            other.writer.close()
            assert await near.rest() == b""
            near.writer.close()
            await quiet(listener)
