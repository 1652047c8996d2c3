"""A webhook as a process of its own, with the certificate that 'sidecar ca webhook' makes."""

import asyncio
import json
import os
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp

from tests.cli.test_cli import Ran

HOST = "sidecar-webhook.agent-sidecar.svc"
TOOL = "version: 1\ntool: hubspot\nhosts: [api.hubapi.com]\nupstream: https://api.hubapi.com\n"


class Process:
    """One that is ready."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.port = 0
        self.lines: list[str] = []

    async def says(self, pattern: str) -> "re.Match[str]":
        """Wait for a line of its log from now on."""
        assert self.process.stderr is not None
        async with asyncio.timeout(30):
            while True:
                line = (await self.process.stderr.readline()).decode()
                assert line, "".join(self.lines)
                self.lines.append(line)
                if found := re.search(pattern, line):
                    return found

    def context(self, ca: Path | None = None) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(ca or self.folder / "tls/ca.crt"))

    async def ask(
        self, path: str, body: bytes | None = None, *, ca: Path | None = None, kind: str = "application/json"
    ) -> tuple[int, Any]:
        """By a connection of its own, as from an API server that knows the authority."""
        method = "GET" if body is None else "POST"
        async with (
            aiohttp.ClientSession() as client,
            client.request(
                method,
                f"https://127.0.0.1:{self.port}{path}",
                data=None if body is None else BytesIO(body),
                ssl=self.context(ca),
                server_hostname=HOST,
                headers={"Content-Type": kind} if body is not None else {},
            ) as response,
        ):
            text = await response.text()
            return response.status, json.loads(text) if "json" in response.content_type else text


def prepared(folder: Path) -> None:
    """Configuration and certificate."""
    (folder / "config/routes").mkdir(parents=True)
    (folder / "config/sidecar.yaml").write_text("version: 1\n")
    (folder / "config/routes/hubspot.yaml").write_text(TOOL)
    ran = Ran("ca", "webhook", "--out", str(folder / "tls"))
    assert ran.status == 0, ran.err


@asynccontextmanager
async def running(folder: Path, *options: str, host: str = "127.0.0.1") -> AsyncIterator[Process]:
    """Until it is told to stop, and has."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "webhook", "--listen", f"{host}:0"),
        *("--cert", str(folder / "tls/tls.crt"), "--key", str(folder / "tls/tls.key")),
        *("--config", str(folder / "config"), *options),
        stderr=subprocess.PIPE,
        env={**os.environ, "SIDECAR_STORE_URL": ""},
    )
    webhook = Process(process, folder)
    try:
        webhook.port = int((await webhook.says(r"ready: https://\S+:(\d+)"))[1])
        yield webhook
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                await process.wait()
