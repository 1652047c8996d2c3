"""What the schema knows and this version does not do yet: refused, since doing less than was written is no kindness.

A feature that arrives takes its lines out of ``LATER``; nothing else changes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from sidecar.core.document import Document, Node, Path
from sidecar.core.problems import Problem

Kind = Literal["sidecar", "routes", "states"]


@dataclass(frozen=True, slots=True)
class Later:
    """One field, or one value of it, that comes with a later version."""

    kind: Kind
    path: str
    """Keys with dots between; ``*`` stands for any key or item."""
    instead: str
    """What to do today."""
    value: str | None = None
    """Only this value; None: the field in any form.  A prefix where it ends in ``*``."""


LATER: Final = (
    Later("sidecar", "store.url", "name one server, redis://HOST:PORT", "redis+*"),
    Later("sidecar", "store.url", "name one server, rediss://HOST:PORT", "rediss+*"),
)


def not_yet(document: Document, kind: Kind) -> Iterator[Problem]:
    """A problem for everything in ``document`` that this version would not do."""
    for later in LATER:
        if later.kind == kind:
            for path in _places(document.root, tuple(later.path.split(".")), ()):
                if _meant(later, document.node(path).value):
                    named = (
                        path[-1] if later.value is None else f"{path[-1]}: {later.value.replace('*', '...')}"
                    )
                    message = f"'{named}' is not available in this version; {later.instead}"
                    yield Problem(document.file, *document.key_mark(path), message)


def _meant(later: Later, value: object) -> bool:
    if later.value is None:
        return value is not None
    if not isinstance(value, str):
        return False
    return value.startswith(later.value[:-1]) if later.value.endswith("*") else value == later.value


def _places(node: Node, pattern: tuple[str, ...], before: Path) -> Iterator[Path]:
    if not pattern:
        yield before
    elif isinstance(node.value, dict):
        for key, entry in node.value.items():
            if pattern[0] in ("*", key):
                yield from _places(entry, pattern[1:], (*before, key))
    elif isinstance(node.value, list) and pattern[0] == "*":
        for index, entry in enumerate(node.value):
            yield from _places(entry, pattern[1:], (*before, index))
