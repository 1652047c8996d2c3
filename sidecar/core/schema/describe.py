"""The schema told to editors (JSON Schema) and to people (the reference page), both from the models themselves."""

from collections.abc import Collection, Iterator
from typing import Any, Final

import orjson

from sidecar.core.schema.fields import Fields
from sidecar.core.schema.process import SidecarFile
from sidecar.core.schema.states import StatesFile
from sidecar.core.schema.tool import ToolFile
from sidecar.core.schema.unavailable import LATER, Kind

Schema = dict[str, Any]

FILES: Final[dict[Kind, tuple[str, type[Fields]]]] = {
    "sidecar": ("sidecar.yaml", SidecarFile),
    "routes": ("routes/*.yaml", ToolFile),
    "states": ("states/*.yaml", StatesFile),
}
"""Each kind of file and its root."""

_INTRODUCTION: Final = """# Configuration

<!-- Made by `sidecar schema --markdown`; change the descriptions in `sidecar/core/schema/`. -->

A folder: `sidecar.yaml` (this process, the fleet's caps, identity), `routes/*.yaml` (one tool each) and, where the
order of calls matters, `states/*.yaml` (one kind of entity each).
Without `sidecar.yaml` every setting has its default; without route files every call passes ungated.
`sidecar check DIR` tells everything that is wrong, each with its file, line and column. `sidecar run` refuses
a folder with a problem; a running sidecar keeps the last good one. What `listen` and `store` say is read once:
a change needs a restart.

- Nothing is guessed from looks. `on`, `no`, `012` and `1:30` are text where text is wanted, and a mistake
  where a number is.
- A duration is a number and `ms`, `s`, `m`, `h` or `d`; a size is a number and `B`, `KiB`, `MiB` or `GiB`.
- `${VAR}` and `${VAR:-default}` stand for environment variables, in values only; `$${` is a plain `${`.
  What came from the environment is never shown in a message.
- Some variables are written over `sidecar.yaml`, for what differs between sidecars that share it: `SIDECAR_TENANT` and
  `SIDECAR_WORKFLOW` (`identity.*.pin`: nothing that a call says changes them), `SIDECAR_LISTEN_PROXY`,
  `SIDECAR_LISTEN_ADMIN`, `SIDECAR_LISTEN_TRANSPARENT`, `SIDECAR_STORE_STATE`, `SIDECAR_TLS_SHARE`, `SIDECAR_LOG_LEVEL`,
  `SIDECAR_DRAIN`. They belong to the sidecar's environment, not the agent's.
- An empty value, a key written twice, a tag (`!x`), a merge key (`<<`) and an unknown field are mistakes.
- A template is text with `{source.selector|filter}` in it. Sources: `path query header body form tenant
  workflow run method host`; a body selector is JMESPath over JSON, form or multipart fields; filters: `lower
  trim digits hash`. A list of values gives several locks. `{{` and `}}` are plain braces.
- Editors that use the YAML language server know the fields with `sidecar schema --out DIR` and a first line
  `# yaml-language-server: $schema=DIR/routes.schema.json`.
"""


def json_schema(kind: Kind) -> Schema:
    """JSON Schema 2020-12 of one kind of file, as YAML editors read it."""
    _, model = FILES[kind]
    tidy: Schema = _tidy(model.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **tidy}


def _tidy(node: Any) -> Any:
    """Without what pydantic adds for Python: titles, nulls that mean "left out", and empty defaults."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidy = {
        key: _tidy(value) for key, value in node.items() if not (key == "title" and isinstance(value, str))
    }
    if isinstance(choices := tidy.get("anyOf"), list) and {"type": "null"} in choices:
        kept = [choice for choice in choices if choice != {"type": "null"}]
        tidy = {key: value for key, value in tidy.items() if key != "anyOf"} | (
            kept[0] if len(kept) == 1 else {"anyOf": kept}
        )
    for entries in tidy.pop("patternProperties", {}).values():
        tidy["additionalProperties"] = entries
    if tidy.get("default", 0) in (None, {}, []):
        del tidy["default"]
    if tidy.get("type") in ("integer", "boolean") and "default" in tidy:
        tidy["default"] = orjson.loads(tidy["default"])  # numbers and booleans look alike in YAML and JSON
    return tidy


def as_markdown() -> str:
    """The reference page: every field with its type, its default and its meaning."""
    pieces = [_INTRODUCTION]
    for kind, (file, _) in FILES.items():
        schema = json_schema(kind)
        pieces.append(f"## `{file}`\n\n{schema['description'].partition(': ')[2].capitalize()}\n")
        later = {entry.path for entry in LATER if entry.kind == kind and entry.value is None}
        pieces.append(_table(schema, schema, "", later))
        for name, paths in _places(schema).items():
            inner = schema["$defs"][name]
            heading = ", ".join(f"`{path}`" for path in paths)
            pieces.append(f"### {heading}\n\n{inner.get('description', '')}\n")
            pieces.append(_table(inner, schema, f"{paths[0]}.", later))
    pieces.append(
        "## Not available in this version\n\nThe schema knows these; `check` and `run` refuse them.\n"
    )
    pieces.append("| file | field | instead |\n| --- | --- | --- |\n" + "".join(_later()))
    return "\n".join(pieces)


def _later() -> Iterator[str]:
    for later in LATER:
        value = "" if later.value is None else f": {later.value.replace('*', '...')}"
        yield f"| `{FILES[later.kind][0]}` | `{later.path}{value}` | {later.instead} |\n"


def _places(schema: Schema) -> dict[str, list[str]]:
    """Each inner model and where it stands, in reading order."""
    found: dict[str, list[str]] = {}

    def walk(node: Schema, before: str) -> None:
        for field, inner in node.get("properties", {}).items():
            for name, below in _references(inner, f"{before}{field}"):
                found.setdefault(name, []).append(below)
                walk(schema["$defs"][name], f"{below}.")

    walk(schema, "")
    return found


def _references(node: Schema, path: str) -> Iterator[tuple[str, str]]:
    if "$ref" in node:
        yield node["$ref"].rpartition("/")[2], path
    for choice in node.get("anyOf", []):
        yield from _references(choice, path)
    if isinstance(node.get("items"), dict):
        yield from _references(node["items"], f"{path}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield from _references(node["additionalProperties"], f"{path}.NAME")


def _table(node: Schema, root: Schema, before: str, later: Collection[str]) -> str:
    rows = ["| field | type | default | meaning |", "| --- | --- | --- | --- |"]
    for name, inner in node.get("properties", {}).items():
        default = "needed" if name in node.get("required", []) else _default(inner)
        meaning = inner.get("description") or root["$defs"][inner["$ref"].rpartition("/")[2]]["description"]
        if _general(f"{before}{name}") in later:
            meaning += " *Not in this version.*"
        cells = (f"`{name}`", _type(inner, root), default, meaning)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _general(path: str) -> str:
    """``routes[].locks[].idle`` and ``lanes.read.min`` as ``LATER`` spells them."""
    general = path.replace("[]", ".*").replace(".NAME", ".*").split(".")
    return ".".join(
        ["*" if general[0] == "lanes" and place == 1 else step for place, step in enumerate(general)]
    )


def _default(node: Schema) -> str:
    value = node.get("default")
    if isinstance(value, list):
        value = f"[{', '.join(map(str, value))}]"
    elif isinstance(value, dict):
        value = "{" + ", ".join(f"{key}: {entry}" for key, entry in value.items()) + "}"
    elif isinstance(value, bool):
        value = str(value).lower()
    return "" if value is None else f"`{value}`"


def _type(node: Schema, root: Schema) -> str:
    if "$ref" in node:
        return "mapping"
    if "anyOf" in node:
        return " or ".join(dict.fromkeys(_type(choice, root) for choice in node["anyOf"]))
    if "enum" in node or "const" in node:
        return ", ".join(f"`{word}`" for word in node.get("enum", [node.get("const")]))
    if node.get("type") == "array":
        return f"list of {_type(node['items'], root)}"
    if node.get("type") == "object":
        inner = node.get("additionalProperties")
        return f"mapping of names to {_type(inner, root)}" if isinstance(inner, dict) else "mapping"
    kinds = {"string": "text", "integer": "number", "boolean": "`true`, `false`", None: "any"}
    return str(node.get("format", kinds.get(node.get("type"), "any")))
