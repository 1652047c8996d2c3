"""How long a freed place stays empty: from an answer's last byte to the first byte of the next call at the upstream.

Callers of one sidecar all want the same entity.  In between lie the answer's way back, ``settle``, the message to whose
turn it is, its ``admit``, and its way there.  Every call stays at the upstream for so long that nothing else happens
when it ends.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from time import monotonic, perf_counter
from typing import Final

from bench import rounds
from bench.backing import ANSWER
from bench.checks import Wrong
from bench.contenders import contenders
from bench.site import Site

CALLERS: Final = 16
HOLD_S: Final = 0.005
THINK_S: Final = 0.002
_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)


class Upstream(asyncio.Protocol):
    """One connection to an upstream that notes the gaps between its calls."""

    def __init__(self, began: Callable[[], None], ended: Callable[[], None]) -> None:
        self._began = began
        self._ended = ended

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, _data: bytes) -> None:
        """A request comes in one piece: it is short."""
        self._began()
        asyncio.get_running_loop().call_later(HOLD_S, self._answer)

    def _answer(self) -> None:
        self._transport.write(_ANSWER)
        self._ended()


class Gaps:
    """Between calls that never overlap."""

    def __init__(self) -> None:
        self.us: list[float] = []
        self.overlaps = 0
        self._ended_s = 0.0
        self._busy = False

    def began(self) -> None:
        self.overlaps += self._busy
        self._busy = True
        if self._ended_s:
            self.us.append((perf_counter() - self._ended_s) * 1e6)

    def ended(self) -> None:
        self._busy, self._ended_s = False, perf_counter()


@dataclass(frozen=True, slots=True)
class HandOff:
    """In us."""

    p50_us: float
    p99_us: float
    count: int


def measure(site: Site, seconds: int) -> HandOff:
    """The gaps between calls on one entity.  Raises Wrong where two overlapped or a caller was refused."""
    (gated,) = [one for one in contenders() if one.name == "gated"]
    proxy = rounds.start(gated, site)
    try:
        gaps = asyncio.run(_gaps(proxy.port, seconds))
    finally:
        proxy.process.stop()
    if gaps.overlaps:
        raise Wrong(f"{gaps.overlaps} calls reached the upstream while another held their entity")
    us = sorted(gaps.us[CALLERS:-CALLERS])  # while everybody has come and nobody has gone
    return HandOff(us[len(us) // 2], us[len(us) * 99 // 100], len(us))


async def _gaps(port: int, seconds: int) -> Gaps:
    gaps = Gaps()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upstream(gaps.began, gaps.ended), "127.0.0.1", 0)
    host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    numbers, ends_s = count(), monotonic() + seconds
    async with server:
        await asyncio.gather(*(_caller(port, host, numbers, ends_s) for _ in range(CALLERS)))
    return gaps


async def _caller(port: int, host: str, numbers: "count[int]", ends_s: float) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while monotonic() < ends_s:
        body = b'{"note":"%d"}' % next(numbers)
        head = (
            f"POST http://{host}/crm/items/one HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        )
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        reply = await reader.readuntil(b"\r\n\r\n")
        if not reply.startswith(b"HTTP/1.1 200") or await reader.readexactly(len(ANSWER)) != ANSWER:
            raise Wrong(f"a caller that waits its turn got {reply!r}")
        await asyncio.sleep(THINK_S)
    writer.close()
