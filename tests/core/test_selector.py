from typing import Any

import pytest

from sidecar.core.selector import Missing, compile_selector

RECORDS = {
    "inputs": [{"id": 1, "kind": "deal"}, {"id": 2, "kind": "note"}, {"kind": "note"}],
    "a": {"b": {"c": 5}},
}


@pytest.mark.parametrize(
    ("selector", "value"),
    [
        ("a.b.c", 5),
        ('a."b".c', 5),
        ("a", {"b": {"c": 5}}),
        ("inputs[0].id", 1),
        ("inputs[?kind=='deal'].id", [1]),
        ("inputs[*].kind", ["deal", "note", "note"]),
        ("length(inputs)", 3),
        ("inputs[0] | id", 1),
        ("a.*.c", [5]),
    ],
)
def test_a_selector_finds_what_it_names(selector: str, value: Any) -> None:
    assert compile_selector(selector)(RECORDS) == value


@pytest.mark.parametrize(
    "selector",
    [
        "x",
        "a.x.c",
        "a.b.c.d",
        "inputs[*].id",
        "inputs[?kind=='note'].id",
        "inputs[9]",
        "inputs.id",
        "sum(a)",
        "*.b",
    ],
)
def test_what_is_not_there_for_every_element_is_missing(selector: str) -> None:
    with pytest.raises(Missing):
        compile_selector(selector)(RECORDS)


@pytest.mark.parametrize("fields", [None, 5, "text", [], {"a": None}, {"a": {"b": []}}])
def test_fields_of_any_shape_never_break_a_selector(fields: Any) -> None:
    for selector in ("a.b.c", "a[*].b", "abs(a)", "a | b[0]"):
        with pytest.raises(Missing):
            compile_selector(selector)(fields)


@pytest.mark.parametrize(
    ("selector", "complaint"),
    [
        ("a.", "not a JMESPath"),
        ("a[", "not a JMESPath"),
        ("nope(a)", "nope"),
        ("length(a, b)", "length"),
        ("a" * 2000, "at most"),
    ],
)
def test_a_bad_selector_says_so(selector: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        compile_selector(selector)
