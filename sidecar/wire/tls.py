"""The server's side of TLS over a connection that speaks plainly already.

A transport to whoever is above, a protocol to the transport below; both by behaviour.  ``loop.start_tls`` will not do:
it cannot be given the bytes that came behind a CONNECT, nor does it tell whoever held the connection before of its
end.  Here bytes are handed to OpenSSL as they come, and what is above hears what any protocol hears: of a connection
made once the handshake is through, or of one lost with the reason why it is not.
"""

import asyncio
import ssl
from contextlib import suppress
from typing import Final, cast

RECORD: Final = 16 * 1024
"""The most that one TLS record holds (RFC 8446 section 5.1)."""


class Tls:
    """One connection.  ``above`` hears of nothing before the handshake is through, but of its failure."""

    __slots__ = ("_above", "_below", "_closing", "_incoming", "_object", "_outgoing", "_stands", "_told_end")

    def __init__(self, below: asyncio.Transport, above: asyncio.Protocol, context: ssl.SSLContext) -> None:
        self._below = below
        self._above = above
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._stands = False
        self._closing = False
        self._told_end = False

    @property
    def context(self) -> ssl.SSLContext:
        """The one that serves, which SNI may have changed."""
        return self._object.context

    # What the transport below calls.

    def data_received(self, data: bytes) -> None:
        self._incoming.write(data)
        try:
            if not self._stands:
                self._object.do_handshake()
                self._flush()
                self._stands = True
                self._above.connection_made(cast("asyncio.Transport", self))
            self._read()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._flush()  # an alert says why
            self._lose(error)

    def eof_received(self) -> bool:
        return self._stands and not self._closing and self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._above.connection_lost(exc)

    def pause_writing(self) -> None:
        self._above.pause_writing()

    def resume_writing(self) -> None:
        self._above.resume_writing()

    # What the protocol above calls.

    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        self._above = protocol

    def write(self, data: bytes) -> None:
        if data and not self._closing:
            self._object.write(data)
            self._flush()

    def writelines(self, parts: tuple[bytes, ...]) -> None:
        self.write(b"".join(parts))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._closing:
            self._say_last()
            self._below.write_eof()

    def pause_reading(self) -> None:
        self._below.pause_reading()

    def resume_reading(self) -> None:
        self._below.resume_reading()

    def is_closing(self) -> bool:
        return self._closing or self._below.is_closing()

    def close(self) -> None:
        if not self._closing:
            self._say_last()
            self._closing = True
            self._below.close()

    def abort(self) -> None:
        self._closing = True
        self._below.abort()

    def _read(self) -> None:
        pieces = []
        incoming, tls = self._incoming, self._object
        ended = False
        try:
            while incoming.pending or tls.pending():
                piece = tls.read(RECORD)
                if not piece:
                    ended = True
                    break
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass  # the rest of a record is yet to come
        except ssl.SSLZeroReturnError:  # in place of an empty piece where we said our last before
            ended = True
        self._flush()
        if pieces:
            self._above.data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if ended and not self._end():
            self.close()

    def _end(self) -> bool:
        """The other side has said its last, by TLS or without; whether we may go on."""
        if self._told_end:
            return True
        self._told_end = True
        return self._above.eof_received() is True

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._below.write(self._outgoing.read())

    def _say_last(self) -> None:
        with suppress(ssl.SSLError):  # the other side has not said its last, or there was no handshake
            self._object.unwrap()
        self._flush()

    def _lose(self, error: Exception) -> None:
        """What came is not TLS, or an alert.  Whoever is above hears it at once, and nothing after it."""
        if not self._closing:
            self._closing = True
            above, self._above = self._above, asyncio.Protocol()
            self._below.close()
            above.connection_lost(error)
