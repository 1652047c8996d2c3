"""Real parts for end-to-end tests: sidecar processes, a counting tool, and a store they share."""

import asyncio
import json
import os
import signal
import ssl
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp
from aiohttp import web

from sidecar.tasks import spawn

T = TypeVar("T")


def later(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start ``work`` now, to be awaited when its time has come."""
    return spawn(work, "a test's call")


Reaction = Callable[["Seen", web.Request], Awaitable[web.StreamResponse]]

CLEAN_ENV = {k: v for k, v in os.environ.items() if "proxy" not in k.lower() and not k.startswith("SIDECAR_")}
"""The shell may preset proxies; a test says itself which it means."""


@dataclass(frozen=True)
class Seen:
    """One request as the tool got it."""

    method: str
    path: str
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Tool:
    """An HTTP upstream that counts what reaches it and does what a test tells it to."""

    port: int = 0
    scheme: str = "http"
    seen: list[Seen] = field(default_factory=list)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    running: Counter[str] = field(default_factory=Counter)
    overlaps: int = 0
    react: Reaction | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Answers wait for it; set unless a test holds it closed."""

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def hold(self) -> None:
        """Keep every answer back until ``release``."""
        self.gate.clear()

    def release(self) -> None:
        self.gate.set()

    async def got(self, count: int) -> None:
        """Wait until ``count`` requests have arrived in all."""
        async with asyncio.timeout(20), self.arrived:
            await self.arrived.wait_for(lambda: len(self.seen) >= count)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(request.method, request.path_qs, request.headers, await request.read())
        async with self.arrived:
            self.seen.append(seen)
            self.arrived.notify_all()
        self.overlaps += self.running[request.path] > 0
        self.running[request.path] += 1
        try:
            await self.gate.wait()
            if self.react is not None:
                return await self.react(seen, request)
            return web.json_response({"n": len(self.seen), "path": request.path})
        finally:
            self.running[request.path] -= 1


@asynccontextmanager
async def tool(
    tls: ssl.SSLContext | None = None, places: Sequence[tuple[str, int]] = (("127.0.0.1", 0),)
) -> AsyncIterator[Tool]:
    """A tool that listens on a free loopback port, or where it is told to; on port 80 without TLS."""
    it = Tool(scheme="http" if tls is None else "https")
    it.gate.set()
    app = web.Application(client_max_size=1 << 31)
    app.router.add_route("*", "/{tail:.*}", it.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    for host, port in places:
        await web.TCPSite(runner, host, port, ssl_context=None if port == 80 else tls).start()
    it.port = runner.addresses[0][1]
    try:
        yield it
    finally:
        it.release()
        await runner.cleanup()


async def drop(_seen: Seen, request: web.Request) -> web.StreamResponse:
    """A reaction: the work is done and the response is lost."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@dataclass
class Sidecar:
    """A sidecar process on free ports, started from a config folder."""

    folder: Path
    process: asyncio.subprocess.Process
    proxy: str
    admin: str
    decisions: list[dict[str, Any]] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    readers: list[asyncio.Task[None]] = field(default_factory=list)

    @classmethod
    async def start(cls, folder: Path, env: dict[str, str] | None = None, within: Sequence[str] = ()) -> Self:
        """``within``: what runs the command, in a place of its own."""
        process = await asyncio.create_subprocess_exec(
            *within,
            sys.executable,
            *("-m", "sidecar", "run", "--config", str(folder)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=CLEAN_ENV | (env or {}),
        )
        it = cls(folder, process, "", "")
        it.readers = [later(it._read_out()), later(it._read_err())]
        await it.said("ready")
        return it

    async def _read_out(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            async with self.news:
                self.decisions.append(json.loads(line))
                self.news.notify_all()

    async def _read_err(self) -> None:
        assert self.process.stderr is not None
        async for raw in self.process.stderr:
            line = raw.decode().rstrip()
            async with self.news:
                self.stderr.append(line)
                if "ready" in line and "proxy http://" in line:
                    words = line.replace(",", " ").split()
                    self.proxy = words[words.index("proxy") + 1]
                    self.admin = words[words.index("admin") + 1]
                self.news.notify_all()
        async with self.news:
            self.stderr.append("<end of stderr>")
            self.news.notify_all()

    async def said(self, text: str) -> None:
        """Wait for ``text`` on stderr."""
        await self._until(lambda: any(text in line or "<end" in line for line in self.stderr))
        assert any(text in line for line in self.stderr), "\n".join(self.stderr)

    async def decided(self, **fields: Any) -> dict[str, Any]:
        """Wait for a decision line with these fields, and return the last such."""

        def matching() -> list[dict[str, Any]]:
            return [line for line in self.decisions if fields.items() <= line.items()]

        await self._until(lambda: bool(matching()))
        return matching()[-1]

    async def _until(self, done: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(20), self.news:
                await self.news.wait_for(done)
        except TimeoutError:
            raise AssertionError("\n".join([*self.stderr, *map(str, self.decisions)])) from None

    async def kill(self) -> None:
        """As the kernel would: no goodbye."""
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM, and wait for the end; the exit status."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(self.process.wait(), 40)
        await asyncio.gather(*self.readers)
        return code


def configure(
    folder: Path, tool: Tool | str, routes: str = "", process: str = "", tool_fields: str = ""
) -> Path:
    """Write a config folder: one tool named ``crm``, any free ports, loopback allowed."""
    url = tool if isinstance(tool, str) else tool.url
    (folder / "routes").mkdir(parents=True, exist_ok=True)
    (folder / "sidecar.yaml").write_text(
        'version: 1\nlisten: {proxy: "127.0.0.1:0", admin: "127.0.0.1:0"}\n'
        'egress: {allow: ["127.0.0.0/8"]}\n' + process
    )
    (folder / "routes" / "crm.yaml").write_text(
        f"version: 1\ntool: crm\nhosts: [crm.test]\nupstream: {url}\n{tool_fields}\n"
        + (f"routes:\n{routes}" if routes else "")
    )
    return folder


@dataclass(frozen=True)
class Got:
    """What an agent got back."""

    status: int
    body: bytes
    headers: Any

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def verdict(self) -> str:
        return str(self.headers["Sidecar-Verdict"]).split(";")[0]

    @property
    def reason(self) -> str:
        found = [part for part in self.headers["Sidecar-Verdict"].split("; ") if part.startswith("reason=")]
        return found[0].removeprefix("reason=") if found else ""


async def ask(sidecar: Sidecar, method: str, url: str, json: Any = None, **options: Any) -> Got:
    """One call through the sidecar on a connection of its own."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, proxy=sidecar.proxy, json=json, **options) as answer,
    ):
        return Got(answer.status, await answer.read(), answer.headers)


async def admin(sidecar: Sidecar, path: str, method: str = "GET", **options: Any) -> Got:
    """One request to the admin port."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, sidecar.admin + path, **options) as answer,
    ):
        return Got(answer.status, await answer.read(), answer.headers)
