"""The interpreters that an agent may run on, and what a probe in each of them says."""

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sidecar.agentenv.clients import SDKS, Language, Transport

PROBES: Final = Path(__file__).parent / "probes"
PATIENCE_S: Final = 120

_SCRIPTS: Final[Mapping[Language, str]] = {"python": "python.py", "node": "node.js"}
_NAMES: Final[Mapping[str, Language]] = {
    "python": "python",
    "pypy": "python",
    "node": "node",
    "npm": "node",
    "npx": "node",
    "yarn": "node",
    "pnpm": "node",
}


class ProbeError(Exception):
    """An interpreter that could not be looked into."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """One interpreter of the agent's."""

    language: Language
    program: str


@dataclass(frozen=True, slots=True)
class Probed:
    """What a probe found."""

    runtime: str
    versions: Mapping[str, str]
    findings: Mapping[str, Sequence[Mapping[str, Any]]]
    """For each transport, in the order of the URLs."""


def runtimes(command: Sequence[str], environ: Mapping[str, str]) -> list[Runtime]:
    """What ``command`` runs on; without one, and where it does not show, what is first on the path."""
    language, program = _meant(command, environ)
    if language == "python" and program:
        return [Runtime("python", program)]
    found = [Runtime("node", node)] if (node := _which("node", environ)) else []
    python = "" if language == "node" else _which("python3", environ) or _which("python", environ)
    return [*([Runtime("python", python)] if python else []), *found]


def _which(name: str, environ: Mapping[str, str]) -> str:
    return shutil.which(name, path=environ.get("PATH")) or ""


def _meant(command: Sequence[str], environ: Mapping[str, str]) -> tuple[Language | None, str]:
    """The language of a command, and its interpreter where it is one; of a script, that in its first line."""
    if not command:
        return None, ""
    program = _which(command[0], environ)
    if language := _language(command[0]):
        return language, program
    try:
        with Path(program).open("rb") as file:
            first = file.readline(256)
    except OSError:
        return None, ""
    words = first[2:].decode("latin-1").split() if first.startswith(b"#!") else []
    if words and Path(words[0]).name == "env":
        words = words[1:]
    return (_language(words[0]), _which(words[0], environ)) if words else (None, "")


def _language(program: str) -> Language | None:
    name = Path(program).name
    return next((language for known, language in _NAMES.items() if name.startswith(known)), None)


def probe(
    runtime: Runtime,
    transports: Iterable[Transport],
    urls: Sequence[str],
    headers: Mapping[str, str],
    environ: Mapping[str, str],
) -> Probed:
    """Let those of ``transports`` that are installed there call ``urls``.  Raises ProbeError."""
    asked = {
        "clients": {each.name: each.needs for each in transports},
        "packages": [sdk.package for sdk in SDKS if sdk.language == runtime.language] + ["axios"],
        "urls": urls,
        "headers": headers,
    }
    try:
        done = subprocess.run(  # noqa: S603 - the agent's interpreter, and a file of ours
            [runtime.program, str(PROBES / _SCRIPTS[runtime.language])],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            env=dict(environ),
            timeout=PATIENCE_S,
            check=False,
        )
        said = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProbeError(f"{runtime.program}: {error}") from None
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ProbeError(f"{runtime.program}: the probe failed: {last}") from None
    return Probed(said["runtime"], said["versions"], said["probes"])
