"""One process of the demo that speaks in JSON lines: started, listened to, and certainly ended."""

import asyncio
import json
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

from sidecar.tasks import spawn

News = dict[str, Any]
PATIENCE_S = 30.0
"""For anything that a child should do; a healthy one needs a hundredth of it."""


class ChildError(Exception):
    """A process of the demo failed; the text shows its last words."""


class Child:
    """A process, and the news it printed so far.

    It runs in a session of its own: Ctrl-C in the terminal reaches the demo alone, which then ends its
    children in order.  Its stdin is a pipe, so that a tool or an agent notices even a demo that was killed.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, heard: Callable[[News], None]) -> None:
        self.name = name
        self.news: list[News] = []
        self.words: deque[str] = deque(maxlen=20)
        self._process = process
        self._heard = heard
        self._changed = asyncio.Condition()
        self._open = 2
        self._reading = [
            spawn(self._read_news(), f"{name} stdout"),
            spawn(self._read_words(), f"{name} stderr"),
        ]

    @classmethod
    async def start(
        cls,
        name: str,
        *command: str,
        env: Mapping[str, str],
        heard: Callable[[News], None],
    ) -> Self:
        """Start ``command``; ``heard`` is called with each of its JSON lines as it comes."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command, env=dict(env), stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        return cls(name, process, heard)

    async def first(self, **fields: object) -> News:
        """The first news with these fields, waited for.  Raises ChildError where it cannot come any more."""
        await self.until(lambda: self._find(fields) is not None, str(fields))
        found = self._find(fields)
        assert found is not None
        return found

    async def until(self, done: Callable[[], bool], what: str) -> None:
        """Wait until ``done``, which is asked after every line.  Raises ChildError where the process ends
        first."""
        try:
            async with asyncio.timeout(PATIENCE_S), self._changed:
                await self._changed.wait_for(lambda: done() or not self._open)
        except TimeoutError:
            raise self.failed(f"gave no sign of {what} for {PATIENCE_S:.0f} s") from None
        if not done():
            raise self.failed(f"ended before {what}")

    def say(self, line: str) -> None:
        """Write one line to its stdin."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        if self._process.returncode is None:
            self._process.kill()

    async def ended(self) -> int:
        """Wait for its end and its last news; the exit status."""
        status = await self._process.wait()
        await asyncio.gather(*self._reading)
        return status

    async def stop(self, grace_s: float) -> None:
        """Ask it to end, and insist after ``grace_s``."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), grace_s)
        finally:
            self.kill()
        await self.ended()

    def failed(self, how: str) -> ChildError:
        return ChildError("\n".join([f"{self.name} {how}", *self.words]))

    def _find(self, fields: Mapping[str, object]) -> News | None:
        return next((it for it in self.news if fields.items() <= it.items()), None)

    async def _read_news(self) -> None:
        assert self._process.stdout is not None
        async with self._ending():
            async for line in self._process.stdout:
                news = json.loads(line)
                self.news.append(news)
                self._heard(news)
                await self._tell()

    async def _read_words(self) -> None:
        assert self._process.stderr is not None
        async with self._ending():
            async for line in self._process.stderr:
                self.words.append(line.decode(errors="replace").rstrip())
                await self._tell()

    @asynccontextmanager
    async def _ending(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            self._open -= 1
            await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
