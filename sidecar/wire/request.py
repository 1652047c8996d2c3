"""A request on its way out: its head, its framing, its body piece by piece."""

from collections.abc import Awaitable, Callable

from sidecar.core.call import RawHeaders
from sidecar.core.outbound import Outbound
from sidecar.core.refusal import Refusal
from sidecar.ports import Body

JOIN_BYTES = 64 * 1024
"""Up to here a copy is cheaper than a second piece to write."""
_NO_BODY_EXPECTED = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})
_NEVER_IN_TRAILERS = frozenset(
    (b"transfer-encoding", b"content-length", b"host", b"connection", b"te", b"trailer", b"authorization")
)
"""RFC 9110 section 6.5.1: fields for framing, routing and authentication."""
_OURS = (b"proxy-", b"x-agent-")
"""What is said to the proxy does not leave by the back door either."""
_field = b": ".join


def whole(request: Outbound, body: bytes) -> list[bytes]:
    """The request with its whole body, as what to write: one piece where it is small."""
    if not body and request.method in _NO_BODY_EXPECTED:
        return [_head(request, b"")]
    head = _head(request, b"Content-Length: %d\r\n" % len(body))
    return [head + body] if len(body) <= JOIN_BYTES else [head, body]


def head_before(request: Outbound, body: Body) -> list[bytes]:
    """The head of a request whose body follows by ``stream``."""
    if body.length is None:
        return [_head(request, b"Transfer-Encoding: chunked\r\n")]
    return [_head(request, b"Content-Length: %d\r\n" % body.length)]


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
    fields = b"\r\n".join(map(_field, request.headers))
    if fields.count(b"\n") != len(request.headers) - 1 or b"\n" in request.target:
        raise Refusal("bad-request", "A header field or the target holds a line break.", outcome="not_sent")
    return b"%b %b HTTP/1.1\r\n%b\r\n%b\r\n" % (request.method.encode(), request.target, fields, framing)


def _trailers(trailers: RawHeaders) -> bytes:
    return b"".join(b"%b: %b\r\n" % field for field in trailers if _may_trail(field[0].lower()))


def _may_trail(name: bytes) -> bool:
    return name not in _NEVER_IN_TRAILERS and not name.startswith(_OURS)
