"""Where a run takes place: two cores, a folder that goes away, and what stands behind the proxies."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.backing import Store, Upstream, start_store, start_upstream
from bench.process import pinned
from bench.programs import Missing


@dataclass(frozen=True, slots=True)
class Site:
    """A prepared machine."""

    folder: Path
    proxy_core: int
    load_core: int
    upstream: Upstream
    store: Store


@contextlib.contextmanager
def prepared() -> Iterator[Site]:
    """Take two cores, this process itself on the load's, and start upstream and store there."""
    proxy_core, load_core = _two_cores()
    with (
        pinned(load_core),
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        contextlib.ExitStack() as stack,
    ):
        folder = Path(name)
        upstream = start_upstream(folder, load_core)
        stack.callback(upstream.process.stop)
        store = start_store(folder, load_core)
        stack.callback(store.process.stop)
        yield Site(folder, proxy_core, load_core, upstream, store)


def _two_cores() -> tuple[int, int]:
    if sys.platform != "linux":
        raise Missing(
            "the bench pins processes to cores and reads /proc: run it on Linux (a container will do)"
        )
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise Missing("the bench needs two cores, one for the proxy alone; this process may use only one")
    return cores[0], cores[1]
