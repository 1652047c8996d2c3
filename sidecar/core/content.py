"""What a body says: its fields for templates and conditions, and what makes two bodies the same.

A body is read once, and only as far as its ``Content-Type`` plainly allows.  Nothing is sniffed: an upstream
that goes by the media type would read other fields than we did, and an agent could lock one record and change
another.  What cannot be read without doubt (no type, two types, a repeated JSON member, a field given both as
a value and as a group, an unknown encoding) has no fields; a template that needs one refuses with the reason
kept here.

Canonical form, so that a retry is recognised however its serialiser was in the mood:

- JSON: the order of members, whitespace and the escaping of characters do not matter; types do (``1``,
  ``1.0``, ``"1"`` are three).  Whole numbers are exact at any length; fractions are the same where their
  doubles are.
- Forms: the order of differently named fields does not matter, the order of repeats does.
- Multipart: the boundary does not matter, the order of parts does.
- Everything else, and what cannot be read: the bytes as they came.

One top-level member may be set apart: an upstream's idempotency key, which SDKs mint anew for each attempt.
"""

import json
import re
import zlib
from operator import itemgetter
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, unquote_to_bytes

import orjson

from sidecar.core.call import Headers
from sidecar.core.nest import Conflict, nest

Fields: TypeAlias = Any
"""JSON as Python reads it; JMESPath and CEL walk it."""

INFLATED_LIMIT_BYTES: Final = 8 * 1024 * 1024
"""A compressed body is unpacked to at most this much: it arrived within ``body_limit``, but may expand a
thousandfold."""

MOST_FIELDS: Final = 10_000
"""Form fields or parts; past it the body has no fields."""

_DIGITS: Final = bytes(48 if 48 <= code <= 57 else code for code in range(256))
_LONG_NUMBER: Final = b"0" * 19
"""Nineteen digits may exceed 64 bits, where orjson would round to a double."""
_BOUNDARY: Final = re.compile(rb"""boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))""", re.IGNORECASE)
_PART_NAME: Final = re.compile(rb"""[;\s]name="((?:[^"\\]|\\.)*)\"""")
_FILE_NAME: Final = re.compile(rb"""[;\s]filename\*?=""")


class Unreadable(Exception):
    """The body has no fields, and why."""


class Content:
    """One body as its media type reads."""

    __slots__ = ("_fields", "_why", "canonical", "packed", "raw", "type")

    def __init__(self, raw: bytes, headers: Headers, apart: str = "") -> None:
        """``apart`` names the member that is no part of what the body says."""
        self.raw = raw
        self.canonical = b"bytes " + raw
        """Equal for two bodies exactly where they say the same (see the module)."""
        self.packed = False
        """``raw`` is compressed."""
        self._fields: Fields = None
        self._why = ""
        types = headers.all(b"content-type")
        self.type = types[0].partition(b";")[0].strip().lower() if len(types) == 1 else b""
        try:
            self._read(types, headers, apart)
        except Unreadable as error:
            self._why = str(error)

    @property
    def fields(self) -> Fields:
        """The fields.  Raises Unreadable."""
        if self._why:
            raise Unreadable(self._why)
        return self._fields

    @property
    def is_form(self) -> bool:
        """Fields are a form's, urlencoded or multipart."""
        return self.type in (FORM, MULTIPART)

    def _read(self, types: list[bytes], headers: Headers, apart: str) -> None:
        if not self.raw:
            raise Unreadable("the call has no body")
        if len(types) != 1:
            raise Unreadable("the call has two Content-Types" if types else "the body has no Content-Type")
        data = _inflated(self.raw, headers.all(b"content-encoding"))
        self.packed = data is not self.raw
        if self.type == JSON or self.type.endswith(b"+json"):
            self._fields, self.canonical = _json(data, apart)
        elif self.type == FORM:
            self._fields, self.canonical = _form(data, apart)
        elif self.type == MULTIPART:
            self._fields, self.canonical = _multipart(data, types[0])
        else:
            raise Unreadable(f"a body of type {self.type.decode('latin-1')[:80]!r} has no fields")


JSON: Final = b"application/json"
FORM: Final = b"application/x-www-form-urlencoded"
MULTIPART: Final = b"multipart/form-data"


def _inflated(raw: bytes, encodings: list[bytes]) -> bytes:
    if not encodings:
        return raw
    named = [name.strip().lower() for value in encodings for name in value.split(b",")]
    named = [name for name in named if name not in (b"", b"identity")]
    if not named:
        return raw
    if named not in ([b"gzip"], [b"x-gzip"], [b"deflate"]):
        raise Unreadable("the body's Content-Encoding cannot be looked into; send it plain or gzip")
    packed = zlib.decompressobj(
        zlib.MAX_WBITS if named == [b"deflate"] else zlib.MAX_WBITS + 16
    )  # + 16: gzip
    try:
        data = packed.decompress(raw, INFLATED_LIMIT_BYTES)
    except zlib.error:
        raise Unreadable("the body is not in the Content-Encoding it names") from None
    if not packed.eof or packed.unused_data:
        raise Unreadable(
            "the compressed body is cut off, is followed by something else, or unpacks to too much"
        )
    return data


def _json(data: bytes, apart: str) -> tuple[Fields, bytes]:
    try:
        value = orjson.loads(data)
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        raise Unreadable("the body is not valid JSON, or too deep") from None
    # A repeated member is dropped by the parser, and with it a colon.  Escaped colons would upset the count.
    same = data.count(b":") == text.count(b":") and (data.find(b"\\") < 0 or data.find(b"\\u003") < 0)
    if not same or data.translate(_DIGITS).find(_LONG_NUMBER) >= 0:
        value = _careful_json(data)
        text = _sorted_json(value)
    if apart and isinstance(value, dict) and apart in value:
        text = _sorted_json({name: member for name, member in value.items() if name != apart})
    return value, b"json " + text


def _careful_json(data: bytes) -> Fields:
    """JSON where the fast parser may have dropped a member or rounded a number."""
    try:
        return json.loads(data, object_pairs_hook=_members)
    except (ValueError, RecursionError):
        raise Unreadable("the body is not valid JSON, or too deep") from None


def _sorted_json(value: Fields) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # a whole number past 64 bits
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _members(pairs: list[tuple[str, Fields]]) -> dict[str, Fields]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise Unreadable(f"the JSON body has the member {repeated[:80]!r} twice in one object")
    return members


def _form(data: bytes, apart: str) -> tuple[Fields, bytes]:
    try:
        pairs = parse_qsl(data.decode(), True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise Unreadable("the form body is not properly encoded, or has too many fields") from None
    try:
        fields = nest(pairs)
    except Conflict as error:
        raise Unreadable(str(error)) from None
    said = [pair for pair in pairs if pair[0] != apart]
    said.sort(key=itemgetter(0))  # repeats keep their order
    return fields, b"form " + orjson.dumps(said)


def _multipart(data: bytes, media_type: bytes) -> tuple[Fields, bytes]:
    match = _BOUNDARY.search(media_type)
    if match is None:
        raise Unreadable("the multipart body names no boundary")
    parts = (b"\r\n" + data).split(b"\r\n--" + (match[1] or match[2]))
    if len(parts) < 3 or parts[0].strip() or not parts[-1].startswith(b"--") or len(parts) > MOST_FIELDS:
        raise Unreadable("the multipart body does not keep to its boundary")
    pairs: list[tuple[str, str]] = []
    canonical: list[bytes] = []
    for part in parts[1:-1]:
        head, gap, content = part.partition(b"\r\n\r\n")
        name = _PART_NAME.search(head)
        if not gap or not head.startswith(b"\r\n") or name is None:
            raise Unreadable("a part of the multipart body has no name")
        canonical += (head, content)
        if not _FILE_NAME.search(head):
            pairs.append((_text(unquote_to_bytes(name[1])), _text(content)))
    try:
        return nest(pairs), b"parts " + b"".join(b"%d:%b" % (len(piece), piece) for piece in canonical)
    except Conflict as error:
        raise Unreadable(str(error)) from None


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Unreadable("a field of the multipart body is not UTF-8") from None
