"""The upstream connections that are open, and which of them may carry the next request.

An upstream may close an idle connection at any moment, and a request that crosses its close on the way is
lost: for one that only reads, no matter, it is sent again; for one with an effect its outcome is *unknown*,
and a person may have to look.  So such a request takes only a connection that was used a moment ago
(``fresh_s``), well inside the idle time that any server grants, and less where the upstream announced less
(``Keep-Alive: timeout``).

The most recently used connection goes first, so that the others can age and be closed.  One coarse sweep of
all connections stands in for a timer per call.
"""

import asyncio
import math
from collections import defaultdict
from dataclasses import dataclass

from sidecar.wire.channel import Channel, Key

SWEEP_S = 0.1
"""How late a deadline may be noticed."""
MARGIN_S = 1.0
"""Trust an announced idle time less this: the way there, and the upstream's own clock."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how many."""

    connect_s: float = 5.0
    """For a tunnel; a call brings its tool's own (``Outbound.connect_timeout_ms``)."""
    idle_s: float = 60.0
    """An idle connection is closed after this."""
    fresh_s: float = 4.0
    """A request with an effect takes a connection idle for less than this.  Node and uvicorn close after 5
    s."""
    max_idle: int = 512


class Pool:
    """Open channels.  Not shared between loops."""

    def __init__(self, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self._limits = limits
        self._loop = loop
        self._idle: defaultdict[Key, list[Channel]] = defaultdict(list)
        self._idle_count = 0
        self._open: set[Channel] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Pool {len(self._open) - self._idle_count} busy, {self._idle_count} idle>"

    def take(self, key: Key, now_s: float, *, fresh: bool) -> Channel | None:
        """An idle channel, the youngest, or None; ``fresh`` for a request that must not meet a closing
        one."""
        idle = self._idle.get(key)
        while idle:
            channel = idle[-1]
            if fresh and now_s - channel.idle_since_s > channel.fresh_s:
                return None
            idle.pop()
            self._idle_count -= 1
            if channel.usable:
                return channel
        return None

    def add(self, channel: Channel) -> None:
        """A channel was connected; it is busy until it is released."""
        self._open.add(channel)
        self.announced(channel, math.inf)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)

    def announced(self, channel: Channel, keep_alive_s: float) -> None:
        """The upstream said how long it keeps the connection idle; our own limits hold all the same."""
        channel.idle_s = min(self._limits.idle_s, keep_alive_s - MARGIN_S)
        channel.fresh_s = min(self._limits.fresh_s, channel.idle_s)

    def release(self, channel: Channel) -> None:
        """It is idle and may carry another exchange."""
        if self._idle_count >= self._limits.max_idle:
            channel.close()
            return
        channel.idle_since_s = now_s = self._loop.time()
        channel.deadline = now_s + channel.idle_s
        self._idle[channel.key].append(channel)
        self._idle_count += 1

    def forget(self, channel: Channel) -> None:
        self._open.discard(channel)
        idle = self._idle.get(channel.key)
        if idle is not None and channel in idle:
            idle.remove(channel)
            self._idle_count -= 1
        if not idle:
            self._idle.pop(channel.key, None)

    def close_idle(self) -> None:
        """Close whatever carries no exchange."""
        for channel in [channel for idle in self._idle.values() for channel in idle]:
            channel.close()

    def close(self) -> None:
        """Drop everything; exchanges in flight fail."""
        for channel in list(self._open):
            channel.stop()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def _sweep(self) -> None:
        now = self._loop.time()
        for channel in [channel for channel in self._open if channel.deadline <= now]:
            channel.expire()
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep) if self._open else None
