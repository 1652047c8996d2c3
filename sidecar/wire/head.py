"""One request's head: bytes in, a ``Head`` or a Refusal out.

llhttp (through httptools) knows the grammar and refuses most of what request smuggling lives on: obsolete folding,
bare CR or LF, NUL and control characters, blanks before a colon, doubled or malformed Content-Length, Content-Length
beside Transfer-Encoding, codings that do not end in ``chunked``, characters that no URL may hold.  It lets pass, and
this module refuses: request lines that are not exactly ``method SP target SP HTTP/1.x`` (no version, HTTP/2.0, RTSP,
ICE, doubled blanks), chunked on HTTP/1.0, codings besides ``chunked``, no Host or two, and heads without end.

A head is parsed whole, in one feed.  Where it comes in pieces ``Partial`` gathers it, and has a parser without
callbacks look at the bytes as they come, so that what can never become a head is refused at once.  The same checks
in the same order decide both ways: what a client hears does not depend on how the network cut its bytes.
"""

from typing import Final, NamedTuple

import httptools

from sidecar.core.call import Headers
from sidecar.core.refusal import Refusal

MAX_LINE_BYTES: Final = 32 * 1024
"""Of the request line.  Query languages in URLs (SOQL, OData) reach 16 KiB."""
MAX_FIELDS: Final = 200
"""Twice Envoy's default, and more than any SDK sends."""

END: Final = b"\r\n\r\n"


class Head(NamedTuple):
    """A request head that follows every rule of the syntax and of the framing."""

    method: str
    target: str
    headers: Headers
    http_1_0: bool
    length: int | None
    """Content-Length; 0 where there is no body, None where it is chunked."""
    close: bool
    """The client wants, or must have, the connection closed after the answer."""
    upgrade: bool
    expects: bool
    """The client waits for a 100 before it sends its body."""


def parse(data: bytes) -> Head:
    """``data`` is everything up to and including the first empty line.  Raises Refusal."""
    method, target, http_1_0 = _request_line(data[: data.find(b"\n")])
    fields = _Fields()
    _feed(httptools.HttpRequestParser(fields), data)
    raw = fields.raw
    if len(raw) > MAX_FIELDS:
        raise _too_large(f"It has {len(raw)} fields; at most {MAX_FIELDS} are taken.")
    headers = Headers(raw)
    _check_host(headers, http_1_0)
    close, upgrade = http_1_0, False
    connection = headers.get(b"connection")
    if connection is not None and connection != b"keep-alive":
        options = _options(headers)
        close = http_1_0 or b"close" in options
        upgrade = b"upgrade" in options and b"upgrade" in headers and not http_1_0
        if upgrade and _offers_http2(headers):
            headers, upgrade = _without_upgrade(headers), False
    length = _length(headers, http_1_0)
    expects = b"expect" in headers and length != 0 and not http_1_0 and _continues(headers)
    return Head(method, target, headers, http_1_0, length, close, upgrade, expects)


class _Fields:
    """What the parser calls back."""

    __slots__ = ("raw",)

    def __init__(self) -> None:
        self.raw: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.raw.append((name, value.rstrip()))  # llhttp leaves trailing blanks on


class Partial:
    """A head that arrives in pieces, and has at most ``limit`` bytes."""

    __slots__ = ("_data", "_forgave", "_limit", "_probe", "_probed")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._data = bytearray()
        self._forgave = False
        self._probe: httptools.HttpRequestParser | None = None
        self._probed = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """The head and what follows it, once it is complete.  Raises Refusal as soon as it can be none."""
        seen = len(self._data)
        self._data += data
        if self._probe is None:
            if not self._forgave and self._data.startswith(b"\r\n"):
                self._forgave = True  # one empty line (RFC 9112 section 2.2)
                del self._data[:2]
            if not self._line_is_here():
                return None
            seen = 0
        end = self._data.find(END, max(seen - 3, 0), self._limit)
        if end < 0:
            self._look()
            return None
        return bytes(self._data[: end + 4]), bytes(self._data[end + 4 :])

    def _line_is_here(self) -> bool:
        end = self._data.find(b"\n", 0, MAX_LINE_BYTES + 1)
        if end < 0:
            if self._data[:1] == _TLS or len(self._data) > MAX_LINE_BYTES:
                _request_line(bytes(self._data[: MAX_LINE_BYTES + 1]))
            return False
        _request_line(bytes(self._data[:end]))
        self._probe = httptools.HttpRequestParser(object())
        return True

    def _look(self) -> None:
        assert self._probe is not None
        _feed(self._probe, bytes(self._data[self._probed : self._limit]))
        self._probed = len(self._data)
        if len(self._data) >= self._limit:  # an end right there would have been found
            raise _too_large(f"No empty line in its first {self._limit} bytes.")


_TLS: Final = b"\x16"
"""The first byte of a handshake."""
_VERSIONS: Final = {"HTTP/1.1\r": False, "HTTP/1.0\r": True}


def _request_line(line: bytes) -> tuple[str, str, bool]:
    """``line`` goes up to its LF.  llhttp checks the characters of method and target; this, all the rest."""
    parts = line.decode("latin-1").split(" ")
    if len(parts) != 3 or len(line) > MAX_LINE_BYTES or line[:1] == _TLS:
        raise _bad_line(line)
    http_1_0 = _VERSIONS.get(parts[2])
    if http_1_0 is None:
        raise _bad_line(line)
    return parts[0], parts[1], http_1_0


def _bad_line(line: bytes) -> Refusal:
    if line.startswith(_TLS):
        return bad_request(
            "these bytes are TLS, and a proxy is spoken to in plain HTTP. Give the proxy's address as http://, "
            "for https:// destinations too"
        )
    if len(line) > MAX_LINE_BYTES:
        return _too_large(f"Its first line is longer than {MAX_LINE_BYTES} bytes.")
    if not line.endswith(b"\r"):
        return bad_request("its first line does not end in CR LF")
    return bad_request("its first line is not METHOD, blank, target, blank, HTTP/1.1 (or HTTP/1.0)")


def _feed(parser: httptools.HttpRequestParser, data: bytes) -> None:
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass  # what a CONNECT or an upgrade leads to is not this parser's business
    except httptools.HttpParserError as error:
        raise bad_request(str(error)) from None


def _check_host(headers: Headers, http_1_0: bool) -> None:
    """RFC 9112 section 3.2: exactly one, except on HTTP/1.0."""
    if b"host" not in headers:
        if not http_1_0:
            raise bad_request("it has no Host field")
    elif headers.repeats and len(headers.all(b"host")) > 1:
        raise bad_request("it has more than one Host field")


def _length(headers: Headers, http_1_0: bool) -> int | None:
    """RFC 9112 section 6.3.  llhttp has refused what is malformed, doubled or contradictory."""
    coding = headers.get(b"transfer-encoding")
    if coding is None:
        length = headers.get(b"content-length")
        return 0 if length is None else int(length)
    if http_1_0:
        raise bad_request("Transfer-Encoding is not part of HTTP/1.0")
    if coding.lower() != b"chunked" or (headers.repeats and len(headers.all(b"transfer-encoding")) > 1):
        raise bad_request("the only Transfer-Encoding taken is chunked")
    return None


def _options(headers: Headers) -> set[bytes]:
    listed = b",".join(headers.all(b"connection")).lower()
    return {option.strip(b" \t") for option in listed.split(b",")}


def _continues(headers: Headers) -> bool:
    return b"100-continue" in (headers.get(b"expect") or b"").lower()


def _offers_http2(headers: Headers) -> bool:
    return any(
        offer.strip(b" \t") == b"h2c" for offer in b",".join(headers.all(b"upgrade")).lower().split(b",")
    )


def _without_upgrade(headers: Headers) -> Headers:
    """An upgrade to HTTP/2 is not offered on: the calls inside it could not be seen, and none would be gated.

    A server may always ignore an upgrade (RFC 9110 section 7.8), so to the client this is ordinary HTTP/1.1.
    """
    dropped = {b"upgrade", b"http2-settings"}
    options = b", ".join(sorted(_options(headers) - dropped))
    raw = [field for field in headers.raw if field[0].lower() not in dropped | {b"connection"}]
    return Headers([*raw, (b"Connection", options)] if options else raw)


def bad_request(why: str) -> Refusal:
    """``why`` completes "The request is not valid HTTP/1.1: ", without a full stop, and quotes nothing secret."""
    return Refusal(
        "bad-request", f"The request is not valid HTTP/1.1: {why}. Nothing was sent on. Mend the client."
    )


def _too_large(why: str) -> Refusal:
    return Refusal(
        "header-too-large", f"The request's head is too large. {why} Send fewer or shorter fields."
    )
