"""Fixtures for end-to-end tests: a counting tool, and sidecars that stop with the test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.e2e import harness
from tests.e2e.harness import Sidecar, Tool
from tests.servers import Server

Start = Callable[..., Awaitable[Sidecar]]


@pytest.fixture
async def tool() -> AsyncIterator[Tool]:
    async with harness.tool() as it:
        yield it


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start sidecars; whichever still run at the end are stopped, last started first."""
    running: list[Sidecar] = []

    async def start_one(folder: Path = tmp_path, **options: object) -> Sidecar:
        running.append(await Sidecar.start(folder, **options))  # type: ignore[arg-type]
        return running[-1]

    yield start_one
    for sidecar in reversed(running):
        await sidecar.stop()


@pytest.fixture
async def server(serve: Serve) -> Server:
    """A store of the test's own, to kill and to start again.

    With ``everysec`` a server whose disk is slow answers up to two seconds before it writes, so a kill may take what it
    acknowledged; what the gate does then has tests of its own.
    """
    it = serve(None, "--appendfsync", "always")
    await it.start()
    return it
