"""The schema told to editors and people, and the list of what this version does not do."""

from pathlib import Path
from typing import Any

import pytest

from sidecar.core.document import parse
from sidecar.core.schema.describe import FILES, as_markdown, json_schema
from sidecar.core.schema.unavailable import LATER, Kind, Later, not_yet

PAGE = Path(__file__).parent.parent.parent / "docs" / "configuration.md"


def test_the_reference_page_is_current() -> None:
    assert PAGE.read_text() == as_markdown(), "run: sidecar schema --markdown > docs/configuration.md"


def test_every_field_is_described() -> None:
    for kind in FILES:
        schema = json_schema(kind)
        for node in (schema, *schema.get("$defs", {}).values()):
            for name, inner in node["properties"].items():
                assert inner.get("description") or "$ref" in inner, f"{name} has no description"


@pytest.mark.parametrize("kind", FILES)
def test_unknown_fields_are_refused_by_editors_too(kind: Kind) -> None:
    schema = json_schema(kind)
    assert schema["$schema"].endswith("2020-12/schema")
    for node in (schema, *schema.get("$defs", {}).values()):
        assert node["additionalProperties"] is False


def test_defaults_are_written_as_in_yaml() -> None:
    definitions = json_schema("sidecar")["$defs"]
    assert definitions["Lane"]["properties"]["wait"]["default"] == "10s"
    assert definitions["Lane"]["properties"]["counted"]["default"] is True
    assert definitions["Queue"]["properties"]["total"]["default"] == 10_000


def _yaml(path: list[str], value: Any) -> Any:
    if not path:
        return value
    step, *rest = path
    return (
        [_yaml(rest, value)]
        if step == "*" and rest and rest[0] in ITEMS
        else {"x" if step == "*" else step: _yaml(rest, value)}
    )


ITEMS = {"hold", "idle", "fresh", "observes", "order", "approval", "unknown", "locks"}
"""Fields whose parent is an item of a list."""


@pytest.mark.parametrize("later", LATER, ids=lambda later: f"{later.path}={later.value}")
def test_what_is_not_available_is_refused_wherever_it_stands(later: Later) -> None:
    value = (later.value or "anything").replace("*", "x")
    text = repr(_yaml(later.path.split("."), value)).replace("'", '"')
    document, _ = parse("f.yaml", text.encode(), {})
    assert document is not None
    (problem,) = not_yet(document, later.kind)
    assert problem.message.endswith(f"is not available in this version; {later.instead}")


@pytest.mark.parametrize(
    "later", [later for later in LATER if later.value is not None], ids=lambda later: later.path
)
def test_another_value_of_such_a_field_is_available(later: Later) -> None:
    text = repr(_yaml(later.path.split("."), "something else")).replace("'", '"')
    document, _ = parse("f.yaml", text.encode(), {})
    assert document is not None
    assert list(not_yet(document, later.kind)) == []
