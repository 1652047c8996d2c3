"""Fixtures that several packages' tests share: store servers."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import Server, engines

settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")  # how long an example takes says more of the machine than of the code

Serve = Callable[..., Server]
"""Make a server of the engine under test, with options; it is not started yet."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, since a socket's is limited to about a hundred bytes."""
    path = Path(tempfile.mkdtemp(prefix="sc-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(params=engines())
def engine(request: pytest.FixtureRequest) -> str:
    """Each server program in turn."""
    return engines()[request.param]


@pytest.fixture
def serve(folder: Path) -> Iterator[Serve]:
    made: list[Server] = []

    def make(program: str | None = None, *options: str, keep: bool = True) -> Server:
        place = folder / str(len(made))
        place.mkdir()
        made.append(Server(program or next(iter(engines().values())), place, *options, keep=keep))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
async def server(serve: Serve) -> Server:
    """A running server of the engine at hand."""
    it = serve()
    await it.start()
    return it
