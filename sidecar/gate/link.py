"""One connection to the store, shared by every call: commands of one loop tick leave in one write.

redis-py connects: it finds the server, speaks TLS, logs in, selects the database.  Then the link takes the transport
over, because a pool that lends one connection per command costs five times the CPU: here a command is appended to a
buffer that the next tick writes whole, and replies are matched in order (hiredis parses).  With RESP3 the wake-up
messages arrive on the same connection.

A command is on its way once ``send`` returned: cancelling the future only drops the reply.  A connection that says
nothing for ``SILENCE_S`` while replies are due counts as dead, and every reply due on it fails with ``StoreAway``.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, TypeAlias, cast

import hiredis
from redis.asyncio.connection import AbstractConnection

SILENCE_S = 0.75
_LOOK_S = 0.2


class StoreAway(Exception):
    """The store cannot be asked now, or will not say what became of what was asked."""


class ReplyError(Exception):
    """The server's own error reply."""


Words: TypeAlias = bytes | str | tuple[str, ...]
"""A word of a command; or several that recur together, which are packed once and remembered."""
_SIZES: Final = [b"$%d\r\n" % size for size in range(1024)]


def packed(words: tuple[Words, ...]) -> bytes:
    """A command in RESP.  In Python, since hiredis must take any object, and packs what recurs each time anew."""
    count = 0
    parts = [b""]
    for word in words:
        if isinstance(word, tuple):
            count += len(word)
            parts.append(_group(word))
        else:
            count += 1
            raw = word.encode() if isinstance(word, str) else word
            size = len(raw)
            parts.append(_SIZES[size] if size < 1024 else b"$%d\r\n" % size)
            parts.append(raw)
            parts.append(b"\r\n")
    parts[0] = b"*%d\r\n" % count
    return b"".join(parts)


@lru_cache(4096)
def _group(words: tuple[str, ...]) -> bytes:
    return b"".join([b"$%d\r\n%b\r\n" % (len(raw), raw) for raw in map(str.encode, words)])


class Link:
    """A connection that is up (an ``asyncio.Protocol`` by behaviour); useless once ``lost`` was called."""

    def __init__(self, on_message: Callable[[bytes, bytes], None], on_lost: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(notEnoughData=..., replyError=ReplyError, protocolError=ReplyError)
        self._buffer: list[bytes] = []
        self._due: deque[asyncio.Future[Any]] = deque()
        self._heard = self._looked = self._loop.time()
        self._on_message = on_message
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._keep: Any = None
        self._watch: asyncio.TimerHandle | None = None

    def take_over(self, connection: AbstractConnection) -> None:
        """Own the transport of a connection that redis-py has set up.

        Raises RuntimeError where redis-py's insides are not what they were when this was written.
        """
        writer = getattr(connection, "_writer", None)
        reader = getattr(connection, "_reader", None)
        if writer is None or reader is None or not hasattr(writer, "transport"):
            raise RuntimeError(
                "this redis-py keeps its transport elsewhere; install a release between 7.0 and 8"
            )
        if getattr(reader, "_buffer", None):
            raise RuntimeError("the server spoke before it was asked; is there a proxy in between?")
        self._transport = writer.transport
        self._keep = writer  # its finalizer would close the transport
        connection._writer = connection._reader = None  # or its finalizer would
        self._transport.set_protocol(cast("asyncio.Protocol", self))
        self._watch = self._loop.call_later(_LOOK_S, self._look)

    def send(self, *command: Words) -> asyncio.Future[Any]:
        """Put a command on its way and return its reply to be; error replies come as values (``ReplyError``)."""
        reply: asyncio.Future[Any] = self._loop.create_future()
        if self._transport is None:
            reply.set_exception(StoreAway())
            return reply
        if not self._due:
            self._heard = self._loop.time()
        if not self._buffer:
            self._loop.call_soon(self._flush)
        self._buffer.append(packed(command))
        self._due.append(reply)
        return reply

    def close(self) -> None:
        """Drop the connection; what is due fails."""
        if self._transport is not None:
            self._flush()
            self._transport.abort()
        self._down()

    def _flush(self) -> None:
        if self._buffer and self._transport is not None:
            self._transport.write(b"".join(self._buffer))
        self._buffer.clear()

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        reader = self._reader
        reader.feed(data)
        try:
            while (reply := reader.gets()) is not ...:
                if reply.__class__ is hiredis.PushNotification:
                    self._pushed(reply)
                elif not (due := self._due.popleft()).done():
                    due.set_result(reply)
        except (ReplyError, IndexError):  # not RESP, or a reply that nobody asked for
            self.close()

    def _pushed(self, message: list[Any]) -> None:
        if message[0] == b"message":
            self._on_message(message[1], message[2])
        elif message[0] == b"subscribe":  # SUBSCRIBE has no other reply
            self._due.popleft().set_result(message)

    def connection_made(self, _transport: asyncio.BaseTransport) -> None:
        """Made by redis-py long before."""

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        """The server is slow: what waits is bounded by the calls that wait for it."""

    def resume_writing(self) -> None: ...

    def connection_lost(self, _error: Exception | None) -> None:
        self._down()

    def _look(self) -> None:
        self._watch = self._loop.call_later(_LOOK_S, self._look)
        now, looked, self._looked = self._loop.time(), self._looked, self._loop.time()
        if now - looked > 2 * _LOOK_S:  # this loop stood still, and has not read what came meanwhile
            self._heard = now
        elif self._due and now - self._heard > SILENCE_S:
            self.close()

    def _down(self) -> None:
        if self._transport is None:
            return
        self._transport = self._keep = None
        self._buffer.clear()
        if self._watch is not None:
            self._watch.cancel()
        for due in self._due:
            if not due.done():
                due.set_exception(StoreAway())
        self._due.clear()
        self._on_lost()
