"""JSON of unknown shape, read a step at a time: what is not as the API says is told by its path."""

from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]


class Malformed(ValueError):
    """What came is no AdmissionReview, or holds no pod; the text says where."""


def mapping(owner: Json, key: str, where: str = "") -> Json:
    """The mapping at ``key``, empty where there is none.  Raises Malformed."""
    value = owner.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed(f"{_at(where, key)} must be an object")
    return value


def listed(owner: Json, key: str, where: str = "") -> list[Json]:
    """The objects with a name at ``key``, none where there is nothing.  Raises Malformed."""
    value = owner.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(
        isinstance(item, dict) and isinstance(item.get("name"), str) for item in value
    ):
        raise Malformed(f"{_at(where, key)} must be a list of objects with a name")
    return value


def texts(owner: Json, key: str, where: str = "") -> dict[str, str]:
    """The mapping of text to text at ``key``.  Raises Malformed."""
    value = mapping(owner, key, where)
    if not all(isinstance(text, str) for text in value.values()):
        raise Malformed(f"{_at(where, key)} must have text as values")
    return value


def words(owner: Json, key: str, where: str = "") -> list[str]:
    """The list of text at ``key``.  Raises Malformed."""
    value = owner.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Malformed(f"{_at(where, key)} must be a list of text")
    return value


def put(items: list[Json], item: Json) -> list[Json]:
    """``items`` with ``item`` as the only one of its name: where the first of that name stood, else last."""
    at = next((index for index, each in enumerate(items) if each["name"] == item["name"]), len(items))
    before = [each for each in items[:at] if each["name"] != item["name"]]
    return [*before, item, *(each for each in items[at:] if each["name"] != item["name"])]


def _at(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
