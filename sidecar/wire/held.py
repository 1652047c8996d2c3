"""A connected byte stream that nobody speaks on yet: the upstream end of a tunnel, waiting for its splice."""

import asyncio
from typing import cast


class Held(asyncio.Protocol):
    """Keeps a connection until ``take``, and with it the first bytes that come; after those reading is paused.

    Not before: uvloop starts to read after ``connection_made``, whatever that said of pausing.
    """

    __slots__ = ("_early", "_lost", "_transport")

    def __init__(self, early: bytes = b"") -> None:
        self._early = early
        self._lost = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Also called by hand where a connection changes hands, since ``set_protocol`` does not."""

        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by behaviour only

    def data_received(self, data: bytes) -> None:
        self._early += data
        if self._transport is not None:
            self._transport.pause_reading()

    def connection_lost(self, _: Exception | None) -> None:
        self._lost = True

    def take(self, protocol: asyncio.Protocol) -> tuple[asyncio.Transport, bytes] | None:
        """Give the transport to ``protocol``, with the bytes that came early; None where the upstream left
        already.

        ``protocol.connection_made`` is not called, and reading is paused until the taker calls
        ``resume_reading``, so nothing can arrive before it is ready.
        """
        if self._lost or self._transport is None:
            return None
        self._transport.pause_reading()
        self._transport.set_protocol(protocol)
        return self._transport, self._early

    def close(self) -> None:
        """Drop the connection; for a tunnel that never came to be."""
        if self._transport is not None:
            self._transport.abort()
