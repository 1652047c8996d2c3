"""The difference of two JSON documents as a JSON Patch (RFC 6902)."""

from collections.abc import Iterator
from typing import Any

from sidecar.inject.shape import Json


def patch(before: Any, after: Any, path: str = "") -> Iterator[Json]:
    """The operations that make ``after`` of ``before``, in their order; none where they are equal."""
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _of_objects(before, after, path)
    elif isinstance(before, list) and isinstance(after, list) and before and len(before) <= len(after):
        yield from _of_lists(before, after, path)
    elif not _same(before, after):
        yield {"op": "replace", "path": path, "value": after}


def _of_objects(before: Json, after: Json, path: str) -> Iterator[Json]:
    for key in before.keys() - after.keys():
        yield {"op": "remove", "path": f"{path}/{_escaped(key)}"}
    for key, value in after.items():
        inner = f"{path}/{_escaped(key)}"
        if key in before:
            yield from patch(before[key], value, inner)
        else:
            yield {"op": "add", "path": inner, "value": value}


def _of_lists(before: list[Any], after: list[Any], path: str) -> Iterator[Json]:
    """What is new stands in front where the last ones have one name, as containers are added; else behind."""
    new = len(after) - len(before)
    front = new if _name(before[-1]) == _name(after[-1]) else 0
    for index in range(front):
        yield {"op": "add", "path": f"{path}/{index}", "value": after[index]}
    for index, value in enumerate(before, front):
        yield from patch(value, after[index], f"{path}/{index}")
    for index in range(len(before) + front, len(after)):
        yield {"op": "add", "path": f"{path}/-", "value": after[index]}


def _name(item: Any) -> Any:
    return item.get("name") if isinstance(item, dict) else item


def _same(one: Any, other: Any) -> bool:
    """As JSON sees it, where ``true`` is no number."""
    return type(one) is type(other) and bool(one == other)


def _escaped(key: str) -> str:
    """RFC 6901 section 3."""
    return key.replace("~", "~0").replace("/", "~1")
