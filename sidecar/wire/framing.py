"""Where a request's body ends.

A proxy must know it to the byte: what follows belongs to the next call, and two opinions about where that begins are
request smuggling.  llhttp decodes chunks but does not say how far it got, so bodies are framed here.  A decoder is a
generator: ``send`` it each segment; it feeds the body, and returns (StopIteration) the bytes that follow the end.
"""

import re
from collections.abc import Generator
from typing import Final, TypeAlias

from sidecar.wire.body import Body
from sidecar.wire.head import bad_request
from sidecar.wire.lines import TOKEN

MAX_CHUNK_LINE_BYTES: Final = 1024
"""Of a chunk's size with its extensions, which nobody uses but attackers."""
MAX_TRAILER_BYTES: Final = 16 * 1024

_SIZE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,15})(?:;" + TOKEN + rb"(?:=(?:" + TOKEN + rb'|"[\t \x21\x23-\x5b\x5d-\x7e]*"))?)*\r'
)
"""RFC 9112 section 7.1, without the blanks that section 7.1.1 calls bad."""
_FIELD: Final = re.compile(rb"(" + TOKEN + rb"):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*\r")
_NEVER_TRAILERS: Final = frozenset(
    {b"content-length", b"transfer-encoding", b"host", b"trailer", b"connection"}
)
"""Fields that frame or route a message come before it (RFC 9110 section 6.5.1)."""

Decoder: TypeAlias = Generator[None, bytes, bytes]


def decoder(body: Body) -> Decoder:
    """A started decoder for ``body``.  Raises Refusal ``bad-request`` out of ``send`` where the framing is broken."""
    it = _chunked(body) if body.length is None else _sized(body, body.length)
    next(it)
    return it


def _sized(body: Body, left: int) -> Decoder:
    data = yield
    while len(data) < left:
        body.feed(data)
        left -= len(data)
        data = yield
    body.feed(data[:left])
    body.end()
    return data[left:]


def _chunked(body: Body) -> Decoder:
    data, at = (yield), 0
    while True:
        line, data, at = yield from _line(data, at, MAX_CHUNK_LINE_BYTES)
        size = _chunk_size(line)
        if size == 0:
            break
        while size:
            if at == len(data):
                data, at = (yield), 0
            piece = data[at : at + size]
            body.feed(piece)
            at += len(piece)
            size -= len(piece)
        line, data, at = yield from _line(data, at, 2)
        if line != b"\r":
            raise bad_request("a chunk is not followed by CR LF")
    trailers: list[tuple[bytes, bytes]] = []
    room = MAX_TRAILER_BYTES
    while True:
        line, data, at = yield from _line(data, at, room)
        if line == b"\r":
            break
        room -= len(line) + 1
        trailers.append(_trailer(line))
    body.end(trailers)
    return data[at:]


def _line(data: bytes, at: int, limit: int) -> Generator[None, bytes, tuple[bytes, bytes, int]]:
    """A line without its LF, and where to go on."""
    start = b""
    while True:
        end = data.find(b"\n", at, at + limit - len(start))
        if end >= 0:
            return start + data[at:end], data, end + 1
        start += data[at : at + limit - len(start)]
        if len(start) >= limit:
            raise bad_request("a line between the chunks of its body is too long or not ended by CR LF")
        data, at = (yield), 0


def _chunk_size(line: bytes) -> int:
    match = _SIZE.fullmatch(line)
    if match is None:
        raise bad_request("a chunk of its body has no valid size")
    return int(match[1], 16)


def _trailer(line: bytes) -> tuple[bytes, bytes]:
    match = _FIELD.fullmatch(line)
    if match is None or match[1].lower() in _NEVER_TRAILERS:
        raise bad_request("a trailer field is malformed or may not be one")
    return match[1], match[2]
