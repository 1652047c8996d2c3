"""Where agents connect: the listening sockets, their connections, and the sweep that keeps their deadlines."""

import asyncio
import errno
import secrets
from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, Self, cast

from sidecar.core.refusal import Refusal
from sidecar.wire.connection import Connection
from sidecar.wire.interceptions import Interceptions
from sidecar.wire.shared import Authority, Handler, Limits, Shared

if TYPE_CHECKING:
    from sidecar.wire.transparent import BoundFor

BACKLOG = 1024
LOOPBACKS = ("127.0.0.1", "::1")
NO_IPV6 = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class Listener:
    """A proxy port, and perhaps a transparent one.  ``stop_accepting``, then ``drain``, then ``close``."""

    def __init__(self, server: asyncio.Server, shared: Shared) -> None:
        self._server = server
        self._transparent: list[asyncio.Server] = []
        self._shared = shared
        self._period_s = _period_s(shared.limits)
        self._timer = shared.loop.call_later(self._period_s, self._sweep)

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        handler: Handler,
        limits: Limits | None = None,
        refused: Callable[[Refusal], None] | None = None,
        intercepted: Callable[[str, str], None] | None = None,
    ) -> Self:
        """Listen on TCP; port 0 takes a free one.  ``refused`` hears of requests that are no calls, ``intercepted`` of
        what came of a CONNECT that was opened (its host, and a word).

        Raises OSError where the address cannot be had.
        """
        # Ids begin with a letter: in Sidecar-Verdict they are tokens (RFC 8941 section 3.3.4).
        prefix = f"c{secrets.token_hex(5)}-"
        shared = Shared(handler, limits or Limits(), prefix, refused, Interceptions(intercepted))
        server = await shared.loop.create_server(
            lambda: cast("asyncio.Protocol", Connection(shared)), host, port, backlog=BACKLOG
        )
        return cls(server, shared)

    async def open_transparent(
        self, port: int, bound_for: "BoundFor | None" = None
    ) -> Sequence[tuple[str, int]]:
        """Take redirected connections too, on this port of loopback, where the kernel's redirect leads to; the places.

        Without IPv6 on loopback none is redirected there.  Raises OSError where a port cannot be had.
        """
        from sidecar.wire.transparent import arrivals  # not loaded where nobody is redirected

        made = arrivals(self._shared, bound_for)
        for host in LOOPBACKS:
            try:
                server = await self._shared.loop.create_server(made, host, port, backlog=BACKLOG)
            except OSError as error:
                if host == "::1" and error.errno in NO_IPV6:
                    continue
                raise
            self._transparent.append(server)
        return [server.sockets[0].getsockname()[:2] for server in self._transparent]

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of a TCP listener."""
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    @property
    def connections(self) -> int:
        """Open ones, tunnels included."""
        return len(self._shared.connections)

    @property
    def calls(self) -> int:
        """Handlers running, tunnels included."""
        return len(self._shared.calls)

    def obey(self, authority: Authority | None) -> None:
        """Open CONNECTs with this authority from now on; without one there is none to be opened."""
        self._shared.authority = authority

    def stop_accepting(self) -> None:
        for server in (self._server, *self._transparent):
            server.close()

    async def drain(self) -> None:
        """Close idle connections now and busy ones after their reply; returns when no call runs.

        How long that may take is the caller's to bound.  Cancelling it leaves the calls running.
        """
        self._shared.draining = True
        for connection in list(self._shared.connections):
            connection.retire()
        while self._shared.calls:
            await asyncio.wait(self._shared.calls)

    def close(self) -> None:
        """Drop every connection, whatever it is doing; calls that wait for their turn are called off."""
        self.stop_accepting()
        self._shared.draining = True
        self._timer.cancel()
        for connection in list(self._shared.connections):
            connection.abort()

    def _sweep(self) -> None:
        now_s = self._shared.now_s = self._shared.loop.time()
        self._timer = self._shared.loop.call_later(self._period_s, self._sweep)
        for connection in [c for c in self._shared.connections if c.deadline_s < now_s]:
            connection.overdue()

    def __repr__(self) -> str:
        return f"<Listener {self.connections} connections, {self.calls} calls>"


def _period_s(limits: Limits) -> float:
    """A second is near enough for limits of many; for shorter ones, a quarter of the shortest."""
    shortest = min(limits.head_s, limits.idle_s, limits.stall_s, limits.linger_s, inf)
    return min(1.0, max(0.02, shortest / 4))
