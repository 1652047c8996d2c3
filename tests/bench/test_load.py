"""The load is what it says it is: seen by a server that keeps what it gets."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from bench.wrk import Load, drive

pytestmark = pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")


@dataclass
class Server:
    """Answers every request with ``status``, and keeps the request's head and body."""

    status: int = 200
    port: int = 0
    got: list[tuple[str, bytes]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = re.search(r"Content-Length: (\d+)", head)
                assert length
                self.got.append((head, await reader.readexactly(int(length[1]))))
                writer.write(b"HTTP/1.1 %d It\r\nContent-Length: 2\r\n\r\nok" % self.status)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            writer.close()


@asynccontextmanager
async def serving(status: int = 200) -> AsyncIterator[Server]:
    it = Server(status)
    server = await asyncio.start_server(it.serve, "127.0.0.1", 0)
    it.port = server.sockets[0].getsockname()[1]
    async with server:
        yield it


async def driven(server: Server, connections: int = 4, **options: str) -> Load:
    return await asyncio.to_thread(
        drive,
        server.port,
        "http://tool.test:81",
        "tool.test:81",
        connections=connections,
        seconds=1,
        **options,
    )


async def test_every_call_is_new_and_500_bytes_in_absolute_form() -> None:
    async with serving() as server:
        load = await driven(server)
    assert load.errors == 0
    assert load.calls <= len(server.got) <= load.calls + 4
    assert len({head.split()[1] for head, _ in server.got}) == len(server.got)
    for head, body in server.got:
        target = head.split()[1]
        assert target.startswith("http://tool.test:81/crm/items/")
        assert json.loads(body)["id"] == target.rpartition("/")[2]
        assert len(body) == 500
        assert "\r\nHost: tool.test:81\r\n" in head


async def test_the_same_call_is_the_same_to_the_byte() -> None:
    async with serving() as server:
        await driven(server, connections=1, calls="same")
        again = len(server.got)
        await driven(server, connections=1, calls="same")
    assert len(set(server.got[:again])) == 1
    assert len(set(server.got)) == 2, "a later window must not meet what an earlier one left behind"


async def test_refusals_count_as_errors() -> None:
    async with serving(status=503) as server:
        load = await driven(server)
    assert load.errors == load.calls > 0


async def test_a_server_that_is_not_there_is_told_in_wrks_words() -> None:
    async with serving() as server:
        pass
    with pytest.raises(RuntimeError, match="wrk failed: unable to connect"):
        await driven(server)
