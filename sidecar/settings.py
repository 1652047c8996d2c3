"""A configuration folder, read: the one place where configuration meets the disk.

    sidecar.yaml       this process, the fleet's caps, identity; without it every setting has its default
    routes/*.yaml      one tool each; without any, every call passes ungated
    states/*.yaml      the states of one kind of entity each, for the order of calls

Reading is all or nothing: ``load`` returns a whole ``Config`` or raises ``ConfigError`` with everything wrong.
"""

import os
import pickle
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from sidecar.core.compile.folder import PROCESS, File, compile_config
from sidecar.core.config import Config
from sidecar.core.problems import ConfigError, Problem, meant
from sidecar.folder import FOLDERS, ROUTES, is_yaml

LARGEST_BYTES = 1 << 20
"""Of one file.  Large enough for a thousand routes."""

__all__ = ["Config", "ConfigError", "load"]


def load(folder: Path, environ: Mapping[str, str]) -> Config:
    """The configuration in ``folder``, with ``${VAR}`` taken from ``environ``.  Raises ConfigError."""
    if not folder.is_dir():
        what = "is a file; name the folder that holds it" if folder.is_file() else "no such folder"
        raise ConfigError([Problem(str(folder), 0, 0, what)])
    problems = _strays(folder)
    process = folder / PROCESS
    if not process.exists():
        problems.append(Problem(str(process), 0, 0, "not there; every setting has its default", fatal=False))
    paths = [process] if process.exists() else []
    for inner in (folder / name for name in FOLDERS):
        if inner.is_dir():
            paths += sorted(path for path in inner.iterdir() if is_yaml(path))
    files = [file for path in paths if (file := _read(path, folder, problems)) is not None]
    return compile_config(str(folder), files, problems, environ)


class _Sender(pickle.Pickler):
    """Values go as what they are made from: compiled classes keep no state that pickle could find by itself."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, type) or not is_dataclass(value) or "__reduce__" in vars(type(value)):
            return NotImplemented
        return type(value), tuple(getattr(value, part.name) for part in fields(value) if part.init)


def send() -> None:
    """The whole of a child's life (``apart.py``): read the folder named last, write what came of it to stdout."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the parent, which ends us
    pipe, sys.stdout = sys.stdout.buffer, sys.stderr
    result: Config | Sequence[Problem]
    try:
        result = load(Path(sys.argv[-1]), os.environ)
    except ConfigError as error:
        result = error.problems
    _Sender(pipe, pickle.HIGHEST_PROTOCOL).dump(result)
    pipe.flush()
    os._exit(0)  # nothing here needs to be taken down in order


def _read(path: Path, folder: Path, problems: list[Problem]) -> File | None:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        problems.append(Problem(str(path), 0, 0, f"cannot be read: {error.strerror}"))
        return None
    if len(content) > LARGEST_BYTES:
        problems.append(Problem(str(path), 0, 0, f"larger than {LARGEST_BYTES >> 20}MiB"))
        return None
    return File(str(path), path.relative_to(folder).as_posix(), content)


def _strays(folder: Path) -> list[Problem]:
    """Files that look like configuration and stand where nobody reads them."""
    found = []
    for path in sorted(folder.iterdir()):
        if is_yaml(path) and path.name != PROCESS:
            hint = meant(path.name, [PROCESS]) or f"; a tool's file belongs into {ROUTES}/"
            found.append(
                Problem(str(path), 0, 0, f"is not read{hint}", fatal=bool(meant(path.name, [PROCESS])))
            )
    return found
