"""Upstreams that play a script: raw sockets, so that they can lie in every way a real one can."""

import asyncio
import contextlib
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

from sidecar.core.call import Headers
from sidecar.core.outbound import Outbound
from sidecar.core.refusal import Refusal
from sidecar.wire.egress import Egress

Play = Callable[["Line"], Awaitable[None]]
LOOPBACK = Egress(allow=["127.0.0.1/32"])
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Line:
    """One accepted connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """One request: its head, and a body of the announced length."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                return head + await self.reader.readexactly(int(line.partition(b":")[2]))
        return head

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Close with an RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def cut(self) -> None:
        """End the stream below TLS: a FIN without a close_notify."""
        with socket.socket(fileno=os.dup(self.writer.get_extra_info("socket").fileno())) as below:
            below.shutdown(socket.SHUT_WR)

    async def gone(self) -> None:
        """Wait until the other side closed."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass


class Stage:
    """A listening upstream; connection n plays script n, and the last script plays on for all that follow."""

    def __init__(self, plays: Sequence[Play]) -> None:
        self._plays = plays
        self.port = 0
        self.connections = 0
        self.requests: list[bytes] = []
        self.errors: list[BaseException] = []
        self.tasks: set[asyncio.Task[None]] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        play = self._plays[min(self.connections, len(self._plays) - 1)]
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        line = Line(reader, writer)
        try:
            await play(line)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side left: whether it should have is the test's to say
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self.errors.append(error)
        finally:
            self.tasks.discard(task)
            writer.close()


@contextlib.asynccontextmanager
async def stage(*plays: Play, tls: ssl.SSLContext | None = None) -> AsyncIterator[Stage]:
    it = Stage(plays)
    server = await asyncio.start_server(it.accept, "127.0.0.1", 0, ssl=tls)
    it.port = server.sockets[0].getsockname()[1]
    try:
        yield it
    finally:
        server.close()
        tasks = list(it.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not it.errors, it.errors


def says(*answers: bytes) -> Play:
    """Answer each request with the next of ``answers``, then stay silent."""

    async def play(line: Line) -> None:
        for answer in answers:
            await line.request()
            await line.say(answer)
        await line.gone()

    return play


def says_and_closes(answer: bytes) -> Play:
    async def play(line: Line) -> None:
        await line.request()
        await line.say(answer)

    return play


def says_and_resets(answer: bytes) -> Play:
    """The reset follows once the answer was certainly read: an RST may overtake what it follows."""

    async def play(line: Line) -> None:
        await line.request()
        await line.say(answer)
        line.reset()

    return play


class Granted:
    """A lease that is held, and remembers being asked."""

    def __init__(self) -> None:
        self.asked = 0

    def sending(self) -> None:
        self.asked += 1


class Lapsed:
    def sending(self) -> None:
        raise Refusal("store-unavailable", "The lease lapsed.", outcome="not_sent")


class Pieces:
    """A streamed request body out of ready pieces."""

    def __init__(
        self, pieces: Iterable[bytes], length: int | None = None, trailers: Sequence[tuple[bytes, bytes]] = ()
    ):
        self._pieces = iter(pieces)
        self.length = length
        self.trailers: Sequence[tuple[bytes, bytes]] = ()
        self._trailers_at_the_end = trailers
        self.reads = 0

    @property
    def whole(self) -> bytes | None:
        return None

    async def read(self) -> bytes:
        self.reads += 1
        piece = next(self._pieces, b"")
        if not piece:
            self.trailers = self._trailers_at_the_end
        return piece


def request(port: int, method: str = "POST", **fields: object) -> Outbound:
    values: dict[str, object] = {
        "method": method,
        "scheme": "http",
        "host": "127.0.0.1",
        "port": port,
        "target": b"/deals/42?x=%2F",
        "headers": [(b"Host", b"crm.test"), (b"Via", b"1.1 agent-sidecar")],
        "timeout_ms": 5_000,
        "safe": method in ("GET", "HEAD"),
    }
    return Outbound(**(values | fields))  # type: ignore[arg-type] - a test names the fields it changes


def ignore(status: int, headers: Headers) -> None:
    """No interest in interim answers."""


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop go round until ``condition`` holds; for states that nothing announces."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to be")


async def drain(body: object) -> bytes:
    pieces = []
    while piece := await body.read():  # type: ignore[attr-defined] - whatever has a read
        pieces.append(piece)
    return b"".join(pieces)
