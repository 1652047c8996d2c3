"""The head of a reply to an agent: end-to-end fields, what the proxy says of itself, and the framing.

How the body ends is the proxy's own decision, made anew for each agent: a length where it is known, else chunks, else
(HTTP/1.0) the close.  Whatever an upstream said of framing, or of us (``Sidecar-Verdict``), is not passed on.
"""

from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from sidecar.core.call import Answer, Headers, RawHeaders
from sidecar.core.headers import end_to_end, relayed
from sidecar.ports import UpstreamAnswer
from sidecar.wire.lines import Field, written

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"

_CLOSE: Final = b"Connection: close\r\n"
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
_FRAMING: Final = frozenset({b"connection", b"content-length", b"transfer-encoding", b"keep-alive"})

_PHRASES: Final = {status.value: status.phrase.encode() for status in HTTPStatus}


def bodyless(method: str, status: int) -> bool:
    """RFC 9112 section 6.3: no body follows, whatever the fields say."""
    return method == "HEAD" or status in (204, 304) or status < 200


def of_answer(answer: Answer, method: str, close: bool) -> bytes:
    """A whole reply.  To HEAD only its head."""
    status, fields, body = answer
    lines = [_status_line(status, b"")]
    lines += [written[field] for field in fields if field[0].lower() not in _FRAMING]
    if status not in (204, 304):
        lines.append(_length_for_head(answer) if method == "HEAD" else framing(len(body), False))
    return _message(lines, close, b"" if bodyless(method, status) else body)


def of_upstream(
    answer: UpstreamAnswer, verdict: bytes, framing: bytes, close: bool, body: bytes = b""
) -> bytes:
    """An upstream's answer on its way to the agent: the head, and what of the body goes with it."""
    status = answer.status
    lines = [_status_line(status, answer.reason)]
    lines += [written[field] for field in relayed(answer.headers, switching=status == 101)]
    if verdict:
        lines += (b"Sidecar-Verdict: ", verdict, b"\r\n")
    lines.append(framing)
    return _message(lines, close, body)


def framing(length: int | None, http_1_0: bool) -> bytes:
    """The field that says where the body ends; none where the close does."""
    if length is not None:
        return b"Content-Length: %d\r\n" % length
    return b"" if http_1_0 else _CHUNKED


def length_only(headers: Headers) -> bytes:
    """For an answer without a body: the length that it would have had (RFC 9110 section 8.6)."""
    length = headers.get(b"content-length")
    return b"" if length is None else b"Content-Length: %b\r\n" % length


def _length_for_head(answer: Answer) -> bytes:
    return length_only(Headers(answer.headers)) or framing(len(answer.body), False)


def interim(status: int, headers: Headers) -> bytes:
    """A 1xx answer, passed on."""
    return _block(_status_line(status, b""), end_to_end(headers.raw))


def chunk(piece: bytes) -> tuple[bytes, bytes, bytes]:
    """``piece`` as one chunk, in parts so that it need not be copied."""
    return b"%x\r\n" % len(piece), piece, b"\r\n"


def last_chunk(trailers: RawHeaders) -> bytes:
    """The end of a chunked body, trailers included."""
    return _block(b"0\r\n", end_to_end(trailers))


def _block(first: bytes, fields: Iterable[Field]) -> bytes:
    return _message([first, *[written[field] for field in fields]], False, b"")


def _message(lines: list[bytes], close: bool, body: bytes) -> bytes:
    if close:
        lines.append(_CLOSE)
    lines += (b"\r\n", body)
    return b"".join(lines)


@lru_cache(maxsize=1024)
def _status_line(status: int, reason: bytes) -> bytes:
    return b"HTTP/1.1 %d %b\r\n" % (status, reason or _PHRASES.get(status, b""))
