"""Bodies of any size, with flat memory: a fast side never fills the memory for a slow one."""

import asyncio
import gc
import resource
from pathlib import Path

import pytest

from sidecar.tasks import spawn
from sidecar.wire.body import HIGH
from sidecar.wire.upstream import HttpUpstream
from tests.wire.scripted import LOOPBACK, OK, Granted, Line, Pieces, ignore, request, stage

MIB = 1024 * 1024
PIECE = b"x" * (256 * 1024)
SIZES = [64 * MIB, pytest.param(1024 * MIB, marks=pytest.mark.slow)]
TOLERATED_BYTES = 24 * MIB
"""Socket buffers, a few pieces, and what the test's own upstream holds."""


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


class Growth:
    """The most that memory grew since it was made, as seen at each look."""

    def __init__(self) -> None:
        gc.collect()
        self._before = resident_bytes()
        self.most = 0

    def look(self) -> None:
        self.most = max(self.most, resident_bytes() - self._before)


class Large(Pieces):
    """A body of ``size`` bytes that counts what was taken."""

    def __init__(self, size: int, growth: Growth, *, chunked: bool) -> None:
        super().__init__([], None if chunked else size)
        self.left = size
        self.growth = growth

    async def read(self) -> bytes:
        await asyncio.sleep(0)
        if self.left <= 0:
            return b""
        self.left -= len(PIECE)
        self.growth.look()
        return PIECE


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_large_upload_passes_with_flat_memory(size: int, chunked: bool) -> None:
    async def play(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        if chunked:
            while (length := int(await line.reader.readline(), 16)) > 0:
                await line.reader.readexactly(length + 2)
            await line.reader.readexactly(2)
        else:
            left = size
            while left:
                left -= len(await line.reader.read(min(left, MIB)))
        await line.say(OK)
        await line.gone()

    growth = Growth()
    async with stage(play) as it:
        upstream = HttpUpstream(LOOPBACK)
        sent = request(it.port, timeout_ms=120_000)
        answer = await upstream.send(sent, Large(size, growth, chunked=chunked), Granted(), ignore)
        assert answer.body.whole == b"hi"
        assert repr(upstream) == "<HttpUpstream <Pool 0 busy, 1 idle>>"
        upstream.close()
    assert growth.most < TOLERATED_BYTES


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("framing", ["length", "chunks", "close"])
async def test_a_large_download_passes_with_flat_memory(size: int, framing: str) -> None:
    head = {
        "length": b"Content-Length: %d\r\n" % size,
        "chunks": b"Transfer-Encoding: chunked\r\n",
        "close": b"",
    }

    async def play(line: Line) -> None:
        await line.request()
        await line.say(b"HTTP/1.1 200 OK\r\n" + head[framing] + b"\r\n")
        for _ in range(size // len(PIECE)):
            await line.say(b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if framing == "chunks" else PIECE)
        await line.say(b"0\r\n\r\n" if framing == "chunks" else b"")
        if framing != "close":
            await line.gone()

    growth = Growth()
    async with stage(play) as it:
        upstream = HttpUpstream(LOOPBACK)
        answer = await upstream.send(request(it.port, timeout_ms=120_000), b"", Granted(), ignore)
        received = 0
        while piece := await answer.body.read():
            received += len(piece)
            growth.look()
        assert received == size
        upstream.close()
    assert growth.most < TOLERATED_BYTES


async def test_an_upstream_that_reads_nothing_holds_the_upload_back() -> None:
    hear = asyncio.Event()

    async def play(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        await hear.wait()
        left = 64 * MIB
        while left:
            left -= len(await line.reader.read(MIB))
        await line.say(OK)

    body = Large(64 * MIB, Growth(), chunked=False)
    async with stage(play) as it:
        upstream = HttpUpstream(LOOPBACK)
        call = spawn(upstream.send(request(it.port), body, Granted(), ignore), "a caller")
        still = -1
        while body.left != still:
            still = body.left
            await asyncio.sleep(0.05)
        assert body.left > 32 * MIB
        hear.set()
        assert (await call).body.whole == b"hi"
        upstream.close()


async def test_a_caller_that_reads_nothing_holds_the_download_back() -> None:
    said = 0

    async def play(line: Line) -> None:
        nonlocal said
        await line.request()
        await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * MIB))
        while said < 64 * MIB:
            await line.say(PIECE)
            said += len(PIECE)
        await line.gone()

    async with stage(play) as it:
        upstream = HttpUpstream(LOOPBACK)
        answer = await upstream.send(request(it.port), b"", Granted(), ignore)
        still = -1
        while said != still:
            still = said
            await asyncio.sleep(0.05)
        assert said < 32 * MIB
        assert len(await answer.body.read()) < 4 * HIGH
        answer.abandon()


@pytest.mark.parametrize("attempt", range(5))
async def test_an_upload_that_is_cut_short_still_delivers_the_early_answer(attempt: int) -> None:
    """The upstream answers, and closes with our bytes unread: its kernel follows the answer with a reset."""

    async def play(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        await line.say(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 4\r\n\r\nless")

    async with stage(play) as it:
        upstream = HttpUpstream(LOOPBACK)
        answer = await upstream.send(
            request(it.port), Large(64 * MIB, Growth(), chunked=True), Granted(), ignore
        )
        assert (answer.status, await answer.body.read()) == (413, b"less")
        upstream.close()
