"""Sending a request to an upstream, and everything that can come of it: an answer, or a Refusal that says
what is known.

What a refusal says of the outcome follows from one line: the one that writes.  Before it everything is
``not_sent``, after it ``unknown``.  The lease is asked on the line before, with nothing in between that could
take time.
"""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from sidecar.core.outbound import Outbound
from sidecar.core.refusal import Refusal
from sidecar.ports import Body
from sidecar.wire import request as outgoing
from sidecar.wire.channel import Channel, Inform
from sidecar.wire.dial import ANYBODY, Dialer
from sidecar.wire.egress import Egress
from sidecar.wire.held import Held
from sidecar.wire.homes import Homes
from sidecar.wire.pool import Limits, Pool
from sidecar.wire.refusals import unreachable
from sidecar.wire.resolve import Resolver
from sidecar.wire.response import LiveAnswer


class Lease(Protocol):
    """What must be true right before the first byte leaves."""

    def sending(self) -> None: ...


class HttpUpstream:
    """Every upstream, over HTTP/1.1, through one pool.  To be made and used on one running loop."""

    def __init__(
        self, egress: Egress, limits: Limits | None = None, ca_file: str = "", homes: Iterable[str] = ()
    ) -> None:
        """``ca_file``: a PEM bundle to trust instead of the system's.  ``homes``: the tools' hosts."""
        self._loop = asyncio.get_running_loop()
        self._limits = limits or Limits()
        self._pool = Pool(self._limits, self._loop)
        self._resolver = Resolver(egress)
        self._dialer = Dialer(self._resolver, ca_file)
        self._homes = Homes(self._resolver, homes)

    async def send(self, request: Outbound, body: bytes | Body, lease: Lease, inform: Inform) -> LiveAnswer:
        """Send one request and return its answer, whose body may still be coming.

        A request that only reads and meets a pooled connection which the upstream had given up is sent once
        more, on a new one.  Raises Refusal: ``upstream-unreachable``, ``upstream-failed``,
        ``upstream-timeout``, ``egress-denied``, and what ``lease.sending`` or ``body.read`` raise.
        """
        now_s = self._loop.time()
        deadline = now_s + request.timeout_ms / 1000
        pieces, rest = outgoing.opening(request, body)
        safe = request.safe
        channel = self._pool.take(
            (request.scheme, request.host, request.port, request.trust), now_s, fresh=not safe
        )
        again = safe and channel is not None and rest is None
        while True:
            if channel is None:
                channel = await self._open(request, deadline)
            try:
                lease.sending()
            except BaseException:
                self._pool.release(channel)  # nothing was written
                raise
            exchange = channel.start(request, pieces, deadline, inform)
            if rest is not None:
                channel.upload(self._upload(channel, rest))
            try:
                return await exchange
            except asyncio.CancelledError:
                channel.leave(exchange)
                raise
            except Refusal:
                if not (again and channel.stale):
                    raise
            channel, again = None, False

    async def connect(self, host: str, port: int, timeout_ms: int, address: str = "") -> Held:
        """A raw connection for a blind tunnel, under the same egress policy.

        ``address``: connect there and not to what ``host`` leads to; but never to a tool's under another's name.
        Raises Refusal ``egress-denied``, ``upstream-unreachable`` or ``upstream-timeout``, all ``not_sent``.
        """
        if address:
            await self._homes.check(address, host)
        connect_ms = int(self._limits.connect_s * 1000)
        return await self._dialer.dial(
            Held, address or host, port, connect_timeout_ms=connect_ms, timeout_ms=timeout_ms
        )

    def obey(self, egress: Egress, ca_file: str = "", homes: Iterable[str] = ()) -> None:
        """Take a new egress policy, bundle, and tools' hosts; idle connections were made under the old ones and are
        closed."""
        self._resolver.obey(egress)
        self._dialer.obey(ca_file)
        self._homes.obey(homes)
        self._pool.close_idle()

    def close(self) -> None:
        """Drop every connection.  Exchanges in flight fail."""
        self._pool.close()

    def __repr__(self) -> str:
        return f"<HttpUpstream {self._pool!r}>"

    async def _upload(self, channel: Channel, body: Body) -> None:
        try:
            await outgoing.stream(body, channel.write)
        except Exception as error:
            channel.break_off(error)

    async def _open(self, request: Outbound, deadline: float) -> Channel:
        key = (request.scheme, request.host, request.port, request.trust)
        left_ms = int((deadline - self._loop.time()) * 1000)
        channel = await self._dialer.dial(
            lambda: Channel(self._pool, key, self._loop),
            request.host,
            request.port,
            trust=(request.trust or ANYBODY) if request.scheme == "https" else None,
            connect_timeout_ms=request.connect_timeout_ms,
            timeout_ms=left_ms,
        )
        if not channel.usable:
            raise unreachable(request.host, request.port, "it closed the connection as soon as it was made")
        self._pool.add(channel)
        return channel
