"""The request that leaves and the answer that goes back: which fields cross, which stop here, which are
added.

Stopped: hop-by-hop fields and what ``Connection`` names (RFC 9110 section 7.6.1), ``Proxy-*``, ``Expect`` (we
answer it ourselves), everything that identity is read from, framing (the wire's own, anew on each side).
Added: ``Host`` of where the call goes, ``Via``, the upstream's idempotency key.  Everything else keeps its
spelling, order and bytes.

Whether a field crosses depends on its name alone, and agents use few names: each spelling is judged once and
the verdict kept.
"""

from typing import Final
from urllib.parse import unquote, unquote_plus

from sidecar.core.call import Call, Headers, RawHeaders
from sidecar.core.claim import Claim
from sidecar.core.downstream import body_with, callers_key, made_key, pairs_of, query_with
from sidecar.core.identity import Strip
from sidecar.core.outbound import Outbound
from sidecar.core.route import SAFE, Base, Tool
from sidecar.core.table import Matched

VIA: Final = (b"Via", b"1.1 agent-sidecar")

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)
_STOPS: Final = HOP_BY_HOP | {b"content-length", b"host", b"expect"}
_PREFIXES: Final = (b"proxy-", b"x-agent-")
_OF_THE_REQUEST: Final = frozenset(
    {
        *(b"accept-encoding", b"connection", b"digest", b"idempotency-key", b"prefer", b"range", b"upgrade"),
        *(b"x-http-method", b"x-http-method-override", b"x-idempotency-key", b"x-method-override"),
    }
)
"""Fields about what a request does, beside ``content-*`` and ``if-*``; the others say who makes it, and how."""
_PLAIN_CONNECTION: Final = frozenset({b"keep-alive", b"close", b"Keep-Alive", b"Close"})

NAMES_LIMIT: Final = 2048
"""Spellings remembered; past it all are forgotten, so that inventing names fills no memory."""


class _Crossing(dict[bytes, bool]):
    """Whether a field of this name crosses, by the spelling of the name."""

    __slots__ = ("_prefixes", "_stops")

    def __init__(self, stops: frozenset[bytes], prefixes: tuple[bytes, ...]) -> None:
        self._stops = stops
        self._prefixes = prefixes

    def __missing__(self, name: bytes) -> bool:
        lower = name.lower()
        crosses = lower not in self._stops and not lower.startswith(self._prefixes)
        if len(self) >= NAMES_LIMIT:
            self.clear()
        self[name] = crosses
        return crosses


class Departures:
    """Requests on their way out; ``strip`` says what of the identity stays here."""

    __slots__ = ("_crossing", "_strip")

    def __init__(self, strip: Strip) -> None:
        self._strip = strip
        self._crossing = _Crossing(_STOPS | strip.headers, _PREFIXES)

    def outbound(self, matched: Matched, claim: Claim, origin: str) -> Outbound:
        """The request for the upstream; ``origin`` is the lease's."""
        route, view = matched
        call = view.call
        base = _goal(route.tool, call)
        query = call.query
        fields = [(b"Host", base.authority), *self._crossed(call.headers)]
        downstream = route.tool.downstream
        if downstream is not None and claim.intent is not None and downstream.place != "body":
            key = upstream_key(matched, claim, origin)
            if downstream.place == "query":
                query = query_with(query, downstream.name, key)
            else:
                _set(fields, downstream.name, key)
        fields.append(VIA)
        path = call.path if call.path == "*" else base.prefix + call.path
        return Outbound(
            call.method,
            base.scheme,
            base.host,
            base.port,
            (f"{path}?{query}" if query else path).encode("latin-1"),
            fields,
            claim.timeout_ms,
            call.method in SAFE,
            route.tool.connect_timeout_ms,
            route.tool.trust,
        )

    def asking(self, tool: Tool, call: Call, method: str, target: str, timeout_ms: int) -> Outbound:
        """A request that asks the tool about ``call``, as whoever made it: with what says who calls, and nothing of
        what says what."""
        downstream = tool.downstream
        own = (
            downstream.name.lower().encode("latin-1") if downstream and downstream.place == "header" else b""
        )
        crossed = ((name, value, name.lower()) for name, value in self._crossed(call.headers))
        fields = [
            (name, value)
            for name, value, lower in crossed
            if lower not in _OF_THE_REQUEST and lower != own and not lower.startswith((b"content-", b"if-"))
        ]
        base = _goal(tool, call)
        for place in tool.credentials:
            kind, _, name = place.partition(":")
            for key, value in pairs_of(call.query) if kind == "query" else ():
                if unquote_plus(key) == name:
                    target += f"{'&' if '?' in target else '?'}{key}={value}"
        return Outbound(
            method,
            base.scheme,
            base.host,
            base.port,
            (base.prefix + target).encode("latin-1"),
            [(b"Host", base.authority), *fields, VIA],
            timeout_ms,
            True,
            tool.connect_timeout_ms,
            tool.trust,
        )

    def _crossed(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        crossing = self._crossing
        fields = [field for field in headers.raw if crossing[field[0]]]
        if _names_fields(headers):
            fields = _without_named(fields, headers) + _upgrade(headers)
        if b"baggage" in headers and self._strip.baggage:
            fields = [(name, _baggage_without(name, value, self._strip.baggage)) for name, value in fields]
            fields = [field for field in fields if field[1] or field[0].lower() != b"baggage"]
        return fields


def upstream_key(matched: Matched, claim: Claim, origin: str) -> str:
    """The key that the upstream sees: the caller's where the route trusts it and the upstream takes its
    length, else one of our own.
    """
    assert claim.intent is not None
    downstream = matched.route.tool.downstream
    assert downstream is not None
    if claim.intent.fingerprint:  # the caller's key decided
        key = callers_key(matched.route.tool, matched.view.call, matched.view.content)
        if len(key) <= downstream.max_length:
            return key
        origin = ""  # his key names the request for its whole life, so ours may not depend on the attempt
    return made_key(claim, origin, downstream)


def outbound_body(matched: Matched, claim: Claim, origin: str, body: bytes) -> bytes:
    """The body for the upstream: as it came, but for an idempotency key that belongs inside it."""
    downstream = matched.route.tool.downstream
    if downstream is None or downstream.place != "body" or claim.intent is None:
        return body
    return body_with(matched.view.content, downstream.name, upstream_key(matched, claim, origin))


def _goal(tool: Tool, call: Call) -> Base:
    if tool.base is not None:
        return tool.base
    if call.host:
        return Base(call.scheme, call.host, call.port)
    only = next(
        pattern for pattern in tool.hosts if not pattern.wildcard
    )  # reverse form: the table saw to it
    return Base("https", only.name, only.port or 443)


def _set(fields: list[tuple[bytes, bytes]], name: str, value: str) -> None:
    """Set one field, in its place where it is there already."""
    wanted = name.encode("latin-1")
    lower = wanted.lower()
    place = next((place for place, field in enumerate(fields) if field[0].lower() == lower), len(fields))
    fields[place:] = [
        (wanted, value.encode("latin-1")),
        *(f for f in fields[place:] if f[0].lower() != lower),
    ]


def _names_fields(headers: Headers) -> bool:
    """Whether ``Connection``, in whichever of its fields, may name others."""
    first = headers.get(b"connection")
    if first is None:
        return False
    return first not in _PLAIN_CONNECTION or (headers.repeats and len(headers.all(b"connection")) > 1)


def _named(headers: Headers) -> frozenset[bytes]:
    """The fields that ``Connection`` names."""
    values = b",".join(headers.all(b"connection"))
    return frozenset(name.strip().lower() for name in values.split(b","))


def _without_named(fields: list[tuple[bytes, bytes]], headers: Headers) -> list[tuple[bytes, bytes]]:
    named = _named(headers)
    return [field for field in fields if field[0].lower() not in named]


def _upgrade(headers: Headers) -> list[tuple[bytes, bytes]]:
    """An upgrade request keeps what asks for it, and nothing else of its connection."""
    upgrade = headers.get(b"upgrade")
    if upgrade is None or b"upgrade" not in _named(headers):
        return []
    return [(b"Connection", b"Upgrade"), (b"Upgrade", upgrade)]


def _baggage_without(name: bytes, value: bytes, members: frozenset[str]) -> bytes:
    if name.lower() != b"baggage":
        return value
    kept = [
        member
        for member in value.split(b",")
        if unquote(member.partition(b"=")[0].strip().decode("latin-1")) not in members
    ]
    return b",".join(kept).strip()


_BACK: Final = _Crossing(HOP_BY_HOP | {b"content-length", b"sidecar-verdict"}, (b"proxy-",))
_STORED: Final = _Crossing(
    HOP_BY_HOP
    | {
        b"content-length",  # framing is the wire's, anew for each reply
        b"trailer",  # the trailers themselves are not stored
        b"via",
        b"set-cookie",
        b"set-cookie2",
        b"www-authenticate",
        b"authentication-info",
    },
    (b"proxy-", b"sidecar-"),
)


def relayed(headers: Headers, *, switching: bool = False) -> list[tuple[bytes, bytes]]:
    """An answer's end-to-end fields, ``Via`` added; for 101 (``switching``) what was switched to stays."""
    fields = [field for field in headers.raw if _BACK[field[0]]]
    if _names_fields(headers):
        fields = _without_named(fields, headers)
        if switching:
            fields += _upgrade(headers)
    fields.append(VIA)
    return fields


def end_to_end(trailers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """The trailer fields that may cross: no framing, no hop-by-hop (RFC 9110 section 6.5.1)."""
    return [field for field in trailers if _BACK[field[0]]]


def stored(headers: Headers) -> RawHeaders:
    """The fields that are stored and replayed: what describes the answer, not the exchange or the session."""
    fields = [field for field in headers.raw if _STORED[field[0]]]
    if _names_fields(headers):
        fields = _without_named(fields, headers)
    return tuple(fields)
