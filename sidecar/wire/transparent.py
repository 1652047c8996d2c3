"""A redirected connection, from its first byte to where it is to go: a CONNECT that nobody said.

Its host is what it asks for, by TLS's server name or by HTTP's Host, and else the address it was bound for.  From there
on everything is as for a CONNECT: a tool's is opened and each call in it is gated, and goes to where *we* find the
tool, whatever address the agent had; every other is tunnelled to the address it was bound for, or refused, as
``egress`` says; and to a tool's address nobody gets under another name (``homes.py``).

A connection that says nothing is closed: in a protocol in which the server speaks first, it cannot be told whom it
wants.  A request to some other proxy is taken as if it had been sent to us.
"""

import asyncio
from collections.abc import Callable
from math import inf
from typing import Final, TypeAlias, cast

import orjson

from sidecar.core.call import Call
from sidecar.core.refusal import Refusal
from sidecar.wire import reply
from sidecar.wire.body import Whole
from sidecar.wire.connection import Connection
from sidecar.wire.exchange import Exchange
from sidecar.wire.head import Head, bad_request
from sidecar.wire.held import Held
from sidecar.wire.hello import HANDSHAKE
from sidecar.wire.intake import call_of
from sidecar.wire.opening import Opening
from sidecar.wire.redirected import Destination, NotRedirected, bound_for
from sidecar.wire.shared import Shared
from sidecar.wire.sniff import Opener, sniff
from sidecar.wire.tunnel import splice

BoundFor: TypeAlias = Callable[[asyncio.BaseTransport], Destination]
"""Where a connection was bound for.  Raises NotRedirected."""

ACCESS_DENIED: Final = b"\x15\x03\x03\x00\x02\x02\x31"
"""The alert (RFC 8446 section 6.2) that refuses a hello, so that the client can say more than "reset"."""
SILENT: Final = (
    "said too little to tell whom it wants; a protocol in which the server speaks first cannot pass"
)


def arrivals(shared: Shared, find: BoundFor | None) -> Callable[[], "Arrival"]:
    """Makes one for each connection; ``find`` asks the kernel unless it is given."""
    return lambda: Arrival(shared, find or bound_for)


class Arrival(asyncio.Protocol):
    """One connection.  Implements ``exchange.Line``, and is a ``shared.Member``."""

    def __init__(self, shared: Shared, find: BoundFor) -> None:
        self._shared = shared
        self._find = find
        self._bound_for: Destination
        self._transport: asyncio.Transport
        self._exchange: Exchange | None = None
        self._said = b""
        self._refused = False
        self.lost = False
        self.blocked = False
        self.retiring = shared.draining
        self.deadline_s = shared.now_s + shared.limits.head_s

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by behaviour only
        self._shared.connections.add(self)
        if len(self._shared.connections) > self._shared.limits.connections:
            self.abort()
            return
        try:
            self._bound_for = self._find(transport)
        except NotRedirected as why:
            self._shared.interceptions.astray(str(why))
            self.abort()

    def data_received(self, data: bytes) -> None:
        if self._refused or self.lost or self._exchange is not None:
            return  # nobody wants it; nor does any come while the exchange has reading paused
        self._said += data
        try:
            opener = sniff(self._said, self._shared.limits.head_bytes)
            if opener is not None:
                self._go(opener)
        except Refusal as no:
            if self._shared.refused is not None:
                self._shared.refused(no)
            answer = no.as_answer(self._shared.next_id(), "")
            self.end(reply.of_answer(answer, "", close=True), close=True)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, _: Exception | None) -> None:
        self._leave()
        if self._exchange is not None:
            self._exchange.hung_up(bad_request("the agent hung up"))

    # What an exchange calls.

    def write(self, data: bytes) -> None:
        if not self.lost:
            self._transport.write(data)

    def write_parts(self, parts: tuple[bytes, ...]) -> None:
        self.write(b"".join(parts))

    async def writable(self) -> None:
        """A refusal is short enough not to be waited for."""

    def end(self, last: bytes, close: bool) -> None:  # noqa: ARG002 - nobody comes here to stay
        """A refusal, in words that the client understands."""
        if self.lost:
            return
        self._refused = True
        self._exchange = None
        self._transport.write(self._denied(last) if self._said[0] == HANDSHAKE else last)
        self._transport.write_eof()
        self._transport.resume_reading()  # and thrown away, lest a reset overtake what was said
        self.deadline_s = self._shared.now_s + self._shared.limits.linger_s

    def abort(self) -> None:
        if not self.lost:
            self._leave()
            self._transport.abort()

    async def tunnel(self, held: Held) -> None:
        if self.lost:
            held.close()
            return
        try:
            await splice(self._transport, self._said, held, self._shared.limits.tunnel_idle_s)
        finally:
            self._leave()  # the loop told the splice

    def intercept(self, connect: Call) -> None:
        if not self.lost:
            self._leave()  # from here on the opening hears of it
            opening = Opening(self._shared, connect, self._transport, lambda it: Connection(self._shared, it))
            opening.begin(self._said)

    # What the sweep calls.

    def overdue(self) -> None:
        """The deadline passed."""
        if not self._refused:
            self._shared.interceptions.astray(SILENT)
        self.abort()

    def retire(self) -> None:
        """Close now if nothing is going on."""
        self.retiring = True
        if self._exchange is None and not self._refused:
            self.abort()

    # From one state to the next.

    def _go(self, opener: Opener) -> None:
        if opener.kind == "proxy":
            self._proxied()
            return
        call, head = self._connect(opener)
        self._transport.pause_reading()
        self.deadline_s = inf
        self._exchange = exchange = Exchange(self, call, head, Whole(b""))
        self._shared.start(exchange)

    def _connect(self, opener: Opener) -> tuple[Call, Head]:
        address, port = self._bound_for
        host = opener.host or address
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        head = Head(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode("ascii"))
        call = call_of(head, self._shared.next_id())
        return call._replace(scheme="http" if opener.kind == "http" else "https", address=address), head

    def _proxied(self) -> None:
        self._leave()
        line = Connection(self._shared)
        self._transport.set_protocol(cast("asyncio.Protocol", line))
        line.connection_made(self._transport)
        line.data_received(self._said)

    def _denied(self, last: bytes) -> bytes:
        """An alert has no room for reasons, so the log has them."""
        why = orjson.loads(last.partition(b"\r\n\r\n")[2])["detail"]
        self._shared.interceptions.astray(f"for {self._bound_for[0]} was refused. {why}")
        return ACCESS_DENIED

    def _leave(self) -> None:
        self.lost = True
        self.deadline_s = inf
        self._shared.connections.discard(self)
