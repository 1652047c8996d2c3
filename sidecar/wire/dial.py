"""Opening a connection: resolve, check, connect to the checked address, prove the other side's name.

Everything that can go wrong here goes wrong before a byte of a call is written, and says so (``not_sent``).
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final, TypeVar, cast

from sidecar.core.outbound import Trust
from sidecar.wire.egress import Address, literal
from sidecar.wire.refusals import timed_out_unsent, unreachable
from sidecar.wire.resolve import Resolver
from sidecar.wire.trust import TrustError, client_context

ANYBODY: Final = Trust()
"""An upstream of which nothing is written."""

P = TypeVar("P")
"""An ``asyncio.Protocol``, by behaviour at least."""

SHUTDOWN_S = 1.0
"""How long a closing TLS connection waits for the other side's close_notify."""


class Dialer:
    """Connects to hosts under an egress policy."""

    def __init__(self, resolver: Resolver, ca_file: str = "") -> None:
        self._resolver = resolver
        self._ca_file = ca_file
        self._contexts: dict[Trust, ssl.SSLContext] = {}

    def obey(self, ca_file: str) -> None:
        """Trust what ``ca_file`` has now, and read every tool's files again."""
        self._ca_file = ca_file
        self._contexts.clear()

    async def dial(
        self,
        protocol: Callable[[], P],
        host: str,
        port: int,
        *,
        connect_timeout_ms: int,
        timeout_ms: int,
        trust: Trust | None = None,
    ) -> P:
        """A connection to ``host``, in the hands of a new ``protocol``; with ``trust`` over TLS.

        Raises Refusal: ``egress-denied``; ``upstream-unreachable``, for want of a connection within
        ``connect_timeout_ms`` too; ``upstream-timeout`` where ``timeout_ms``, the whole call's, ends first.
        """
        connect_s = min(connect_timeout_ms, timeout_ms) / 1000
        try:
            async with asyncio.timeout(connect_s):
                return await self._dial(host, port, trust, connect_s, protocol)
        except TimeoutError:
            if timeout_ms < connect_timeout_ms:
                raise timed_out_unsent(host, timeout_ms) from None
            raise unreachable(host, port, f"no connection within {connect_timeout_ms} ms") from None

    async def _dial(
        self, host: str, port: int, trust: Trust | None, connect_s: float, protocol: Callable[[], P]
    ) -> P:
        tls = None if trust is None else self._context(trust, host, port)
        addresses = await self._resolver.addresses(host, port)
        deadline = asyncio.get_running_loop().time() + connect_s
        for left in range(len(addresses), 1, -1):
            share_s = (deadline - asyncio.get_running_loop().time()) / left
            try:
                async with asyncio.timeout(share_s):
                    return await self._connect(addresses[-left], host, port, tls, protocol)
            except (OSError, TimeoutError):
                continue  # the next address, and the last one's error is told
        try:
            return await self._connect(addresses[-1], host, port, tls, protocol)
        except ssl.SSLError as error:
            raise unreachable(host, port, _tls_failure(error)) from None
        except TimeoutError:
            raise
        except OSError as error:
            raise unreachable(host, port, _failure(error)) from None

    async def _connect(
        self, address: Address, host: str, port: int, tls: ssl.SSLContext | None, protocol: Callable[[], P]
    ) -> P:
        name = host.rstrip(".") if literal(host) is None else str(address)
        _, connected = await asyncio.get_running_loop().create_connection(
            cast("Callable[[], asyncio.Protocol]", protocol),
            str(address),
            port,
            flags=socket.AI_NUMERICHOST,
            ssl=tls,
            server_hostname=name if tls else None,
            ssl_shutdown_timeout=SHUTDOWN_S if tls else None,
        )
        return cast("P", connected)

    def _context(self, trust: Trust, host: str, port: int) -> ssl.SSLContext:
        """Built on first use: reading the system's bundle takes 20 ms."""
        context = self._contexts.get(trust)
        if context is None:
            try:
                context = client_context(trust, self._ca_file)
            except TrustError as error:
                raise unreachable(host, port, str(error)) from None
            self._contexts[trust] = context
        return context


def _tls_failure(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its TLS certificate is not valid ({error.verify_message})"
    return f"the TLS handshake failed ({(error.reason or 'no reason given').lower().replace('_', ' ')})"


def _failure(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused; nothing listens there"
    if isinstance(error, ConnectionError):
        return "the connection was reset before it was ready"
    return f"no connection ({error.strerror or type(error).__name__})"
