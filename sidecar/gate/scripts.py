"""The Lua beside its one caller: found, its includes put in, its contract read from its header.

``--- @include "name"`` puts ``name.lua`` in place, once and in order.  The header comment of a script says which
``ARGV`` it takes and which words it may return; a test holds both the Lua and its callers to it.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_INCLUDE = re.compile(r'^ *--- @include "(\w+)"\n', re.MULTILINE)
_ARGUMENT = re.compile(r"^  ARGV\[(\d+)(\.\.)?\]\s+(\w+)", re.MULTILINE)
_WORD = re.compile(r"^    ([a-z]+)\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """One transition, ready to be called by its hash."""

    name: str
    source: bytes
    sha: bytes
    """As EVALSHA wants it."""
    arguments: tuple[str, ...]
    """Names of ARGV, in order; the last one repeats where ``variadic``."""
    variadic: bool
    words: frozenset[str]
    """Every word it may answer with."""


def text_of(name: str) -> str:
    """One Lua file as it is written."""
    return (files("sidecar.gate") / "lua" / f"{name}.lua").read_text()


@cache
def script(name: str) -> Script:
    """Load one script.  Raises FileNotFoundError for an include that is not there."""
    source = text_of(name)
    header = source[: source.index("]]")]
    arguments = _ARGUMENT.findall(header)
    returns = header[header.index("  Returns ") :]
    body = _assemble(source, set()).encode()
    return Script(
        name=name,
        source=body,
        sha=hashlib.sha1(body, usedforsecurity=False).hexdigest().encode(),
        arguments=tuple(argument for _, _, argument in arguments),
        variadic=arguments[-1][1] == "..",
        words=frozenset(_WORD.findall(returns)),
    )


def _assemble(source: str, seen: set[str]) -> str:
    def include(match: re.Match[str]) -> str:
        name = match[1]
        if name in seen:
            return ""
        seen.add(name)
        return _assemble(text_of(name), seen)

    return _INCLUDE.sub(include, re.sub(r"^--\[\[.*?\]\]\n", "", source, flags=re.DOTALL))
