"""The name in a TLS ClientHello, read before anything is answered (RFC 8446 section 4.1.2, RFC 6066 section 3).

OpenSSL would tell it too, but only to a server that then answers; and a connection that is to be tunnelled must not be
answered by us.  A hello may be cut by TCP anywhere, and by TLS into several records.
"""

import re
from typing import Final

LARGEST: Final = 16 * 1024
"""Of a hello.  Real ones have 200 to 4,000 bytes, with post-quantum key shares, tickets and grease."""

HANDSHAKE: Final = 22
CLIENT_HELLO: Final = 1
SERVER_NAME: Final = 0
HOST_NAME: Final = 0
RECORD: Final = 1 << 14
_NAME: Final = re.compile(rb"[A-Za-z0-9_.-]{1,255}").fullmatch


class Incomplete(Exception):
    """So far it may be a hello, and the rest is yet to come."""


def server_name(data: bytes) -> str:
    """The name it asks for, in lower case; empty where it asks for none.  Raises Incomplete, and ValueError for what
    is no hello."""
    hello = _Reader(_message(data))
    hello.take(2 + 32)  # legacy_version, random
    for width in (1, 2, 1):  # session id, cipher suites, compression methods
        hello.vector(width)
    if hello.ended:
        return ""  # as before there were extensions
    extensions = hello.vector(2)
    found: bytes | None = None
    while not extensions.ended:
        kind = extensions.number(2)
        content = extensions.vector(2)
        if kind == SERVER_NAME:
            if found is not None:
                raise ValueError("it names its server twice")
            found = _host_name(content)
    return "" if found is None else found.decode("ascii").lower().removesuffix(".")


def _host_name(extension: "_Reader") -> bytes:
    names = extension.vector(2)
    kind, name = names.number(1), names.vector(2)
    if kind != HOST_NAME or not names.ended or not extension.ended:
        raise ValueError("its server name is no single host name")
    if not _NAME(name.rest):
        raise ValueError("its server name is no host name")
    return name.rest


def _message(data: bytes) -> bytes:
    """The body of the first handshake message, out of as many records as it takes."""
    message = bytearray()
    at = 0
    while len(data) - at >= 5:
        size = int.from_bytes(data[at + 3 : at + 5])
        if data[at] != HANDSHAKE or data[at + 1] != 3 or not 0 < size <= RECORD:
            raise ValueError("it is not TLS")
        message += data[at + 5 : at + 5 + size]
        if message and message[0] != CLIENT_HELLO:
            raise ValueError("it does not begin with a hello")
        length = int.from_bytes(message[1:4])
        if len(message) >= 4 and length > LARGEST:
            raise ValueError("its hello is too large")
        if len(message) >= 4 + length and len(message) >= 4:
            return bytes(message[4 : 4 + length])
        at += 5 + size
    if len(data) > 2 * LARGEST:
        raise ValueError("its hello is in too many records")
    raise Incomplete


class _Reader:
    """TLS's presentation language: numbers, and vectors that say how long they are."""

    def __init__(self, rest: bytes) -> None:
        self.rest = rest

    @property
    def ended(self) -> bool:
        return not self.rest

    def take(self, size: int) -> bytes:
        if size > len(self.rest):
            raise ValueError("its hello is cut short")
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width))

    def vector(self, width: int) -> "_Reader":
        return _Reader(self.take(self.number(width)))
