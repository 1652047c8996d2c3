"""A request on its way out: its head, its framing, its body piece by piece."""

from collections.abc import Awaitable, Callable

from sidecar.core.call import RawHeaders
from sidecar.core.outbound import Outbound
from sidecar.core.refusal import Refusal
from sidecar.ports import Body
from sidecar.wire.lines import written

JOIN_BYTES = 64 * 1024
"""Up to here a copy is cheaper than a second piece to write."""
_NO_BODY_EXPECTED = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})
_NEVER_IN_TRAILERS = frozenset(
    (b"transfer-encoding", b"content-length", b"host", b"connection", b"te", b"trailer", b"authorization")
)
"""RFC 9110 section 6.5.1: fields for framing, routing and authentication."""
_OURS = (b"proxy-", b"x-agent-")
"""What is said to the proxy does not leave by the back door either."""
_LENGTH = b"Content-Length: %d\r\n"


def opening(request: Outbound, body: bytes | Body) -> tuple[tuple[bytes, ...], Body | None]:
    """What to write at once, and the body that must follow by ``stream``; None where all of it is here already.

    Raises Refusal ``bad-request``, ``not_sent``, where a line break would make another request of it.
    """
    if not isinstance(body, bytes):
        arrived = body.whole
        if arrived is None or body.trailers:
            length = body.length
            framing = b"Transfer-Encoding: chunked\r\n" if length is None else _LENGTH % length
            return (_head(request, framing),), body
        body = arrived
    size = len(body)
    head = _head(request, _LENGTH % size if size or request.method not in _NO_BODY_EXPECTED else b"")
    return ((head + body,) if size <= JOIN_BYTES else (head, body)), None


async def stream(body: Body, write: Callable[..., Awaitable[None]]) -> None:
    """Write the body as it comes, no faster than ``write`` lets it.

    Raises what ``body.read`` raises, and Refusal where the body is not as long as it said: the connection
    then holds half a request and must be dropped.
    """
    left = body.length
    while piece := await body.read():
        if left is None:
            await write(b"%x\r\n" % len(piece), piece, b"\r\n")
            continue
        left -= len(piece)
        if left < 0:
            break
        await write(piece)
    if left is None:
        await write(b"0\r\n", _trailers(body.trailers), b"\r\n")
    elif left:
        raise Refusal("bad-request", "The body is not as long as its Content-Length says.", outcome="unknown")


def _head(request: Outbound, framing: bytes) -> bytes:
    line = b"%b %b HTTP/1.1\r\n" % (request.method.encode(), request.target)
    if line.count(b"\n") > 1:
        raise Refusal("bad-request", "The target holds a line break.", outcome="not_sent")
    return b"".join([line, *[written[field] for field in request.headers], framing, b"\r\n"])


def _trailers(trailers: RawHeaders) -> bytes:
    return b"".join(b"%b: %b\r\n" % field for field in trailers if _may_trail(field[0].lower()))


def _may_trail(name: bytes) -> bool:
    return name not in _NEVER_IN_TRAILERS and not name.startswith(_OURS)
