import asyncio
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from sidecar.control.admin import Admin
from sidecar.control.status import Loaded
from sidecar.settings import load
from sidecar.telemetry.meters import Meters
from tests.control.conftest import TOKEN, Port, Process, Store

OPENED = """
import asyncio, sys, uvloop
from sidecar.control.admin import Admin
from sidecar.telemetry.meters import Meters

async def main():
    admin = Admin(None, None, Meters(), "")
    address = await admin.start("127.0.0.1", 0)
    before = "aiohttp" in sys.modules
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET /healthz HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n")
    print(before, (await reader.readline()).decode().strip(), "aiohttp" in sys.modules)
    writer.close()
    await admin.stop()

uvloop.run(main())
"""


def test_a_port_that_nobody_asks_imports_nothing_and_who_asks_first_is_answered() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", OPENED], check=True, capture_output=True, text=True, timeout=60
    )
    assert ran.stdout.strip() == "False HTTP/1.1 200 OK True"


async def test_all_who_knock_at_once_are_shown_in() -> None:
    admin = Admin(Process(), Store(), Meters(), TOKEN)
    host, number = await admin.start("127.0.0.1", 0)
    async with aiohttp.ClientSession() as client:
        answers = await asyncio.gather(*(client.get(f"http://{host}:{number}/healthz") for _ in range(8)))
        assert {answer.status for answer in answers} == {200}
    await admin.stop()


async def test_a_taken_address_is_an_error_and_leaves_nothing_open(port: Port) -> None:
    number = int(port.url.rsplit(":", 1)[1])
    second = Admin(Process(), Store(), Meters(), TOKEN)
    with pytest.raises(OSError, match="address already in use"):
        await second.start("127.0.0.1", number)
    assert (await port.ask("GET", "/healthz"))[0] == 200
    await second.stop()


async def test_a_stopped_port_is_closed() -> None:
    admin = Admin(Process(), Store(), Meters(), TOKEN)
    host, number = await admin.start("127.0.0.1", 0)
    await admin.stop()
    await admin.stop()  # twice is no mistake
    async with aiohttp.ClientSession() as client:
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.get(f"http://{host}:{number}/healthz")


async def test_a_port_of_ipv6_says_where_it_is() -> None:
    admin = Admin(Process(), Store(), Meters(), TOKEN)
    host, number = await admin.start("::1", 0)
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"http://[{host}]:{number}/healthz") as response,
    ):
        assert response.status == 200
    await admin.stop()


async def test_no_secret_of_the_configuration_is_told(port: Port, tmp_path: Path) -> None:
    """The loader leaves secrets out of ``written``; this holds it to that at the place where it would show."""
    (tmp_path / "sidecar.yaml").write_text(
        "version: 1\n"
        'store: {url: "rediss://user:literal-password@store:6379", namespace: "${SPACE}"}\n'
        f"users: [{{name: acme, token_sha256: '{'ab' * 32}', tenant: acme}}]\n"
    )
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes" / "crm.yaml").write_text(
        "version: 1\ntool: crm\nhosts: [crm.test]\nupstream: https://${HIDDEN}.crm.test\n"
    )
    config = load(tmp_path, {"SPACE": "secret-space", "HIDDEN": "secret-host"})
    port.process.loaded = Loaded(config.digest, 0.0, config.written, None)
    async with port.client.get(port.url + "/config") as response:
        text = await response.text()
    assert response.status == 200
    assert "${SPACE}" in text
    for secret in ("literal-password", "ab" * 32, "secret-space", "secret-host"):
        assert secret not in text
