"""Two connections spliced: what arrives at one leaves at the other, until both have said their last.

Each side may finish speaking before it finishes listening, so an end of file is passed on and not taken for a close.
Whoever reads slowly slows the other down.  A tunnel that carries nothing for its idle time is torn down.
"""

import asyncio
import contextlib

from sidecar.wire.held import Held


class _Side(asyncio.Protocol):
    """One end: hands what it receives to the other."""

    __slots__ = ("finished", "lost", "moved", "over", "peer", "transport")

    def __init__(self, over: "asyncio.Future[None]") -> None:
        self.over = over
        self.finished = False
        """It has said its last."""
        self.lost = False
        self.moved = False
        """It has said something since this was last set to False."""
        self.transport: asyncio.Transport
        self.peer: _Side

    def join(self, transport: asyncio.Transport, peer: "_Side") -> None:
        self.transport = transport
        self.peer = peer

    def send(self, data: bytes) -> None:
        if data and not self.transport.is_closing():
            self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        self.moved = True
        self.peer.send(data)

    def eof_received(self) -> bool:
        self.finished = True
        self.peer.close_writing()
        return not self.peer.finished

    def close_writing(self) -> None:
        if self.finished or not self.transport.can_write_eof():  # TLS cannot end one direction only
            self.transport.close()
        elif not self.transport.is_closing():
            self.transport.write_eof()

    def pause_writing(self) -> None:
        self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        self.peer.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if exc is None:
            self.peer.transport.close()  # once it has sent what it was given
        else:
            self.peer.transport.abort()
        if self.peer.lost and not self.over.done():
            self.over.set_result(None)


async def splice(agent: asyncio.Transport, early: bytes, held: Held, idle_s: float) -> None:
    """Join ``agent``, which has said ``early`` already, with ``held``; returns when the tunnel is over.

    The agent must be paused.  An end of file that it sent before is read again, since sockets repeat it.  From here on
    nobody else hears of its loss.
    """
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    here, there = _Side(over), _Side(over)
    taken = held.take(there)
    if taken is None:
        agent.close()
        return
    agent.set_protocol(here)
    here.join(agent, there)
    there.join(taken[0], here)
    there.send(early)
    here.send(taken[1])
    agent.resume_reading()
    taken[0].resume_reading()
    try:
        await _until_idle(over, here, there, idle_s)
    finally:
        for side in (here, there):
            if not side.lost:
                side.transport.abort()


async def _until_idle(over: "asyncio.Future[None]", here: _Side, there: _Side, idle_s: float) -> None:
    while not over.done():
        here.moved = there.moved = False
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(over), idle_s)
        if not (here.moved or there.moved):
            return
