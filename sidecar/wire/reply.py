"""The head of a reply to an agent: end-to-end fields, what the proxy says of itself, and the framing.

How the body ends is the proxy's own decision, made anew for each agent: a length where it is known, else chunks, else
(HTTP/1.0) the close.  Whatever an upstream said of framing, or of us (``Sidecar-Verdict``), is not passed on.
"""

from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Final, TypeAlias

from sidecar.core.call import Answer, Headers, RawHeaders
from sidecar.core.headers import end_to_end, relayed

Field: TypeAlias = tuple[bytes, bytes]

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"

_CLOSE: Final = (b"Connection", b"close")
_CHUNKED: Final = (b"Transfer-Encoding", b"chunked")
_FRAMING: Final = frozenset({b"connection", b"content-length", b"transfer-encoding", b"keep-alive"})

_PHRASES: Final = {status.value: status.phrase.encode() for status in HTTPStatus}


def bodyless(method: str, status: int) -> bool:
    """RFC 9112 section 6.3: no body follows, whatever the fields say."""
    return method == "HEAD" or status in (204, 304) or status < 200


def of_answer(answer: Answer, method: str, close: bool) -> bytes:
    """A whole reply.  To HEAD only its head, with the length that GET would have had."""
    length = b"%d" % len(answer.body)
    fields: list[Field] = []
    for field in answer.headers:
        name = field[0].lower()
        if name not in _FRAMING:
            fields.append(field)
        elif name == b"content-length" and method == "HEAD":
            length = field[1]
    if answer.status not in (204, 304):
        fields.append((b"Content-Length", length))
    if close:
        fields.append(_CLOSE)
    head = _block(_status_line(answer.status, b""), fields)
    return head if bodyless(method, answer.status) else head + answer.body


def head(
    status: int, reason: bytes, headers: Headers, verdict: bytes, framing: Iterable[Field], close: bool
) -> bytes:
    """The head of an upstream's answer on its way to the agent."""
    fields = relayed(headers, switching=status == 101)
    if verdict:
        fields.append((b"Sidecar-Verdict", verdict))
    fields += framing
    if close:
        fields.append(_CLOSE)
    return _block(_status_line(status, reason), fields)


def framing(length: int | None, http_1_0: bool) -> Iterable[Field]:
    """The field that says where the body ends; none where the close does."""
    if length is not None:
        return ((b"Content-Length", b"%d" % length),)
    return () if http_1_0 else (_CHUNKED,)


def length_only(headers: Headers) -> Iterable[Field]:
    """For an answer without a body: the length that it would have had (RFC 9110 section 8.6)."""
    length = headers.get(b"content-length")
    return () if length is None else ((b"Content-Length", length),)


def interim(status: int, headers: Headers) -> bytes:
    """A 1xx answer, passed on."""
    return _block(_status_line(status, b""), end_to_end(headers.raw))


def chunk(piece: bytes) -> tuple[bytes, bytes, bytes]:
    """``piece`` as one chunk, in parts so that it need not be copied."""
    return b"%x\r\n" % len(piece), piece, b"\r\n"


def last_chunk(trailers: RawHeaders) -> bytes:
    """The end of a chunked body, trailers included."""
    return _block(b"0", end_to_end(trailers))


def _block(line: bytes, fields: Iterable[Field]) -> bytes:
    return b"\r\n".join([line, *[b": ".join(field) for field in fields], b"", b""])


@lru_cache(maxsize=1024)
def _status_line(status: int, reason: bytes) -> bytes:
    return b"HTTP/1.1 %d %b" % (status, reason or _PHRASES.get(status, b""))
