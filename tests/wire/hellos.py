"""TLS hellos: real ones, and ones that are put together by hand."""

import contextlib
import ssl


def real(name: str | None) -> bytes:
    """What OpenSSL says first."""
    context = ssl.create_default_context()
    context.check_hostname = name is not None
    out = ssl.MemoryBIO()
    it = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        it.do_handshake()
    return out.read()


def vector(content: bytes, width: int) -> bytes:
    return len(content).to_bytes(width) + content


def named(name: bytes, kind: int = 0) -> bytes:
    """The server_name extension."""
    return extension(0, vector(bytes([kind]) + vector(name, 2), 2))


def extension(number: int, content: bytes) -> bytes:
    return number.to_bytes(2) + vector(content, 2)


def message(extensions: bytes | None) -> bytes:
    """A ClientHello with these."""
    body = b"\x03\x03" + bytes(32) + vector(b"", 1) + vector(b"\x13\x01", 2) + vector(b"\0", 1)
    if extensions is not None:
        body += vector(extensions, 2)
    return b"\x01" + vector(body, 3)


def records(content: bytes, size: int = 1 << 14) -> bytes:
    """``content`` in records of at most ``size`` bytes."""
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    return b"".join(b"\x16\x03\x01" + vector(piece, 2) for piece in pieces)


def hello(*extensions: bytes) -> bytes:
    return records(message(b"".join(extensions)))
