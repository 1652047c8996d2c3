"""Who makes a call: from the proxy's user name, headers, W3C baggage, a trace, or pinned by config.

The first source that says something decides; else the default.  A pin beats them all, and so does the entry
of a configured user: whoever proved a token cannot claim another tenant in a header.  Where no users are
configured any user name is taken as it is and the password ignored: identity then tells tenants apart, it
proves nothing.

Values end up in keys, metrics and logs, so they are short and printable, or the call is refused.
"""

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from typing import Final, Self, TypeAlias
from urllib.parse import unquote

from sidecar.core.call import Call, Headers, Identity
from sidecar.core.refusal import Refusal

LONGEST: Final = 128
"""Characters of an identity value: a UUID, a URL path or a Temporal workflow id fit."""

KNOWN_LIMIT: Final = 4096
"""Callers remembered by what they said; past it all are forgotten, so that inventing names fills no memory.
"""

Read: TypeAlias = Callable[[Call, str], str]
"""A source: the call and its proxy user to a value; empty where it says nothing."""

_GOOD: Final = re.compile(rf"[\x21-\x7e](?:[\x20-\x7e]{{0,{LONGEST - 2}}}[\x21-\x7e])?").fullmatch
_TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?").fullmatch
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_NOT_OURS: Final = frozenset(
    {"authorization", "cookie", "host", "user-agent", "traceparent", "tracestate", "baggage"}
)
"""Headers that upstreams need even where identity is read from them."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value may come from."""

    text: str
    read: Read
    header: str = ""
    """The header it owns, in lower case: ours, so it never leaves."""
    baggage: str = ""
    """The baggage member it owns."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """``proxy-user``, ``header:NAME``, ``baggage:KEY``, ``traceparent``.  Raises ValueError."""
        kind, colon, name = text.partition(":")
        if text == "proxy-user":
            return cls(text, lambda _call, user: user)
        if text == "traceparent":
            return cls(text, _trace_id)
        if kind in ("header", "baggage") and not (colon and _TOKEN(name)):
            raise ValueError(
                f"'{text}' needs a name, like {kind}:{'X-Agent-Run' if kind == 'header' else 'run'}"
            )
        if kind == "header":
            key = name.lower()
            return cls(text, _header_reader(key), header="" if key in _NOT_OURS else key)
        if kind == "baggage":
            return cls(text, lambda call, _user: _baggage(call.headers, name), baggage=name)
        raise ValueError(
            f"unknown source '{text}'; it is proxy-user, traceparent, header:NAME or baggage:KEY",
        )

    def __reduce__(self) -> tuple[Callable[[str], "Source"], tuple[str]]:
        return Source.parse, (self.text,)  # a function does not travel, the text that it is made of does


@dataclass(frozen=True, slots=True)
class Rule:
    """How one part of the identity is found."""

    sources: tuple[Source, ...] = ()
    default: str = ""
    pin: str | None = None


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may use the proxy, and for whom."""

    name: str
    token_sha256: bytes
    """Digest of the token, 32 bytes."""
    tenant: str


@dataclass(frozen=True, slots=True)
class Strip:
    """Header fields and baggage members that are the sidecar's own."""

    headers: frozenset[bytes] = frozenset()
    baggage: frozenset[str] = frozenset()


def _header_reader(name: str) -> Read:
    key = name.encode("ascii")
    return lambda call, _user: call.headers.text(key) or ""


def _trace_id(call: Call, _user: str) -> str:
    """The trace id of a W3C ``traceparent`` (Trace Context section 3.2); all zeros mean none."""
    match = _TRACEPARENT(call.headers.get(b"traceparent") or b"")
    return match[1].decode("ascii") if match and match[1].strip(b"0") else ""


def _baggage(headers: Headers, name: str) -> str:
    """A member of W3C ``baggage``, percent-decoded; the first of that name."""
    for value in headers.all(b"baggage"):
        for member in value.decode("latin-1").split(","):
            key, _, rest = member.partition("=")
            if key.strip() == name:
                return unquote(rest.partition(";")[0].strip())
    return ""


def _credentials(headers: Headers) -> tuple[str, str]:
    """User name and password of ``Proxy-Authorization: Basic`` (RFC 7617); empty where there are none."""
    scheme, _, encoded = (headers.get(b"proxy-authorization") or b"").partition(b" ")
    if scheme.lower() != b"basic":
        return "", ""
    try:
        name, _, token = b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return name, token


_NOBODY: Final = User("", b"\0" * 32, "")
"""Whom an unknown name is compared with, so that names cannot be told by the time it takes."""


def _bad(part: str, source: Source, what: str) -> Refusal:
    return Refusal(
        "bad-request",
        f"The call's {part}, read from {source.text}, {what}. Nothing was sent. Correct it and send again.",
    )


def _rule(default: str, *sources: str) -> Rule:
    return Rule(tuple(map(Source.parse, sources)), default)


TENANT: Final = _rule("default", "proxy-user", "header:X-Agent-Tenant", "baggage:tenant")
WORKFLOW: Final = _rule("default", "header:X-Agent-Workflow")
RUN: Final = _rule("", "header:X-Agent-Run", "traceparent")
PRIORITY: Final = _rule("interactive", "header:X-Agent-Priority")
"""What config says of each part where it says nothing."""


@dataclass(frozen=True, slots=True)
class Identities:
    """The ``identity`` and ``users`` of a configuration, compiled."""

    tenant: Rule = TENANT
    workflow: Rule = WORKFLOW
    run: Rule = RUN
    priority: Rule = PRIORITY
    users: Mapping[str, User] = field(default_factory=dict)
    priorities: frozenset[str] = frozenset({"interactive", "background"})
    """Names that a caller may give; the default and a pin are config's own business."""
    strip: Strip = field(init=False)
    """What of all this never leaves."""
    _reads: tuple[bytes, ...] = field(init=False)
    """Every header that identity depends on, ``baggage`` apart."""
    _known: dict[tuple[str | bytes | None, ...], Identity] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        sources = [source for rule in self._rules() for source in rule.sources]
        strip = Strip(
            frozenset(source.header.encode("ascii") for source in sources if source.header),
            frozenset(source.baggage for source in sources if source.baggage),
        )
        object.__setattr__(self, "strip", strip)
        reads = {
            source.text[7:].lower().encode("ascii") for source in sources if source.text.startswith("header:")
        }
        object.__setattr__(self, "_reads", (*sorted(reads), b"proxy-authorization", b"traceparent"))
        object.__setattr__(self, "_known", {})

    def _rules(self) -> tuple[Rule, ...]:
        return self.tenant, self.workflow, self.run, self.priority

    def identify(self, call: Call) -> Identity:
        """Who makes ``call``.  Raises Refusal ``proxy-auth-required`` or ``bad-request``."""
        headers = call.headers
        if b"baggage" in headers:  # several fields may carry it
            return self._work_out(call)
        said = (call.peer_user, *[headers.first.get(name) for name in self._reads])
        known = self._known.get(said)
        if known is None:
            if len(self._known) >= KNOWN_LIMIT:
                self._known.clear()
            known = self._known[said] = self._work_out(call)
        return known

    def _work_out(self, call: Call) -> Identity:
        name, tenant = self._proxy_user(call)
        return Identity(
            tenant=tenant or self._value("tenant", self.tenant, call, name),
            workflow=self._value("workflow", self.workflow, call, name),
            run=self._value("run", self.run, call, name),
            priority=self._priority(call, name),
        )

    def _proxy_user(self, call: Call) -> tuple[str, str]:
        """The user's name, and the tenant that his entry (or a pin) settles."""
        name, token = _credentials(call.headers)
        if not self.users:
            return call.peer_user or name, self.tenant.pin or ""
        if call.peer_user is not None:
            user = self.users.get(call.peer_user)
        else:
            user = self.users.get(name, _NOBODY)
            if not compare_digest(sha256(token.encode()).digest(), user.token_sha256):
                user = None
        if user is None:
            raise Refusal(
                "proxy-auth-required",
                "This sidecar serves known users only, and the call's proxy credentials are missing or "
                "wrong. Nothing was sent. Set the proxy address to http://NAME:TOKEN@HOST:PORT with the "
                "name and token you were given (reverse-form calls send them in a Proxy-Authorization: "
                "Basic field).",
            )
        return user.name, self.tenant.pin or user.tenant

    def _value(self, part: str, rule: Rule, call: Call, user: str) -> str:
        if rule.pin is not None:
            return rule.pin
        for source in rule.sources:
            if value := source.read(call, user):
                if not _GOOD(value):
                    raise _bad(part, source, f"must be 1 to {LONGEST} printable ASCII characters")
                return value
        return rule.default

    def _priority(self, call: Call, user: str) -> str:
        value = self._value("priority", self.priority, call, user)
        if value in self.priorities or value in (self.priority.pin, self.priority.default):
            return value
        raise Refusal(
            "bad-request",
            "The call's priority is unknown here; use "
            "one of "
            f"{', '.join(sorted(self.priorities))}, or "
            "leave it out.",
        )
