"""One agent's connection: requests in, one at a time, in order.

What the next bytes are is a state, and a state is a method: ``_head``, ``_body``, ``_queue`` (a call is being
answered, so what comes is a pipelined request and waits, with reading paused), ``_discard`` (a last reply was
written).  A handler is started as soon as a head is complete; the body may still be coming.

**The last reply.**  A connection that is closed while the agent still sends is reset by the kernel, and a reset may
destroy the reply before it is read.  So after a last reply only our direction is closed, and what still comes is
thrown away for a short while (RFC 9112 section 9.6).

**Half a close.**  An end of file does not say whether the agent hung up or only has nothing more to send, and TCP
gives no way to ask.  Who half-closes does it with the request, since it is all he has to say; who gives up waiting has
waited.  So an end of file within ``HALF_CLOSE_S`` of the request is a half-close, and a later one a hang-up.  A wrong
guess is harmless: a hang-up taken for a half-close costs an answer that nobody reads, and all that a hang-up calls off
is a call that still waits for its turn, or a stream that is not kept.

There are no timers here: the listener's sweep compares ``deadline_s`` with the clock.
"""

import asyncio
from math import inf
from time import monotonic
from typing import Final, cast

from sidecar.core.call import Call
from sidecar.core.refusal import Refusal
from sidecar.wire import reply
from sidecar.wire.body import Body, Whole
from sidecar.wire.exchange import Exchange
from sidecar.wire.framing import Decoder, decoder
from sidecar.wire.head import END, Head, Partial, bad_request
from sidecar.wire.held import Held
from sidecar.wire.intake import Inside, call_of
from sidecar.wire.opening import Opening
from sidecar.wire.shared import Shared
from sidecar.wire.tunnel import splice

HALF_CLOSE_S: Final = 0.02
CROWDED: Final = "Too many connections to this sidecar are open. Nothing was sent. Reuse or close some."
MAX_EXCESS: Final = 100
"""Connections past the limit that are told so at one time; who comes after them is cut off."""


class Connection:
    """An agent's connection.  Implements ``exchange.Line`` and is the ``Source`` of its request's body.

    An ``asyncio.Protocol`` by behaviour only: a compiled class inherits from no interpreted one.
    """

    __slots__ = (
        "_decoder",
        "_eof",
        "_exchange",
        "_inside",
        "_partial",
        "_rest",
        "_shared",
        "_take",
        "_transport",
        "_whole_at_s",
        "_writable",
        "blocked",
        "deadline_s",
        "lost",
        "retiring",
    )

    def __init__(self, shared: Shared, inside: Inside | None = None) -> None:
        """``inside``: it is the inside of a CONNECT that was opened."""
        self._shared = shared
        self._inside = inside
        self._take = self._head
        self._exchange: Exchange | None = None
        self._partial: Partial | None = None
        self._decoder: Decoder
        self._rest = b""
        self._eof = False
        self._whole_at_s = 0.0
        self._writable: asyncio.Future[None] | None = None
        self.blocked = False
        self.lost = False
        self.retiring = shared.draining
        self.deadline_s = shared.now_s + shared.limits.idle_s
        self._transport: asyncio.Transport

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by behaviour only
        self._shared.connections.add(self)
        excess = len(self._shared.connections) - self._shared.limits.connections
        if excess > MAX_EXCESS:
            self.abort()
        elif excess > 0:
            self._refuse(Refusal("queue-full", CROWDED))

    def data_received(self, data: bytes) -> None:
        self._take(data)

    def eof_received(self) -> bool:
        """True keeps our direction open."""
        self._eof = True
        exchange = self._exchange
        if exchange is None:
            return False
        if not exchange.body.ended:
            exchange.body.fail(bad_request("the connection ended before its body did"))
        elif monotonic() - self._whole_at_s > HALF_CLOSE_S:
            exchange.hung_up(_gone())
        return True

    def pause_writing(self) -> None:
        self.blocked = True
        self._expect()

    def resume_writing(self) -> None:
        self.blocked = False
        self._expect()
        self._wake()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.lost = True
        self.deadline_s = inf
        self._take = self._discard
        self._rest = b""
        self._shared.connections.discard(self)
        self._wake()
        if self._exchange is not None:
            self._exchange.hung_up(_gone())

    # What a body calls.

    def pause_reading(self) -> None:
        self.deadline_s = inf  # the next move is ours
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self.lost:
            self._expect()
            self._transport.resume_reading()

    # What an exchange calls.

    def write(self, data: bytes) -> None:
        if not self.lost:
            self._transport.write(data)

    def write_parts(self, parts: tuple[bytes, ...]) -> None:
        if not self.lost:
            self._transport.writelines(parts)

    async def writable(self) -> None:
        while self.blocked and not self.lost:
            self._writable = self._shared.loop.create_future()
            try:
                await self._writable
            finally:
                self._writable = None

    def end(self, last: bytes, close: bool) -> None:
        if self.lost:
            return
        self._transport.write(last)
        self._exchange = None
        if close or self.retiring:
            self._hang_up()
            return
        shared = self._shared
        self._take = self._head
        self.deadline_s = shared.now_s + shared.limits.idle_s
        rest = self._rest
        if rest:
            self._rest = b""
            self._transport.resume_reading()
            self._head(rest)
        if self._eof and self._exchange is None:
            self._transport.close()

    def abort(self) -> None:
        if not self.lost:
            self._transport.abort()

    async def tunnel(self, held: Held) -> None:
        if self.lost:
            held.close()
            return
        self._transport.pause_reading()
        self.deadline_s = inf
        try:
            await splice(self._transport, self._rest, held, self._shared.limits.tunnel_idle_s)
        finally:
            self._exchange = None
            self.connection_lost(None)  # the loop told the splice

    def intercept(self, connect: Call) -> None:
        if not self.lost:
            rest, self._exchange = self._rest, None
            self._transport.pause_reading()
            self.connection_lost(None)  # from here on the opening hears of it
            opening = Opening(self._shared, connect, self._transport, lambda it: Connection(self._shared, it))
            opening.begin(rest)

    # What the sweep calls.

    def overdue(self) -> None:
        """The deadline passed."""
        self.deadline_s = inf
        exchange = self._exchange
        if self.blocked or self._take == self._discard:
            self._transport.abort()
        elif exchange is not None:
            exchange.body.fail(bad_request(f"no byte of its body came for {self._shared.limits.stall_s:g} s"))
            self._take = self._discard
        elif self._partial is not None:
            self._refuse(bad_request(f"its head was not complete after {self._shared.limits.head_s:g} s"))
        else:
            self._transport.close()

    def retire(self) -> None:
        """Close now if nothing is going on; else after the reply, since the listener is draining."""
        self.retiring = True
        if self._exchange is None and self._partial is None and self._take == self._head:
            self._transport.close()

    # The states.

    def _head(self, data: bytes) -> None:
        limit = self._shared.limits.head_bytes
        try:
            if self._partial is None and data[0] != 0x0D:
                end = data.find(END, 0, limit) + 4
                if end > 3:
                    self._begin(Head(data[:end]), data[end:])
                    return
            if self._partial is None:
                self._partial = Partial(limit)
                self._expect()
            whole = self._partial.feed(data)
            if whole is not None:
                self._partial = None
                self._begin(Head(whole[0]), whole[1])
        except Refusal as no:
            self._refuse(no)

    def _body(self, data: bytes) -> None:
        assert self._exchange is not None
        body = self._exchange.body
        try:
            self._expect()
            self._decoder.send(data)
        except StopIteration as over:
            self._whole(over.value)
        except Refusal as no:
            self._take = self._discard
            body.fail(no)

    def _queue(self, data: bytes) -> None:
        self._rest += data
        self._transport.pause_reading()

    def _discard(self, data: bytes) -> None:
        """Whatever it is, nobody wants it."""

    # From one state to the next.

    def _begin(self, head: Head, rest: bytes) -> None:
        shared = self._shared
        call = call_of(head, shared.next_id(), self._inside)
        length = head.length
        if length is not None and length <= len(rest):
            self._exchange = exchange = Exchange(self, call, head, Whole(rest[:length]))
            self._whole(rest[length:])
        else:
            body = Body(self, length)
            self._exchange = exchange = Exchange(self, call, head, body)
            self._decoder = decoder(body)
            self._take = self._body
            self._body(rest) if rest else self._expect()
        shared.start(exchange)
        if head.expects and not rest:
            shared.loop.call_soon(exchange.expected)  # after the handler's first step, which may refuse

    def _whole(self, rest: bytes) -> None:
        """All of the request is here, and ``rest`` is of the next one."""
        self._take = self._queue
        self.deadline_s = inf
        self._whole_at_s = monotonic()
        if rest:
            self._queue(rest)

    def _refuse(self, no: Refusal) -> None:
        """What came is no call: say so, and close, since nobody knows where a next request would begin."""
        self._partial = None
        if self._shared.refused is not None:
            self._shared.refused(no)
        self._transport.write(reply.of_answer(no.as_answer(self._shared.next_id(), ""), "", close=True))
        self._hang_up()

    def _hang_up(self) -> None:
        """The last reply was written."""
        self._take = self._discard
        self._rest = b""
        if self._eof:
            self._transport.close()
        else:
            self._transport.write_eof()
            self._transport.resume_reading()
            self._expect()

    def _expect(self) -> None:
        """Set the deadline to when the agent should have made its next move, or to never if that is ours."""
        limits = self._shared.limits
        if self.blocked or self._take == self._body:
            patience_s = limits.stall_s
        elif self._exchange is not None:
            patience_s = inf
        elif self._take == self._discard:
            patience_s = limits.linger_s
        else:
            patience_s = limits.idle_s if self._partial is None else limits.head_s
        self.deadline_s = self._shared.now_s + patience_s

    def _wake(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)


def _gone() -> Refusal:
    return bad_request("the agent hung up")
