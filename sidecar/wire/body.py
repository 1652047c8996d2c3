"""A message body between two sockets: fed by one protocol, pulled by a coroutine, with the socket as the
buffer's wall.

Both sides of the proxy use it.  The feeder is synchronous (parser callbacks); the reader is one coroutine.
Past ``HIGH`` unread bytes the source transport is paused, and resumed once the reader has taken them, so a
body of any size passes with flat memory.
"""

import asyncio
from typing import Final, Protocol

from sidecar.core.call import RawHeaders

HIGH = 256 * 1024
"""Unread bytes at which the source stops reading.  Two or three socket reads: enough to keep both sides
busy."""


class Source(Protocol):
    """What can be told to stop and go: a transport, or a connection that wraps one."""

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class Body:
    """A message body as it arrives."""

    __slots__ = (
        "_ended",
        "_error",
        "_paused",
        "_pieces",
        "_pulled",
        "_size",
        "_source",
        "_waiter",
        "length",
        "trailers",
    )

    def __init__(self, source: Source, length: int | None) -> None:
        self.length = length
        self.trailers: RawHeaders = ()
        self._source = source
        self._pieces: list[bytes] = []
        self._size = 0
        self._ended = False
        self._pulled = False
        self._paused = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > HIGH and not self._paused:
            self._paused = True
            self._source.pause_reading()
        self._wake()

    def end(self, trailers: RawHeaders = ()) -> None:
        self.trailers = trailers
        self._ended = True
        if self._paused:  # what the source brings from here on is not this body's
            self._paused = False
            self._source.resume_reading()
        self._wake()

    def fail(self, error: Exception) -> None:
        """The body broke off.  What arrived before is still read first; after the end this is no news."""
        if not self._ended and self._error is None:
            self._error = error
            self._wake()

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def whole(self) -> bytes | None:
        """The entire body, where it has arrived already and nobody pulled yet; else None."""
        if not self._ended or self._pulled:
            return None
        if len(self._pieces) > 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0] if self._pieces else b""

    async def read(self) -> bytes:
        self._pulled = True
        while not self._pieces:
            if self._ended:
                return b""
            if self._error is not None:
                raise self._error
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        piece = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        if self._paused:
            self._paused = False
            self._source.resume_reading()
        return piece

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Whole:
    """A body that was all here before anybody asked: a ``Body`` at its end, without what led there."""

    __slots__ = ("length", "whole")

    ended: Final = True
    trailers: RawHeaders = ()

    def __init__(self, content: bytes) -> None:
        self.length: int | None = len(content)
        self.whole: bytes | None = content

    def fail(self, error: Exception) -> None:
        """After the end this is no news."""

    async def read(self) -> bytes:
        content, self.whole = self.whole, None
        return content or b""
