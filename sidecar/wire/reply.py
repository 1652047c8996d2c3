"""The head of a reply to an agent: end-to-end fields, what the proxy says of itself, and the framing.

How the body ends is the proxy's own decision, made anew for each agent: a length where it is known, else chunks, else
(HTTP/1.0) the close.  Whatever an upstream said of framing, or of us (``Sidecar-Verdict``), is not passed on.
"""

from http import HTTPStatus
from typing import Final

from sidecar.core.call import Answer, Headers, RawHeaders
from sidecar.core.headers import end_to_end, relayed

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n"

CLOSE: Final = b"Connection: close\r\n\r\n"
_END: Final = b"\r\n"
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
_OURS: Final = frozenset({b"connection", b"content-length", b"transfer-encoding", b"keep-alive"})
_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


def bodyless(method: str, status: int) -> bool:
    """RFC 9112 section 6.3: no body follows, whatever the fields say."""
    return method == "HEAD" or status in (204, 304) or status < 200


def of_answer(answer: Answer, method: str, close: bool) -> bytes:
    """A whole reply.  To HEAD only its head, with the length that GET would have had."""
    body = answer.body
    parts = [_status_line(answer.status, b"")]
    length = b"%d" % len(body)
    for name, value in answer.headers:
        if name.lower() not in _OURS:
            parts.append(b"%b: %b\r\n" % (name, value))
        elif method == "HEAD" and name.lower() == b"content-length":
            length = value
    if answer.status not in (204, 304):
        parts.append(b"Content-Length: %b\r\n" % length)
    parts.append(CLOSE if close else _END)
    if not bodyless(method, answer.status):
        parts.append(body)
    return b"".join(parts)


def head(status: int, reason: bytes, headers: Headers, verdict: bytes, framing: bytes, close: bool) -> bytes:
    """The head of an upstream's answer on its way to the agent.  ``framing``: one field line, or nothing."""
    parts = [b"%b: %b\r\n" % field for field in relayed(headers, switching=status == 101)]
    if verdict:
        parts.append(b"Sidecar-Verdict: %b\r\n" % verdict)
    return b"".join((_status_line(status, reason), *parts, framing, CLOSE if close else _END))


def framing(length: int | None, http_1_0: bool) -> bytes:
    """The field that says where the body ends; nothing where the close does."""
    if length is not None:
        return b"Content-Length: %d\r\n" % length
    return b"" if http_1_0 else _CHUNKED


def length_only(headers: Headers) -> bytes:
    """For an answer without a body: the length that it would have had (RFC 9110 section 8.6)."""
    length = headers.get(b"content-length")
    return b"" if length is None else b"Content-Length: %b\r\n" % length


def interim(status: int, headers: Headers) -> bytes:
    """A 1xx answer, passed on."""
    fields = [b"%b: %b\r\n" % field for field in end_to_end(headers.raw)]
    return b"".join((_status_line(status, b""), *fields, _END))


def chunk(piece: bytes) -> tuple[bytes, bytes, bytes]:
    """``piece`` as one chunk, in parts so that it need not be copied."""
    return b"%x\r\n" % len(piece), piece, _END


def trailer_section(trailers: RawHeaders) -> bytes:
    """The last chunk and what follows it."""
    return b"".join((LAST_CHUNK, *[b"%b: %b\r\n" % field for field in end_to_end(trailers)], _END))


def _status_line(status: int, reason: bytes) -> bytes:
    if not reason and status in _STATUS_LINES:
        return _STATUS_LINES[status]
    return b"HTTP/1.1 %d %b\r\n" % (status, reason)
