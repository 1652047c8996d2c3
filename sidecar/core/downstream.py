"""The idempotency key that an upstream sees, where it honours one.

A caller's own key, where the route trusts it, stays the caller's.  Else the key is made of the intent *and of
the call that first tried it*: an unknown outcome is re-sent under the same key and the upstream recognises
it, but an intent that runs anew (A, B, A again, or the same charge an hour later) has a new key, or the
upstream would answer from its memory and do nothing.

What SDKs put there is minted anew for each attempt, so it is set apart from what the request says: neither
the intent's key nor its fingerprint covers it.
"""

import re
from hashlib import blake2b
from typing import Final
from urllib.parse import quote, quote_plus, unquote_plus

import orjson

from sidecar.core.call import Call
from sidecar.core.claim import Claim
from sidecar.core.content import FORM, JSON, Content, Unreadable
from sidecar.core.refusal import Refusal
from sidecar.core.route import DownstreamKey, Tool

LONGEST: Final = 255
"""Characters of a caller's key, as Stripe and the IETF draft's implementations have it."""

_GOOD: Final = re.compile(rf"[\x20-\x7e]{{1,{LONGEST}}}").fullmatch
_QUOTED: Final = re.compile(rb'"((?:[^"\\]|\\["\\])*)"').fullmatch


def callers_key(tool: Tool, call: Call, content: Content) -> str:
    """The key that the caller chose, unquoted; empty where there is none.

    ``Idempotency-Key`` may be a structured-field string (draft-ietf-httpapi-idempotency-key-header) or bare,
    as SDKs send it; both are the same key.  Raises Refusal ``bad-request``.
    """
    key = _in_header(call, b"idempotency-key")
    downstream = tool.downstream
    if key or downstream is None:
        return key
    if downstream.place == "header":
        return _in_header(call, downstream.name.lower().encode("latin-1"))
    found = (
        _in_query(call, downstream.name)
        if downstream.place == "query"
        else _in_body(content, downstream.name)
    )
    return _checked(found) if found else ""


def _in_header(call: Call, name: bytes) -> str:
    if name not in call.headers:
        return ""
    values = set(call.headers.all(name))
    if len(values) > 1:
        raise _bad("is given twice, with two values")
    value = values.pop().strip()
    quoted = _QUOTED(value)
    if quoted:
        value = re.sub(rb"\\(.)", rb"\1", quoted[1])
    return _checked(value.decode("latin-1"))


def _in_query(call: Call, name: str) -> str:
    values = [value for key, value in pairs_of(call.query) if unquote_plus(key) == name]
    return unquote_plus(values[0]) if values else ""


def _in_body(content: Content, name: str) -> str:
    try:
        fields = content.fields
    except Unreadable:
        return ""
    value = fields.get(name) if isinstance(fields, dict) else None
    return value if isinstance(value, str) else ""


def _checked(key: str) -> str:
    if not _GOOD(key):
        raise _bad(f"must be 1 to {LONGEST} printable ASCII characters")
    return key


def _bad(what: str) -> Refusal:
    return Refusal(
        "bad-request",
        f"The idempotency key of this call {what}. Nothing was sent. Send one key, for example a UUID, and "
        "the same key again when you retry the same request.",
    )


def made_key(claim: Claim, origin: str, key: DownstreamKey) -> str:
    """A key of our own for the upstream; ``origin`` is the call that first tried the intent."""
    assert claim.intent is not None
    digest = blake2b(f"{claim.intent.key} {origin}".encode(), digest_size=20).hexdigest()
    return f"sc-{digest}"[: key.max_length]


def pairs_of(query: str) -> list[tuple[str, str]]:
    """Names and values as they stand, escapes untouched."""
    return [(name, value) for name, _, value in (part.partition("=") for part in query.split("&") if part)]


def query_with(query: str, name: str, key: str) -> str:
    """``query`` with one parameter set; the others stay byte for byte and in place."""
    kept = [part for part in query.split("&") if part and unquote_plus(part.partition("=")[0]) != name]
    return "&".join([*kept, f"{quote(name, safe='')}={quote(key, safe='')}"])


def body_with(content: Content, name: str, key: str) -> bytes:
    """The body with one top-level member set.  Raises Refusal ``key-underivable`` where it cannot be."""
    try:
        fields = content.fields
    except Unreadable as error:
        raise _unwritable(name, str(error)) from None
    if content.packed:
        raise _unwritable(name, "the body is compressed")
    if content.type == FORM:
        kept = [part for part in content.raw.split(b"&") if part and not _names(part, name)]
        return b"&".join([*kept, f"{quote_plus(name)}={quote_plus(key)}".encode()])
    if not isinstance(fields, dict) or not (content.type == JSON or content.type.endswith(b"+json")):
        raise _unwritable(name, "the body is no JSON object and no form")
    if name in fields or content.raw.lstrip()[:1] != b"{":
        return orjson.dumps(fields | {name: key})
    head, _, rest = content.raw.partition(b"{")
    comma = b"," if fields else b""
    return b"%b{%b:%b%b%b" % (head, orjson.dumps(name), orjson.dumps(key), comma, rest)


def _names(part: bytes, name: str) -> bool:
    return unquote_plus(part.partition(b"=")[0].decode("latin-1")) == name


def _unwritable(name: str, why: str) -> Refusal:
    return Refusal(
        "key-underivable",
        f"This tool takes its idempotency key in the body field {name!r}, and it cannot be put there: "
        f"{why}. Nothing was sent. Send the body as plain JSON or as a form.",
    )
