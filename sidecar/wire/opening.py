"""A CONNECT that is not tunnelled but opened, so that the calls inside it are seen: until the first of them is here.

The first byte decides.  0x16 begins a TLS handshake, for which we have a certificate; anything else is taken for plain
HTTP, which some clients (undici) send through CONNECT as well.  With the first bytes of a call a ``Connection`` takes
over, and knows from ``Inside`` what the CONNECT said.
"""

import asyncio
import ssl
from collections.abc import Callable
from math import inf
from typing import Final, Protocol, cast

from sidecar.core.call import Call
from sidecar.wire.intake import Inside
from sidecar.wire.interceptions import result_of
from sidecar.wire.shared import Shared
from sidecar.wire.tls import Tls

HANDSHAKE: Final = b"\x16"
"""The first byte of TLS (RFC 8446 section 5.1)."""


class Line(Protocol):
    """What takes over: a ``Connection``."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...
    def data_received(self, data: bytes) -> None: ...


class Opening:
    """From a CONNECT to the first bytes of a call in it.  A protocol by behaviour, and a ``shared.Member``."""

    def __init__(
        self, shared: Shared, connect: Call, transport: asyncio.Transport, then: Callable[[Inside], Line]
    ) -> None:
        self._shared = shared
        self._connect = connect
        self._transport = transport
        self._then = then
        self._context: ssl.SSLContext | None = None
        self._tls: Tls | None = None
        self._stands = False
        self.deadline_s = shared.now_s + shared.limits.head_s
        shared.connections.add(self)

    def begin(self, early: bytes) -> None:
        """Take the transport over; ``early`` came behind the CONNECT."""
        self._transport.set_protocol(cast("asyncio.Protocol", self))
        self._transport.resume_reading()
        if early:
            self.data_received(early)

    # What the transport calls, and once TLS is spoken ``Tls``.

    def data_received(self, data: bytes) -> None:
        if self._tls is None and data.startswith(HANDSHAKE):
            self._shake_hands(data)
        else:
            self._open(data)

    def connection_made(self, _: asyncio.BaseTransport) -> None:
        """The handshake is through."""
        self._stands = True
        self.deadline_s = self._shared.now_s + self._shared.limits.idle_s

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        if isinstance(exc, ssl.SSLError):
            self._shared.interceptions.failed(self._connect, result_of(exc))
        elif self._tls is not None:
            result = "left-without-call" if self._stands else "left-in-handshake"
            self._shared.interceptions.failed(self._connect, result)

    def pause_writing(self) -> None:
        """Who does not read the few bytes of a handshake will not end it either."""

    def resume_writing(self) -> None:
        """As above."""

    # What the listener calls.

    def overdue(self) -> None:
        if not self._stands:  # what a client keeps open for later is no failure
            result = "silent" if self._tls is None else "handshake-timeout"
            self._shared.interceptions.failed(self._connect, result)
        self.abort()

    def retire(self) -> None:
        self.abort()

    def abort(self) -> None:
        self._leave()
        self._tls = None  # its end is no news
        self._transport.abort()

    # From one state to the next.

    def _shake_hands(self, data: bytes) -> None:
        authority = self._shared.authority
        if authority is None:  # a reload took it away a moment ago
            self.abort()
            return
        self._context = authority.context(self._connect.host)
        self._tls = tls = Tls(self._transport, cast("asyncio.Protocol", self), self._context)
        self._transport.set_protocol(cast("asyncio.Protocol", tls))
        tls.data_received(data)

    def _open(self, data: bytes) -> None:
        self._leave()
        self._shared.interceptions.opened(self._connect)
        tls = self._tls
        agrees = tls is None or tls.context is self._context
        line = self._then(Inside.of(self._connect, secure=tls is not None, agrees=agrees))
        transport = self._transport if tls is None else cast("asyncio.Transport", tls)
        transport.set_protocol(cast("asyncio.Protocol", line))
        line.connection_made(transport)
        line.data_received(data)

    def _leave(self) -> None:
        self.deadline_s = inf
        self._shared.connections.discard(self)
