"""When a configuration folder, or a file, may have changed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from sidecar.folder import FOLDERS, is_yaml


async def changes(folder: Path, stop: asyncio.Event) -> AsyncIterator[None]:
    """Yield whenever a file of the configuration may have changed, until ``stop`` is set.

    A mounted ConfigMap changes by swapping a link, an editor by renaming, so the folders are watched and not the files.
    """
    from watchfiles import awatch  # 30 ms to import, and nothing is to be watched before calls are served

    inner = [folder / name for name in FOLDERS]
    while not stop.is_set():
        watched = [path for path in (folder, *inner) if path.is_dir()]
        async for batch in awatch(*watched, stop_event=stop, recursive=False, debounce=200, step=50):
            touched = [Path(name) for _, name in batch]
            if any(map(_matters, touched)):
                yield
            if any(path in inner for path in touched):
                break  # a folder came or went: watch what there is now


def _matters(path: Path) -> bool:
    """Whether a change at ``path`` can be one of the configuration: not the store's, not an editor's scratch."""
    return is_yaml(path) or path.name in ("..data", *FOLDERS)


Stamps = Mapping[Path, tuple[int, ...]]
"""Files that are there, each with what tells it from another of its name."""

LOOK_MS = 2_000
"""What no event told of is found after so long: a file system without events, a change while a watch was set up."""


def stamps(files: Iterable[Path]) -> Stamps:
    """What ``files`` are now."""
    found = {}
    for path in files:
        with suppress(OSError):
            stat = path.stat()
            found[path] = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
    return found


def configuration(folder: Path) -> Stamps:
    """What the files of a configuration folder are now."""
    folders = [each for each in (folder, *(folder / name for name in FOLDERS)) if each.is_dir()]
    return stamps(path for each in folders for path in each.iterdir() if is_yaml(path))


async def differing(
    folders: Iterable[Path], look: Callable[[], Stamps], seen: Stamps, stop: asyncio.Event
) -> AsyncIterator[None]:
    """Yield whenever ``look`` finds something else than last time, at first than ``seen``, until ``stop`` is set.

    ``folders``: where events tell of it at once.
    """
    from watchfiles import awatch

    async for _ in awatch(
        *folders,
        stop_event=stop,
        recursive=False,
        debounce=200,
        step=50,
        rust_timeout=LOOK_MS,
        yield_on_timeout=True,
    ):
        now = look()
        if now != seen:
            seen = now
            yield
