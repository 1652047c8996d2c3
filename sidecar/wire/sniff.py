"""What a redirected connection begins with, and whom it asks for: TLS by its name, HTTP by its Host, or neither.

Whatever looks like TLS or like HTTP and breaks its rules is refused: an upstream might be more lenient than we are, and
then the call would have passed as something that we do not read.
"""

import re
from typing import Final, Literal, NamedTuple

from sidecar.core.refusal import Refusal
from sidecar.wire.head import END, MAX_LINE_BYTES, Head, bad_request
from sidecar.wire.hello import HANDSHAKE, Incomplete, server_name
from sidecar.wire.intake import authority

_METHOD: Final = re.compile(rb"[A-Za-z-]{1,20}(?: |\Z)").match
_LINE: Final = re.compile(rb"(?!PRI )[^\n]* HTTP/[0-9][^\n]*\n", re.IGNORECASE).match
"""What some server may take for HTTP/1; whether it is, ``Head`` says."""


class Opener(NamedTuple):
    """What the first bytes say."""

    kind: Literal["tls", "http", "proxy", "other"]
    """``proxy``: a request as proxies get them, for some other proxy."""
    host: str = ""
    """Whom it asks for; empty where it does not say."""


def sniff(data: bytes, head_bytes: int) -> Opener | None:
    """``data`` is all that came so far, one byte at least; None where more is needed to tell.

    ``head_bytes``: the longest head of a request.  Raises Refusal ``bad-request`` or ``header-too-large``.
    """
    if data[0] == HANDSHAKE:
        return _tls(data)
    text = data.removeprefix(b"\r\n")  # RFC 9112 section 2.2
    if text and not _METHOD(text):
        return None if data == b"\r" else Opener("other")
    end = text.find(b"\n")
    if end < 0:
        return None if len(text) <= MAX_LINE_BYTES else Opener("other")
    return _http(text, head_bytes) if _LINE(text) else Opener("other")


def _tls(data: bytes) -> Opener | None:
    try:
        return Opener("tls", server_name(data))
    except Incomplete:
        return None
    except ValueError as error:
        raise bad_request(f"it begins like TLS, but {error}") from None


def _http(text: bytes, head_bytes: int) -> Opener | None:
    end = text.find(END, 0, head_bytes)
    if end < 0:
        if len(text) < head_bytes:
            return None
        raise Refusal(
            "header-too-large",
            f"The request's head is too large. No empty line in its first {head_bytes} bytes. "
            "Send fewer or shorter fields.",
        )
    head = Head(text[: end + len(END)])
    if head.method == "CONNECT" or head.origin is not None:
        return Opener("proxy")
    host = head.headers.text(b"host")
    return Opener("http", authority(host)[0] if host else "")
