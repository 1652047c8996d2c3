"""A configuration folder, read: the one place where configuration meets the disk.

    sidecar.yaml       this process, the fleet's caps, identity; without it every setting has its default
    routes/*.yaml      one tool each; without any, every call passes ungated

Names that begin with a dot are left alone: the embedded store's folder, and what a mounted ConfigMap keeps beside its
links.  Reading is all or nothing: ``load`` returns a whole ``Config`` or raises ``ConfigError`` with everything wrong.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from sidecar.core.compile.folder import PROCESS, File, compile_config
from sidecar.core.config import Config
from sidecar.core.problems import ConfigError, Problem, meant

LARGEST_BYTES = 1 << 20
"""Of one file.  Large enough for a thousand routes."""

ROUTES = "routes"

__all__ = ["Config", "ConfigError", "changes", "load"]


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
    routes = folder / ROUTES
    if routes.is_dir():
        paths += sorted(path for path in routes.iterdir() if _is_yaml(path))
    files = [file for path in paths if (file := _read(path, folder, problems)) is not None]
    return compile_config(str(folder), files, problems, environ)


async def changes(folder: Path, stop: asyncio.Event) -> AsyncIterator[None]:
    """Yield whenever a file of the configuration may have changed, until ``stop`` is set.

    A mounted ConfigMap changes by swapping a link, an editor by renaming, so the folders are watched and not the files.
    """
    from watchfiles import awatch  # 30 ms to import, and only a process that stays needs it

    while not stop.is_set():
        watched = [path for path in (folder, folder / ROUTES) if path.is_dir()]
        async for batch in awatch(*watched, stop_event=stop, recursive=False, debounce=200, step=50):
            touched = [Path(name) for _, name in batch]
            if any(map(_matters, touched)):
                yield
            if any(path == folder / ROUTES for path in touched):
                break  # the folder came or went: watch what there is now


def _matters(path: Path) -> bool:
    """Whether a change at ``path`` can be one of the configuration: not the store's, not an editor's scratch."""
    return _is_yaml(path) or path.name in ("..data", ROUTES)


def _is_yaml(path: Path) -> bool:
    return path.suffix in (".yaml", ".yml") and not path.name.startswith(".")


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
        if _is_yaml(path) and path.name != PROCESS:
            hint = meant(path.name, [PROCESS]) or f"; a tool's file belongs into {ROUTES}/"
            found.append(
                Problem(str(path), 0, 0, f"is not read{hint}", fatal=bool(meant(path.name, [PROCESS])))
            )
    return found
