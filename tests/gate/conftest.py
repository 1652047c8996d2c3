"""Fixtures for the gate: one running server per session and engine, emptied for each test; and gates on it."""

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.gate.gate import Gate
from tests.gate.scripts import Scripts
from tests.servers import Server, engines

Open = Callable[..., Awaitable[Gate]]


@pytest.fixture(scope="session", params=engines())
def shared(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One server of each engine, for tests that do not break it."""
    folder = Path(tempfile.mkdtemp(prefix="sc-"))
    server = Server(engines()[request.param], folder, keep=False)
    asyncio.run(server.start())
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def scripts(shared: Server) -> Iterator[Scripts]:
    """The scripts on an empty server, with a clock that only the test moves."""
    with Scripts(shared) as it:
        yield it


@pytest.fixture
async def open_gate(shared: Server) -> AsyncIterator[Open]:
    """Open gates on one empty cell; each is a sidecar of its own."""
    async with Gates(shared) as opened:
        yield opened


class Gates:
    """Gates that stop with the test."""

    cells = itertools.count()

    def __init__(self, server: Server) -> None:
        self.server = server
        self.cell = f"test{next(self.cells)}"
        self.open: list[Gate] = []

    async def __call__(self, **options: Any) -> Gate:
        gate = Gate(options.pop("url", self.server.url), options.pop("cell", self.cell), **options)
        await gate.start()
        self.open.append(gate)
        return gate

    async def __aenter__(self) -> "Gates":
        return self

    async def __aexit__(self, *_: object) -> None:
        for gate in self.open:
            await gate.stop()
