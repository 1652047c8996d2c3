from typing import Any

import pytest

from sidecar.core.nest import Conflict, nest


@pytest.mark.parametrize(
    ("pairs", "fields"),
    [
        ([("a", "1")], {"a": "1"}),
        ([("a", "1"), ("a", "2")], {"a": ["1", "2"]}),
        ([("a[]", "1")], {"a": ["1"]}),
        ([("metadata[order_id]", "7")], {"metadata": {"order_id": "7"}}),
        ([("a[b][c]", "1"), ("a[b][d]", "2")], {"a": {"b": {"c": "1", "d": "2"}}}),
        ([("items[1][id]", "b"), ("items[0][id]", "a")], {"items": [{"id": "a"}, {"id": "b"}]}),
        ([("items[1][id]", "b")], {"items": {"1": {"id": "b"}}}),
        ([("a[b", "1"), ("]", "2")], {"a[b": "1", "]": "2"}),
        ([("a[b][]", "1"), ("a[b][]", "2")], {"a": {"b": ["1", "2"]}}),
    ],
)
def test_brackets_nest(pairs: list[tuple[str, str]], fields: dict[str, Any]) -> None:
    assert nest(pairs) == fields


@pytest.mark.parametrize(
    "names",
    [
        ["a", "a[b]"],
        ["a[b]", "a"],
        ["a", "a[]"],
        ["a[]", "a[b]"],
        ["a[][b]"],
        ["a" + "[b]" * 20],
        ["a[b]", "a[b][c]"],
    ],
)
def test_names_that_servers_read_differently_are_a_conflict(names: list[str]) -> None:
    with pytest.raises(Conflict):
        nest([(name, "1") for name in names])
