"""Bytes of an upstream into answers, with the suspicion that an agent's bytes get.

llhttp (through httptools) knows the grammar and refuses most of what request smuggling lives on: differing or
doubled Content-Length, Content-Length beside Transfer-Encoding, bare CR or LF, bad chunk sizes.  What it lets
pass and a proxy must not is refused here: HTTP versions other than 1.0 and 1.1, codings other than
``chunked``, switching protocols unasked, status codes below 100, heads without end.

Nothing here touches a socket: ``Reader`` is fed, and says after each feed what it has.

Most answers arrive whole, in one segment, and plain (``lines``): those are taken apart where they lie, and the parser
never hears of them.  Every other is the parser's from its first byte.  Its body starts as the one piece that it may
well remain (``Whole``), and becomes a ``Body``, with all that this takes, where a second piece follows or the segment
ends before the answer does.
"""

import re
from collections.abc import Sequence
from typing import Protocol

import httptools

from sidecar.core.call import Headers, RawHeaders
from sidecar.core.outbound import Outbound
from sidecar.wire.body import Body, Source, Whole
from sidecar.wire.held import Held
from sidecar.wire.lines import plain_headers

MAX_HEAD_BYTES = 64 * 1024
"""Of status lines and fields, interim answers included; of trailers and chunk extensions likewise."""
MAX_INTERIM = 16
"""Interim (1xx) answers to one request."""
MAX_LENGTH_DIGITS = 20
"""Of a Content-Length; llhttp bounds its value, and leaves zeros in front of it unbounded."""
_CONTROLS = bytes(range(32)) + b"\x7f"
_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)\r\n").match
"""Of a final answer, without the latitude that llhttp grants."""
_BODYLESS = (b"204", b"304")


class Malformed(Exception):
    """What an upstream sent is not an HTTP/1.1 answer to this request.  The text completes "it sent ..."."""


class Carrier(Source, Protocol):
    """What an answer asks of the connection it arrives on."""

    def abort(self) -> None: ...


class LiveAnswer:
    """An answer whose head is here and whose body may still be coming."""

    __slots__ = ("_source", "body", "headers", "reason", "status", "upgraded")

    def __init__(
        self, status: int, reason: bytes, headers: Headers, body: Body | Whole, source: Carrier
    ) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = body
        self.upgraded: Held | None = None
        """After a 101: the raw connection, for whoever splices it."""
        self._source = source

    def abandon(self) -> None:
        """Nobody will read the rest: drop the connection, unless the answer is complete anyway."""
        if self.upgraded is not None:
            self.upgraded.close()
        elif not self.body.ended:
            self._source.abort()


class Reader:
    """Reads one connection's answers, one exchange at a time: set ``request``, ``feed`` until ``complete``, take
    what there is and ``forget``.
    """

    __slots__ = (
        "_body",
        "_bytes_since_body",
        "_fields",
        "_headers",
        "_interims",
        "_malformed",
        "_parser",
        "_piece",
        "_plain",
        "_reason",
        "_source",
        "_status",
        "_until_close",
        "answer",
        "complete",
        "early",
        "heard",
        "interim",
        "request",
        "reusable",
    )

    def __init__(self, source: Carrier) -> None:
        self._source = source
        self._parser = httptools.HttpResponseParser(self)
        self._status: int
        self._until_close: bool
        self.request: Outbound
        """What the next answer is to."""
        self.reusable = False
        """Once complete: another request may follow on this connection."""
        self.early: bytes | None = None
        """After a 101: the bytes that followed its head."""
        self.interim: Sequence[tuple[int, Headers]] = ()
        """Interim answers to pass on; whoever does so empties it."""
        self.forget()

    def forget(self) -> None:
        """Keep nothing of an answer, and get ready for the next."""
        self._fields: list[tuple[bytes, bytes]] = []
        self._reason = b""
        self._bytes_since_body = 0
        self._interims = 0
        self._malformed: Malformed | None = None
        self._plain = False
        self._headers: Headers | None = None
        self._piece = b""
        self._body: Body | None = None
        self.heard = False
        """A byte of the answer arrived."""
        self.answer: LiveAnswer | None = None
        self.complete = False

    def feed(self, data: bytes) -> None:
        """Take a segment.  Raises Malformed, after which the connection is good for nothing."""
        if not self.heard:
            self.heard = True
            if self._take_whole(data):
                return
            self._plain = data.startswith(b"HTTP/1.1 ")
            if data[0] != 0x48:  # H: llhttp would also take RTSP and ICE, and skip line breaks
                raise Malformed("something that is not HTTP")
        self._bytes_since_body += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.early = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            self.reusable = False
            if self._malformed is not None:
                raise self._malformed from None
            if not self.complete:  # else it is garbage after an answer that stands
                raise Malformed(f"something that is not HTTP ({error})") from None
        if not self.complete:
            if self._bytes_since_body > MAX_HEAD_BYTES:
                raise Malformed(f"more than {MAX_HEAD_BYTES} bytes of header or trailer fields")
            if self._headers is not None:
                self._go_live(self._headers)
        elif self.request.method == "HEAD":
            self._after_head_only(data)

    def _take_whole(self, data: bytes) -> bool:
        """Take an answer that is plain and all there; False leaves everything to the parser."""
        line = _STATUS_LINE(data)
        end = data.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
        if line is None or end < line.end() or line[1] in _BODYLESS or self.request.method == "HEAD":
            return False
        headers = plain_headers(data[line.end() : end])
        if headers is None or len(data) - end - 4 != int(headers.get(b"content-length") or -1):
            return False
        self._status, self._reason = int(line[1]), line[2]
        self.reusable = self.complete = True
        self._answer(headers, Whole(data[end + 4 :]))
        return True

    def end(self) -> LiveAnswer | None:
        """The upstream closed its side cleanly: the answer, where that completes it."""
        if self._body is None or not self._until_close:
            return None
        self._body.end()
        self.complete = True
        return self.answer

    def _after_head_only(self, data: bytes) -> None:
        """llhttp cannot be told that an answer to HEAD has no body, so its parser is at a loss from here
        on."""
        self._parser = httptools.HttpResponseParser(self)
        if not data.endswith(b"\r\n\r\n"):
            self.reusable = False

    def _go_live(self, headers: Headers) -> Body:
        """More of the body is to come than its first piece."""
        body = self._body
        if body is None:
            length = headers.get(b"content-length")
            body = self._body = Body(self._source, None if length is None else int(length))
            if self._piece:
                body.feed(self._piece)
            self._answer(headers, body)
        return body

    def _answer(self, headers: Headers, body: Body | Whole) -> None:
        reason = self._reason
        if reason != b"OK":
            reason = reason.translate(None, _CONTROLS)
        self.answer = LiveAnswer(self._status, reason, headers, body, self._source)

    # What llhttp calls.

    def on_message_begin(self) -> None:
        if self.complete:
            self.reusable = False  # bytes after the answer

    def on_status(self, piece: bytes) -> None:
        self._reason += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        try:
            self._take_head()
        except Malformed as error:
            self._malformed = error  # the parser says only that a callback failed
            raise

    def _take_head(self) -> None:
        fields, self._fields = self._fields, []
        if self._bytes_since_body > MAX_HEAD_BYTES:
            _check_size(fields)
        headers = Headers(fields)
        status = self._parser.get_status_code()
        if status < 200:
            if status != 101:
                self._on_interim(status, headers)
                return
            self._check_switch()
        self._frame(headers, status)
        self._status = status
        self._headers = headers
        if self.request.method == "HEAD":
            self.on_message_complete()

    def on_body(self, piece: bytes) -> None:
        self._bytes_since_body = 0
        if self.complete:
            self.reusable = False
        elif self._body is not None:
            self._body.feed(piece)
        elif not self._piece:
            self._piece = piece
        elif self._headers is not None:
            self._go_live(self._headers).feed(piece)

    def on_message_complete(self) -> None:
        headers = self._headers
        if headers is None or self.complete:
            return
        self.complete = True
        if self._body is None and not self._fields:
            self._answer(headers, Whole(self._piece))
        else:
            trailers, self._fields = self._fields, []
            self._go_live(headers).end(trailers)

    def _on_interim(self, status: int, headers: Headers) -> None:
        self._interims += 1
        if status < 100:
            raise Malformed(f"the status {status:03d}")
        if self._interims > MAX_INTERIM:
            raise Malformed(f"more than {MAX_INTERIM} interim answers")
        self._reason = b""
        self._plain = False
        if status != 100:
            self.interim = [*self.interim, (status, headers)]

    def _check_switch(self) -> None:
        asked = any(name.lower() == b"upgrade" for name, _ in self.request.headers)
        if not (asked and self._parser.should_upgrade()):
            raise Malformed("a switch of protocols that nobody asked for")

    def _frame(self, headers: Headers, status: int) -> None:
        """Settle how the body ends: by a length, by chunks or by the close."""
        version = "1.1" if self._plain else self._parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise Malformed(f"an answer in HTTP/{version}")
        self.reusable = version == "1.1" and self._parser.should_keep_alive()
        length = headers.get(b"content-length")
        if length is not None and len(length) > MAX_LENGTH_DIGITS:
            raise Malformed("a Content-Length of too many digits")
        self._until_close = False
        coding = headers.get(b"transfer-encoding")
        if coding is not None:
            if version != "1.1" or not _only_chunked(headers):
                raise Malformed("a transfer coding other than chunked")
        elif length is None:
            self._until_close = self.request.method != "HEAD" and status not in (101, 204, 304)


def _only_chunked(headers: Headers) -> bool:
    return [coding.strip().lower() for coding in headers.all(b"transfer-encoding")] == [b"chunked"]


def _check_size(fields: RawHeaders) -> None:
    if sum(len(name) + len(value) + 4 for name, value in fields) > MAX_HEAD_BYTES:
        raise Malformed(f"more than {MAX_HEAD_BYTES} bytes of header fields")
