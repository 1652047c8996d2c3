"""Which hosts and paths a route means, and the one spelling under which paths are compared.

An agent must not choose its route by spelling.  So a path is brought to a canonical form *for matching*:
escapes of characters that may stand in a segment as they are get decoded (RFC 3986 section 6.2.2, and ``:``
``@`` and the sub- delimiters, since servers decode those too), dot segments are resolved, empty segments and
a trailing slash dropped. ``%2F`` stays an escape, so it never splits a segment.  What is sent upstream is the
path as it came.

Where upstreams would disagree about what a path means (an escape that is none, a control character, a
backslash, a dot segment hidden behind ``%2F``, a climb above the root, bytes that are no UTF-8), there is no
canonical form and the call is refused: ``bad-request``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import unquote

from sidecar.core.refusal import Refusal

_ESCAPE: Final = re.compile(r"%(..?|$)", re.DOTALL)
_PLAIN: Final = re.compile(r"(?:/[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9._~!$&'()*+,;=:@-]*)+").fullmatch
"""A path that is its own canonical form, as nearly all are: no escape, no empty segment, none that begins
with a dot."""
_CHARACTERS: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*").fullmatch
_PCHAR: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@")
_HOST: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*").fullmatch
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*").fullmatch


def canonical_path(path: str) -> str:
    """The spelling of ``path`` under which it is matched and keyed; begins with a slash, ends without one.

    Raises Refusal ``bad-request`` where it has none.
    """
    return path if _PLAIN(path) else _respelled(path)


def _respelled(path: str) -> str:
    if path == "*":  # OPTIONS * (RFC 9110 section 9.3.7)
        return path
    if not path.startswith("/") or not _CHARACTERS(path):
        raise _ambiguous("has a character that must be percent-encoded")
    segments: list[str] = []
    for segment in _ESCAPE.sub(_unescaped, path).split("/"):
        if segment == "..":
            if not segments:
                raise _ambiguous("climbs above the root")
            segments.pop()
        elif segment not in ("", "."):
            _check_hidden(segment)
            segments.append(segment)
    return "/" + "/".join(segments)


def _unescaped(match: re.Match[str]) -> str:
    digits = match[1]
    try:
        code = int(digits, 16) if len(digits) == 2 and digits.isalnum() else -1
    except ValueError:
        code = -1
    if code < 0:
        raise _ambiguous("has a percent sign that begins no escape")
    if code < 0x20 or code == 0x7F or code == 0x5C:
        raise _ambiguous("has an escaped control character or backslash")
    character = chr(code)
    return character if character in _PCHAR else f"%{digits.upper()}"


def _check_hidden(segment: str) -> None:
    if "%" not in segment:
        return
    try:
        text = unquote(segment, errors="strict")
    except UnicodeDecodeError:
        raise _ambiguous("is not UTF-8 once its escapes are decoded") from None
    if "/" in text and not {".", ".."}.isdisjoint(text.split("/")):
        raise _ambiguous("hides a dot segment behind an escaped slash")


def _ambiguous(what: str) -> Refusal:
    return Refusal(
        "bad-request",
        f"The path of this call {what}, so servers may disagree about which resource it names and no route "
        "can be chosen safely. Nothing was sent. Send the path in its plain form.",
    )


@dataclass(frozen=True, slots=True)
class HostPattern:
    """``api.example.com``, ``*.example.com`` (any depth below, not itself), either with ``:port``."""

    name: str
    """Lower case, without the star."""
    wildcard: bool = False
    port: int | None = None
    """None: every port."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError that says what is wrong."""
        host, colon, digits = text.partition(":")
        if colon and not (digits.isascii() and digits.isdigit() and 0 < int(digits) < 65536):
            raise ValueError(
                f"'{digits}' is not a port in host '{text}'; write host or host:port, without a scheme"
            )
        wildcard = host.startswith("*.")
        name = host.removeprefix("*.").rstrip(".").lower()
        if not name.isascii():
            name = _to_ascii(name)
        if not _HOST(name) or len(name) > 253:
            raise ValueError(f"'{text}' is not a host; write api.example.com or *.example.com")
        return cls(name, wildcard, int(digits) if colon else None)

    def __str__(self) -> str:
        return ("*." if self.wildcard else "") + self.name + ("" if self.port is None else f":{self.port}")


def _to_ascii(name: str) -> str:
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ValueError(f"'{name}' is not a host name: {error}") from None


@dataclass(frozen=True, slots=True)
class PathPattern:
    """``/deals/{id}``, ``/files/{rest...}``: literal segments, one-segment parameters, and perhaps a tail.

    A tail takes every segment that is left, also none.
    """

    text: str
    literals: tuple[tuple[int, str], ...]
    """Place and canonical spelling of each literal segment."""
    parameters: tuple[tuple[str, int], ...]
    """Name and place of each one-segment parameter."""
    length: int
    """Segments before the tail."""
    tail: str | None = None
    """Name of the tail parameter; empty for a tail without a name."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError that says what is wrong."""
        if not text.startswith("/"):
            raise ValueError(f"path '{text}' must begin with a slash")
        segments = [segment for segment in text.split("/") if segment]
        literals, parameters, tail = [], [], None
        for place, segment in enumerate(segments):
            name = _parameter(segment, text)
            if name is None:
                literals.append((place, _literal(segment, text)))
            elif not name.endswith("..."):
                parameters.append((name, place))
            elif place < len(segments) - 1:
                raise ValueError(f"'{{{name}}}' must be the last segment of path '{text}'")
            else:
                tail = name[:-3]
        names = [*(name for name, _ in parameters), *([tail] if tail is not None else [])]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"path '{text}' uses the parameter '{min(repeated)}' twice")
        length = len(segments) - (tail is not None)
        return cls(text, tuple(literals), tuple(parameters), length, tail)

    @property
    def names(self) -> frozenset[str]:
        """The parameters a template may read."""
        return frozenset(name for name, _ in self.parameters) | ({self.tail} if self.tail else frozenset())

    def match(self, segments: list[str]) -> bool:
        """Whether it takes a canonical path, split at its slashes (without the empty first piece)."""
        count = len(segments)
        if count != self.length if self.tail is None else count < self.length:
            return False
        return all(segments[place] == literal for place, literal in self.literals)

    def values(self, segments: list[str]) -> Mapping[str, str]:
        """Parameter values of a path that it takes, percent-decoded."""
        found = {name: _decoded(segments[place]) for name, place in self.parameters}
        if self.tail:
            found[self.tail] = "/".join(segments[self.length :])  # still escaped: %2F differs from a slash
        return found

    def covers(self, other: "PathPattern") -> bool:
        """Whether every path that ``other`` takes is taken by this one too."""
        if self.tail is None and (other.tail is not None or self.length != other.length):
            return False
        if self.length > other.length:
            return False
        theirs = dict(other.literals)
        return all(theirs.get(place) == literal for place, literal in self.literals)


def _parameter(segment: str, text: str) -> str | None:
    """The name inside ``{name}`` (dots of a tail included), or None for a literal segment."""
    if not (segment.startswith("{") and segment.endswith("}")):
        if "{" in segment or "}" in segment:
            raise ValueError(
                f"'{segment}' in path '{text}': a parameter must be a whole segment, like /{{id}}/"
            )
        return None
    name = segment[1:-1]
    if not _NAME(name.removesuffix("...")):
        raise ValueError(f"'{segment}' in path '{text}' is no parameter; write {{name}} or {{name...}}")
    return name


def _literal(segment: str, text: str) -> str:
    if segment.lower().replace("%2e", ".") in (".", ".."):
        raise ValueError(f"path '{text}' has a dot segment, which no call's path keeps")
    try:
        return canonical_path(f"/{segment}")[1:]
    except Refusal:
        raise ValueError(
            f"'{segment}' in path '{text}' cannot be matched; percent-encode it as a client would, without control "
            "characters or backslashes"
        ) from None


def _decoded(segment: str) -> str:
    return unquote(segment, errors="strict") if "%" in segment else segment


EVERYTHING: Final = PathPattern("/{...}", (), (), 0, "")
