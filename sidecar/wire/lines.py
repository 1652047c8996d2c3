"""Header lines, each judged once.

An agent says nearly the same lines in every call, and so does an upstream.  So what a line means is worked out when it
is first seen and then looked up: coming in, the field that it is; going out, the bytes that a field becomes.

``plain_headers`` takes a block of lines only where nothing in it could be read in two ways: every line is
``Name: value`` to the letter of RFC 9110 section 5, no name occurs twice, and no field frames the message or changes
the connection, but for a Content-Length of digits.  Whatever else comes is llhttp's to judge, as before; so what is
taken here is a part of what llhttp takes, and means the same (a test compares the two).

The tables hold what passed by, credentials too, as the connections' own buffers do; they are bounded, and forgotten
whole when full, so that lines which never repeat cost a little time and no memory.
"""

import re
from typing import Final, NamedTuple, TypeAlias

from sidecar.core.call import Headers
from sidecar.core.refusal import Refusal

Field: TypeAlias = tuple[bytes, bytes]

MOST: Final = 4096
"""Lines remembered in each direction."""
LONGEST: Final = 512
"""Bytes of a line that is worth remembering: what is longer (a cookie, a token) hardly repeats."""

TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
"""RFC 9110 section 5.6.2."""
_LINE: Final = re.compile(
    rb"(" + TOKEN + rb"):[ \t]*([\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?|)[ \t]*"
).fullmatch
_LENGTH: Final = re.compile(rb"[0-9]{1,15}").fullmatch
_NEVER_PLAIN: Final = frozenset({b"transfer-encoding", b"upgrade", b"expect"})
_CONNECTION: Final = frozenset({b"connection", b"proxy-connection"})


class Line(NamedTuple):
    """One plain line."""

    field: Field
    lower: bytes
    """Its name in lower case."""


def plain_headers(block: bytes) -> Headers | None:
    """The fields of a head's lines, joined by CR LF as they came; None where they are not plain."""
    fields: list[Field] = []
    first: dict[bytes, bytes] = {}
    for text in block.split(b"\r\n"):
        line = _read[text]
        if line is None:
            return None
        field, lower = line
        fields.append(field)
        first[lower] = field[1]
    return Headers(fields, first) if len(first) == len(fields) else None


def _judged(text: bytes) -> Line | None:
    match = _LINE(text)
    if match is None:
        return None
    name, value = match[1], match[2]
    lower = name.lower()
    if lower in _NEVER_PLAIN or (lower in _CONNECTION and value.lower() != b"keep-alive"):
        return None
    if lower == b"content-length" and not _LENGTH(value):
        return None
    return Line((name, value), lower)


class _Read(dict[bytes, Line | None]):
    """What each line is; None for one that is not plain."""

    def __missing__(self, text: bytes) -> Line | None:
        line = _judged(text)
        if len(text) <= LONGEST:
            if len(self) >= MOST:
                self.clear()
            self[text] = line
        return line


class Written(dict[Field, bytes]):
    """Each field as its line, CR LF included."""

    def __missing__(self, field: Field) -> bytes:
        """Raises Refusal ``bad-request``, ``not_sent``, where a line break would make two lines of it."""
        line = b"%b: %b\r\n" % field
        if line.count(b"\n") > 1 or line.count(b"\r") > 1:
            raise Refusal("bad-request", "A header field holds a line break.", outcome="not_sent")
        if len(line) <= LONGEST:
            if len(self) >= MOST:
                self.clear()
            self[field] = line
        return line


_read: Final = _Read()
written: Final = Written()
