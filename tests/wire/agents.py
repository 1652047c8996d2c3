"""Agents at a listener: raw sockets, so that they can be as rude as real ones."""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from sidecar.core.call import Answer, Headers, RawHeaders
from sidecar.core.refusal import Refusal
from sidecar.wire.body import Body
from sidecar.wire.exchange import Exchange
from sidecar.wire.listener import Listener
from sidecar.wire.response import LiveAnswer
from sidecar.wire.shared import Limits

Handle = Callable[[Exchange], Awaitable[None]]
PATIENCE_S = 10


async def echo(agent: Exchange) -> None:
    """Says what the call is and how long its body was; a refusal is answered as the pipeline would."""
    call = agent.call
    try:
        body = await agent.read(1 << 20)
    except Refusal as no:
        agent.reply(no.as_answer(call.id, ""))
        return
    where = f"{call.scheme}://{call.host}:{call.port}{call.path}?{call.query}"
    agent.reply(Answer(200, [], f"{call.method} {where} {len(body)}".encode()))


@contextlib.asynccontextmanager
async def port(
    handler: Handle = echo,
    limits: Limits | None = None,
    refused: Callable[[Refusal], None] | None = None,
    intercepted: Callable[[str, str], None] | None = None,
) -> AsyncIterator[Listener]:
    """A listener whose handlers have all ended when the test does, and that never let an exception fly."""
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))

    async def handle(agent: Exchange) -> None:
        await handler(agent)

    listener = await Listener.open("127.0.0.1", 0, handle, limits, refused, intercepted)
    try:
        yield listener
    finally:
        listener.close()
        async with asyncio.timeout(PATIENCE_S):
            await listener.drain()
        assert not failures, failures


class Agent:
    """One connection to a listener."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, *segments: bytes) -> None:
        """Send each segment on its own."""
        for segment in segments:
            self.writer.write(segment)
            await self.writer.drain()
            await asyncio.sleep(0)

    def finish(self) -> None:
        """Nothing more to say."""
        self.writer.write_eof()

    async def until(self, end: bytes) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readuntil(end)

    async def exactly(self, size: int) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readexactly(size)

    async def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.read()

    async def reply(self) -> tuple[int, dict[str, str], bytes]:
        """One reply with a Content-Length."""
        status, fields = parsed(await self.until(b"\r\n\r\n"))
        return status, fields, await self.exactly(int(fields.get("content-length", "0")))

    def reset(self) -> None:
        """Hang up with an RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def parsed(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and fields of a head, which must be well-formed."""
    line, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    version, status, _ = line.split(" ", 2)
    assert version == "HTTP/1.1"
    fields = dict(each.split(": ", 1) for each in lines)
    assert len(fields) == len(lines)
    return int(status), {name.lower(): value for name, value in fields.items()}


def problem(reply: bytes) -> dict[str, Any]:
    """The refusal in a whole reply that closes the connection."""
    head, _, body = reply.partition(b"\r\n\r\n")
    status, fields = parsed(head)
    assert fields["connection"] == "close"
    assert fields["content-type"] == "application/problem+json"
    assert int(fields["content-length"]) == len(body)
    it: dict[str, Any] = json.loads(body)
    assert it["status"] == status
    return it


@contextlib.asynccontextmanager
async def agent(listener: Listener) -> AsyncIterator[Agent]:
    reader, writer = await asyncio.open_connection(*listener.address)
    try:
        yield Agent(reader, writer)
    finally:
        writer.close()


async def ask(listener: Listener, *segments: bytes) -> bytes:
    """Everything that comes back on a connection of its own; the listener must end it."""
    async with agent(listener) as it:
        with contextlib.suppress(ConnectionError):
            await it.say(*segments)
        return await it.rest()


async def quiet(listener: Listener) -> None:
    """Wait until nobody is connected and no call runs."""
    async with asyncio.timeout(PATIENCE_S):
        while listener.connections or listener.calls:
            await asyncio.sleep(0.005)


class Far:
    """The upstream's connection under an answer: what the wire asked of it."""

    def __init__(self) -> None:
        self.paused = False
        self.aborted = asyncio.Event()

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def abort(self) -> None:
        self.aborted.set()


def arriving(
    length: int | None, status: int = 200, fields: RawHeaders = (), pieces: Sequence[bytes] = ()
) -> tuple[LiveAnswer, Far]:
    """An answer that has begun to arrive."""
    far = Far()
    body = Body(far, length)
    for piece in pieces:
        body.feed(piece)
    return LiveAnswer(status, b"OK", Headers(fields), body, far), far
