"""Bracketed form names as nested fields: ``metadata[order_id]=7`` is ``{"metadata": {"order_id": "7"}}``.

The way Rails, PHP and Stripe read them, kept to what they agree on.  ``name[]`` and plain repeats are lists;
groups whose names count up from 0 are lists.  Where one name is both a value and a group, those readers
differ, and so do they on ``items[][a]``: that is a conflict, not a guess.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

DEEPEST: Final = 16
"""Levels of brackets: deeper than any real form, shallow enough for recursion."""

_NAME: Final = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")


class Conflict(Exception):
    """The names of the form contradict each other."""


def nest(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The fields of a form.  Raises Conflict."""
    root: dict[str, Any] = {}
    for name, value in pairs:
        _put(root, name, value)
    return {name: _listed(field) for name, field in root.items()}


class _Many(list[str]):
    """The values of ``name[]``: a list even where there is one."""


def _put(root: dict[str, Any], name: str, value: str) -> None:
    path, kind = _path(name)
    group = root
    for key in path[:-1]:
        group = group.setdefault(key, {})
        if not isinstance(group, dict):
            raise _both(name)
    held = group.setdefault(path[-1], kind())
    if type(held) is not kind:
        raise _both(name)
    held.append(value)


def _path(name: str) -> tuple[list[str], type[list[str]]]:
    match = _NAME.fullmatch(name)
    if match is None or not match[2]:
        return [name], list
    path = [match[1], *match[2][1:-1].split("][")]
    kind: type[list[str]] = _Many if path[-1] == "" else list
    if kind is _Many:
        path.pop()
    if "" in path or len(path) > DEEPEST:
        raise Conflict(f"the form field {name[:80]!r} is nested in a way that servers read differently")
    return path, kind


def _both(name: str) -> Conflict:
    return Conflict(f"the form has {name[:80]!r} both as a value and as a group or list")


def _listed(field: Any) -> Any:
    """A group that counts up from 0 as a list, a single value as itself."""
    if isinstance(field, _Many):
        return list(field)
    if isinstance(field, list):
        return field[0] if len(field) == 1 else field
    members = {name: _listed(member) for name, member in field.items()}
    places = [str(place) for place in range(len(members))]
    if members.keys() == set(places):
        return [members[place] for place in places]
    return members
