"""Where a redirected connection was bound for, as the kernel remembers it.

Netfilter rewrites the destination and keeps the first one with the connection's other data; ``SO_ORIGINAL_DST`` asks
for it.  A connection that nobody redirected has none, or has ourselves.

One that is redirected and belongs to our own user is the sidecar's own call, sent back to it: the rules except another
user than the one it runs as.  Served, it would come back for ever.
"""

import asyncio
import os
import socket
import struct
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import Final

Destination = tuple[str, int]
"""Address and port."""

SO_ORIGINAL_DST: Final = 80
"""linux/netfilter_ipv4.h; ``IP6T_SO_ORIGINAL_DST`` has the same number."""

_SOCK_DIAG: Final = 4
_DIAG_BY_FAMILY: Final = 20
_REQUEST: Final = 1
_ANY_COOKIE: Final = (0xFFFF_FFFF, 0xFFFF_FFFF)


class NotRedirected(Exception):
    """The connection is none that may be served here; the text completes "a connection ..."."""


def bound_for(transport: asyncio.BaseTransport) -> Destination:
    """Raises NotRedirected."""
    descriptor = os.dup(transport.get_extra_info("socket").fileno())  # uvloop's has no getsockopt of its own
    with socket.socket(fileno=descriptor) as sock:
        try:
            destination = _original(sock)
            here = sock.getsockname()[:2]
            there = sock.getpeername()[:2]
        except OSError:
            raise NotRedirected(
                "came straight here, or left at once; only 'sidecar redirect' leads here"
            ) from None
        if destination == here:
            raise NotRedirected("came straight here; only 'sidecar redirect' leads here")
        if _owner(sock.family, there, destination) == os.geteuid():
            raise NotRedirected(
                f"of the sidecar itself was redirected: 'sidecar redirect --uid' must name its user, {os.geteuid()}"
            )
    return destination


def _original(sock: socket.socket) -> Destination:
    if sock.family == socket.AF_INET6:
        return _parsed(sock.getsockopt(socket.IPPROTO_IPV6, SO_ORIGINAL_DST, 28))
    return _parsed(sock.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16))


def _parsed(address: bytes) -> Destination:
    """A ``sockaddr_in`` or ``sockaddr_in6``.  Raises OSError for anything else."""
    family = int.from_bytes(address[:2], "little" if struct.pack("=H", 1)[0] else "big")
    port = int.from_bytes(address[2:4])
    if family == socket.AF_INET and len(address) >= 8:
        return str(IPv4Address(address[4:8])), port
    if family == socket.AF_INET6 and len(address) >= 24:
        return str(IPv6Address(address[8:24])), port
    raise OSError(f"an address of family {family} in {len(address)} bytes")


def _owner(family: int, of: Destination, to: Destination) -> int | None:
    """The user whose socket has the address ``of`` and is connected to ``to``; None where the kernel does not say.

    By sock_diag(7), which needs no privilege.  The one who was redirected believes to be where he wanted to go.
    """
    tuple_ = struct.pack("!HH16s16s", of[1], to[1], *(socket.inet_pton(family, each[0]) for each in (of, to)))
    request = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 0, 0, 0xFFFF_FFFF) + tuple_
    request += struct.pack("=III", 0, *_ANY_COOKIE)
    header = struct.pack("=IHHII", 16 + len(request), _DIAG_BY_FAMILY, _REQUEST, 1, 0)
    with suppress(OSError), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        kernel.setblocking(False)
        kernel.send(header + request)
        answer = kernel.recv(4096)
        if struct.unpack_from("=H", answer, 4)[0] == _DIAG_BY_FAMILY:
            uid: int = struct.unpack_from("=I", answer, 16 + 4 + 48 + 12)[0]
            return uid
    return None
