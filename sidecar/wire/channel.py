"""One connection to an upstream, and the exchange that is on it.

A channel is idle (in the pool, silent), or in an exchange: from ``start``, which writes, until the last byte
of the answer.  An exchange is told by its future, and lives on after the future is done while the body still
comes in.

There are no timers: ``deadline`` is an instant on the loop's clock which the pool's sweep compares, of the
exchange or of the idle wait.  A small answer that arrives in one segment wakes the caller once, complete.
"""

import asyncio
import math
import ssl
from collections.abc import Callable, Coroutine, Iterable
from typing import Protocol, TypeAlias, cast

from sidecar.core.call import Headers
from sidecar.core.outbound import Outbound, Trust
from sidecar.tasks import spawn
from sidecar.wire.held import Held
from sidecar.wire.refusals import failed, timed_out
from sidecar.wire.response import LiveAnswer, Malformed, Reader

Key: TypeAlias = tuple[str, str, int, Trust | None]
"""Scheme, host, port, and how the two ends prove themselves: calls to one key share connections."""

Inform = Callable[[int, Headers], None]


class Home(Protocol):
    """Where a channel belongs: the pool."""

    def release(self, channel: "Channel") -> None:
        """The channel is idle and may carry another exchange."""
        ...

    def announced(self, channel: "Channel", keep_alive_s: float) -> None:
        """The upstream said how long it keeps the connection idle."""
        ...

    def forget(self, channel: "Channel") -> None:
        """The channel is of no more use."""
        ...


class Channel:
    """The protocol of one upstream connection (``asyncio.Protocol`` by behaviour, as the agents' side is)."""

    __slots__ = (
        "_closed",
        "_exchange",
        "_home",
        "_inform",
        "_loop",
        "_reader",
        "_room",
        "_transport",
        "_upload",
        "deadline",
        "fresh_s",
        "idle_s",
        "idle_since_s",
        "key",
        "stale",
    )

    def __init__(self, home: Home, key: Key, loop: asyncio.AbstractEventLoop) -> None:
        self.key = key
        self.deadline = math.inf
        self.idle_since_s = 0.0
        self.idle_s: float
        """It may stay idle this long; the pool's to know."""
        self.fresh_s: float
        """A request with an effect takes it when it was idle for no longer than this."""
        self.stale = False
        """It closed before a byte of the answer: perhaps it had given the connection up before the request
        left."""
        self._home = home
        self._loop = loop
        self._reader = Reader(self)
        self._closed = False
        self._exchange: asyncio.Future[LiveAnswer] | None = None
        self._upload: asyncio.Task[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._inform: Inform
        self._transport: asyncio.Transport

    @property
    def usable(self) -> bool:
        """Nothing is known to be wrong with it."""
        return not (self._closed or self._transport.is_closing())

    # What a caller does.

    def start(
        self, request: Outbound, pieces: Iterable[bytes], deadline: float, inform: Inform
    ) -> asyncio.Future[LiveAnswer]:
        """Write ``pieces``, at once, and promise the answer; the future may raise Refusal."""
        self._transport.writelines(pieces)
        self._reader.request = request
        self._inform = inform
        self.deadline = deadline
        self._exchange = exchange = self._loop.create_future()
        return exchange

    def upload(self, work: Coroutine[None, None, None]) -> None:
        """Let ``work`` write the rest of the request while the answer is awaited."""
        self._upload = spawn(work, "upload")

    def leave(self, exchange: asyncio.Future[LiveAnswer]) -> None:
        """The caller of ``exchange`` is gone.  Harmless where the channel already carries another."""
        if self._exchange is exchange:
            self.abort()

    async def write(self, *pieces: bytes) -> None:
        """Write, and wait while the upstream takes no more."""
        self._transport.writelines(pieces)
        if self._room is not None:
            await self._room

    def break_off(self, error: Exception) -> None:
        """End the exchange with ``error`` and drop the connection."""
        exchange, answer = self._exchange, self._reader.answer
        self.abort()
        if exchange is None:
            return
        if not exchange.done():
            exchange.set_exception(error)
        elif answer is not None:
            answer.body.fail(error)

    def expire(self) -> None:
        """The deadline has passed."""
        if self._exchange is None:
            self.close()
        else:
            self.break_off(
                timed_out(self.key[1], self._reader.request.timeout_ms, safe=self._reader.request.safe)
            )

    def stop(self) -> None:
        """The sidecar stops."""
        if self._exchange is None:
            self.close()
        else:
            self._fail("the sidecar stopped before the answer was complete")

    def close(self) -> None:
        """Close politely, unless the upstream still has to take what by now it will never want."""
        if not self._closed:
            self._end()
            if self._transport.get_write_buffer_size():
                self._transport.abort()
            else:
                self._transport.close()

    def abort(self) -> None:
        if not self._closed:
            self._end()
            self._transport.abort()

    def pause_reading(self) -> None:
        if not self._closed:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._closed:
            self._transport.resume_reading()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:

        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by behaviour only

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            self.abort()  # nobody asked
            return
        reader = self._reader
        try:
            reader.feed(data)
        except Malformed as error:
            self._fail(f"it sent {error}")
            return
        if reader.interim:
            self._pass_on_interim()
        answer = reader.answer
        if answer is None:
            return
        if reader.complete:
            self._finish(answer)
        elif answer.status >= 300 and self._stop_upload():
            reader.reusable = False  # it made up its mind without the rest; a 2xx may still want it
        if not exchange.done():
            exchange.set_result(answer)

    def eof_received(self) -> None:
        """Only a clean end (over TLS a close_notify) may end a body that nothing else delimits."""
        exchange = self._exchange
        if exchange is None:
            self.close()
        elif (
            self._reader is not None and self._ended_cleanly() and (answer := self._reader.end()) is not None
        ):
            self._finish(answer)
            if not exchange.done():
                exchange.set_result(answer)
        else:
            self._lose("it closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._exchange is not None:
            self._lose("the connection was reset" if exc is not None else "the connection was lost")
        elif not self._closed:
            self._closed = True
            self._home.forget(self)
        self.resume_writing()

    def pause_writing(self) -> None:
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    # What follows from it.

    def _finish(self, answer: LiveAnswer) -> None:
        """The answer is complete: another exchange may have the connection, before anybody even read it."""
        self._exchange = None
        self._inform = _nobody  # an idle connection keeps neither the agent
        reader = self._reader
        reader.forget()  # nor the answer
        if self._upload is not None and self._stop_upload():
            reader.reusable = False
        if reader.early is not None:
            self._hand_over(answer, reader.early)
        elif reader.reusable and self._room is None:
            keep_alive = answer.headers.get(b"keep-alive")
            if keep_alive is not None:
                self._home.announced(self, _keep_alive_s(keep_alive))
            self._home.release(self)
        else:
            self.close()

    def _ended_cleanly(self) -> bool:
        """Over TLS a bare FIN is no end, since anybody on the path can forge one.  asyncio tells both alike."""
        tls = self._transport.get_extra_info("ssl_object")
        try:
            return tls is None or not tls.read(1)
        except ssl.SSLError:
            return False

    def _hand_over(self, answer: LiveAnswer, early: bytes) -> None:
        held = answer.upgraded = Held(early)
        held.connection_made(self._transport)
        self._transport.set_protocol(held)
        self._closed = True
        self._home.forget(self)

    def _pass_on_interim(self) -> None:
        interim, self._reader.interim = self._reader.interim, ()
        for status, headers in interim:
            self._inform(status, headers)

    def _lose(self, how: str) -> None:
        reader = self._reader
        self.stale = not reader.heard
        if reader.answer is not None:
            where = "in the middle of the answer's body"
        else:
            where = "in the middle of the answer's head" if reader.heard else "before an answer came"
        self._fail(f"{how} {where}")

    def _fail(self, why: str) -> None:
        self.break_off(failed(self.key[1], why, safe=self._reader.request.safe))

    def _stop_upload(self) -> bool:
        """Whether there was something to stop: the connection then holds half a request."""
        upload, self._upload = self._upload, None
        if upload is None or upload.done():
            return False
        return upload.cancel()

    def _end(self) -> None:
        self._closed = True
        self._exchange = None
        self._stop_upload()
        self._home.forget(self)


def _nobody(status: int, headers: Headers) -> None:
    """Nobody listens for interim answers: there is no exchange."""


def _keep_alive_s(value: bytes) -> float:
    """The ``timeout`` of a Keep-Alive field, or infinity where it names none."""
    for part in value.split(b","):
        name, _, text = part.partition(b"=")
        if name.strip().lower() == b"timeout" and text.strip().isdigit():
            return int(text[:9])
    return math.inf
