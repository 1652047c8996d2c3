"""One request's head: bytes in, a ``Head`` or a Refusal out.

llhttp (through httptools) knows the grammar and refuses most of what request smuggling lives on: obsolete folding,
bare CR or LF, NUL and control characters, blanks before a colon, doubled or malformed Content-Length, Content-Length
beside Transfer-Encoding, codings that do not end in ``chunked``, characters that no URL may hold.  It lets pass, and
this module refuses: request lines that are not exactly ``method SP target SP HTTP/1.x`` (no version, HTTP/2.0, RTSP,
ICE, doubled blanks), chunked on HTTP/1.0, codings besides ``chunked``, no Host or two, and heads without end.

Most heads leave nothing to judge.  Those are taken by ``lines``, which knows their lines already; llhttp is asked about
every other.

A head is parsed whole, in one feed.  Where it comes in pieces ``Partial`` gathers it, and has a parser without
callbacks look at the bytes as they come, so that what can never become a head is refused at once.  The same checks
in the same order decide both ways: what a client hears does not depend on how the network cut its bytes.
"""

import re
from typing import Final

import httptools

from sidecar.core.call import Headers
from sidecar.core.refusal import Refusal
from sidecar.wire.lines import plain_headers

MAX_LINE_BYTES: Final = 32 * 1024
"""Of the request line.  Query languages in URLs (SOQL, OData) reach 16 KiB."""
MAX_FIELDS: Final = 200
"""Twice Envoy's default, and more than any SDK sends."""

END: Final = b"\r\n\r\n"


class Head:
    """A request head that follows every rule of the syntax and of the framing."""

    __slots__ = ("close", "expects", "headers", "http_1_0", "length", "method", "origin", "path", "query")

    method: str
    origin: str | None
    """Of the target ``http://host/path?query``, ``http://host``.  None for what is not there."""
    path: str
    query: str | None
    headers: Headers
    length: int | None
    """Content-Length; 0 where there is no body, None where it is chunked."""

    def __init__(self, data: bytes) -> None:
        """``data`` is everything up to and including the first empty line.  Raises Refusal."""
        self.http_1_0 = False
        self.close = False
        """The client wants, or must have, the connection closed after the answer."""
        self.expects = False
        """The client waits for a 100 before it sends its body."""
        line = data.find(b"\r\n") + 2
        plain = _PLAIN_LINE(data[:line].decode("latin-1")) if line <= MAX_LINE_BYTES else None
        headers = plain_headers(data[line:-4]) if plain is not None and line < len(data) - 4 else None
        if plain is None or headers is None or b"host" not in headers or len(headers.raw) > MAX_FIELDS:
            self._read(data)
            return
        self.method, self.origin, self.path, self.query = plain.groups()
        self.headers = headers
        self.length = int(headers.get(b"content-length") or 0)

    def _read(self, data: bytes) -> None:
        """What is not plain, by llhttp's strict word and our own stricter one."""
        self.method, self.origin, self.path, self.query, minor = _request_line(data).groups()
        self.http_1_0 = minor == "0"
        fields = _Fields()
        _feed(httptools.HttpRequestParser(fields), data)
        if len(fields.raw) > MAX_FIELDS:
            raise _too_large(f"It has {len(fields.raw)} fields; at most {MAX_FIELDS} are taken.")
        self.headers = headers = Headers(fields.raw)
        _check_host(headers, self.http_1_0)
        self.close = self.http_1_0
        if b"connection" in headers:
            self._read_connection()
        if b"transfer-encoding" in headers:
            _check_coding(headers, self.http_1_0)
            self.length = None
        else:
            self.length = int(headers.get(b"content-length") or 0)
        self.expects = b"expect" in headers and self.length != 0 and not self.http_1_0 and _continues(headers)

    def _read_connection(self) -> None:
        options = _options(self.headers)
        self.close = self.http_1_0 or b"close" in options
        if b"upgrade" in options and (self.http_1_0 or _offers_http2(self.headers)):
            self.headers = _without_upgrade(self.headers)


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
        _request_line(bytes(self._data[: end + 1]))
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
_PLAIN_LINE: Final = re.compile(
    r"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (https?://[A-Za-z0-9._\-\[\]:]+)?(/[A-Za-z0-9\-._~:@!$&'()*+,;=%/]*)"
    r"(?:\?([A-Za-z0-9\-._~:/?@!$&'()*+,;=%\[\]]*))? HTTP/1\.1\r\n"
).fullmatch
"""What RFC 3986 lets a target hold, and nothing that needs a second look."""
_LINE: Final = re.compile(
    r"([A-Z-]+) ([A-Za-z]+://[^/?# \r\n]*)?([^?# \r\n]*)(?:\?([^# \r\n]*))? HTTP/1\.([01])\r\n"
)
"""RFC 9112 section 3, with the target in its parts.  llhttp knows better which characters may be in those."""


def _request_line(data: bytes) -> re.Match[str]:
    """The method; the target's origin, path and query; and the minor version."""
    match = _LINE.match(data.decode("latin-1"))
    if match is None or match.end() > MAX_LINE_BYTES + 1:
        raise _bad_line(data[: data.find(b"\n")] if b"\n" in data else data)
    return match


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
    if b"#" in line:
        return bad_request("its target has a fragment (#...), which stays with the client")
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
    if len(headers.all(b"host")) > 1:
        raise bad_request("it has more than one Host field")
    if b"host" not in headers and not http_1_0:
        raise bad_request("it has no Host field")


def _check_coding(headers: Headers, http_1_0: bool) -> None:
    """RFC 9112 section 6.1.  llhttp has refused what does not end in ``chunked``."""
    if http_1_0:
        raise bad_request("Transfer-Encoding is not part of HTTP/1.0")
    codings = headers.all(b"transfer-encoding")
    if len(codings) > 1 or codings[0].lower() != b"chunked":
        raise bad_request("the only Transfer-Encoding taken is chunked")


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

    A server may always ignore an upgrade, and one that HTTP/1.0 asks for it must (RFC 9110 section 7.8).
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
