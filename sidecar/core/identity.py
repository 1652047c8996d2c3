"""Who makes a call: from the proxy's user name, headers, W3C baggage, a trace, or pinned by config.

The first source that says something decides; else the default.  A pin beats them all, and so does the entry of a
configured user: whoever proved a token cannot claim another tenant in a header.  Where no users are configured any
user name is taken as it is and the password ignored: identity then tells tenants apart, it proves nothing.

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

Read: TypeAlias = Callable[[Call, str], str]
"""A source: the call and its proxy user to a value; empty where it says nothing."""

_GOOD: Final = re.compile(rf"[\x21-\x7e](?:[\x20-\x7e]{{0,{LONGEST - 2}}}[\x21-\x7e])?").fullmatch
_TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?").fullmatch
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_NOT_OURS: Final = frozenset({"authorization", "cookie", "host", "user-agent", "traceparent", "tracestate", "baggage"})
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
            raise ValueError(f"'{text}' needs a name, like {kind}:{'X-Agent-Run' if kind == 'header' else 'run'}")
        if kind == "header":
            key = name.lower()
            return cls(text, _header_reader(key), header="" if key in _NOT_OURS else key)
        if kind == "baggage":
            return cls(text, lambda call, _user: _baggage(call.headers, name), baggage=name)
        raise ValueError(
            f"unknown source '{text}'; it is proxy-user, traceparent, header:NAME or baggage:KEY",
        )


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


def _rule(default: str, *sources: str) -> Rule:
    return Rule(tuple(map(Source.parse, sources)), default)


@dataclass(frozen=True, slots=True)
class Identities:
    """The ``identity`` and ``users`` of a configuration, compiled."""

    tenant: Rule = _rule("default", "proxy-user", "header:X-Agent-Tenant", "baggage:tenant")
    workflow: Rule = _rule("default", "header:X-Agent-Workflow")
    run: Rule = _rule("", "header:X-Agent-Run", "traceparent")
    priority: Rule = _rule("interactive", "header:X-Agent-Priority")
    users: Mapping[str, User] = field(default_factory=dict)
    priorities: frozenset[str] = frozenset({"interactive", "background"})
    """Names that a caller may give; the default and a pin are config's own business."""
    strip: "Strip" = field(init=False)
    """What of all this never leaves."""

    def __post_init__(self) -> None:
        sources = [source for rule in self._rules() for source in rule.sources]
        strip = Strip(
            frozenset(source.header.encode("ascii") for source in sources if source.header),
            frozenset(source.baggage for source in sources if source.baggage),
        )
        object.__setattr__(self, "strip", strip)

    def _rules(self) -> tuple[Rule, ...]:
        return self.tenant, self.workflow, self.run, self.priority

    def identify(self, call: Call) -> Identity:
        """Who makes ``call``.  Raises Refusal ``proxy-auth-required`` or ``bad-request``."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Strip:
    """Header fields and baggage members that are the sidecar's own."""

    headers: frozenset[bytes] = frozenset()
    baggage: frozenset[str] = frozenset()
