"""When a configuration folder may have changed."""

import asyncio
from collections.abc import AsyncIterator
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
