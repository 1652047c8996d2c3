"""Bodies of any size pass with flat memory, both ways, and intact."""

import asyncio
import hashlib
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.e2e.conftest import Start
from tests.e2e.harness import Seen, Sidecar, Tool, configure

SIZE = 1 << 30
PIECE = bytes(range(256)) * 1024
OPEN = """
  - name: files.any
    match: {method: [GET, POST], path: "/files/{name}"}
    lane: read
"""


def rss_kib(sidecar: Sidecar) -> int:
    status = Path(f"/proc/{sidecar.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


async def test_a_gibibyte_goes_up_and_down_with_flat_memory(start: Start, tmp_path: Path) -> None:
    received = hashlib.blake2b()
    expected = hashlib.blake2b()

    async def up(request: web.Request) -> web.StreamResponse:
        size = 0
        async for piece in request.content.iter_any():
            received.update(piece)
            size += len(piece)
        return web.json_response({"size": size})

    async def down(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        answer.content_length = SIZE
        await answer.prepare(request)
        for _ in range(SIZE // len(PIECE)):
            await answer.write(PIECE)
        return answer

    async def pieces() -> object:
        for _ in range(SIZE // len(PIECE)):
            expected.update(PIECE)
            yield PIECE

    app = web.Application(client_max_size=1 << 40)
    app.router.add_post("/files/{name}", up)
    app.router.add_get("/files/{name}", down)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    try:
        sidecar = await start(
            configure(tmp_path, f"http://127.0.0.1:{port}", OPEN, tool_fields="timeout: 5m")
        )
        before = rss_kib(sidecar)
        async with aiohttp.ClientSession() as session:
            async with session.post("http://crm.test/files/a", data=pieces(), proxy=sidecar.proxy) as answer:
                assert (await answer.json())["size"] == SIZE
            assert received.digest() == expected.digest()
            size = 0
            async with session.get("http://crm.test/files/a", proxy=sidecar.proxy) as answer:
                async for piece in answer.content.iter_any():
                    size += len(piece)
            assert size == SIZE
        assert rss_kib(sidecar) - before < 24 * 1024
    finally:
        await runner.cleanup()


async def test_expect_continue_is_answered_before_the_call_waits(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool))
    host, port = sidecar.proxy.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST http://crm.test/notes HTTP/1.1\r\nHost: crm.test\r\nExpect: 100-continue\r\n"
        b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n"
    )
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
    writer.write(b"{}")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    writer.close()
    assert tool.seen[0].body == b"{}"
    assert "Expect" not in tool.seen[0].headers


async def test_pipelined_calls_are_answered_in_order(tool: Tool, start: Start, tmp_path: Path) -> None:
    sidecar = await start(configure(tmp_path, tool))
    host, port = sidecar.proxy.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for number in range(5):
        writer.write(b"GET http://crm.test/deals/%d HTTP/1.1\r\nHost: crm.test\r\n\r\n" % number)
    for number in range(5):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert b"/deals/%d" % number in await reader.readexactly(length)
    writer.close()


async def test_an_upgrade_is_tunnelled(tool: Tool, start: Start, tmp_path: Path) -> None:
    async def echo(_seen: Seen, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str("echo " + message.data)
        return socket

    sidecar = await start(configure(tmp_path, tool))
    tool.react = echo
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect("http://crm.test/socket", proxy=sidecar.proxy) as socket,
    ):
        for word in ("one", "two"):
            await socket.send_str(word)
            assert (await socket.receive_str()) == f"echo {word}"


async def test_connect_is_a_blind_tunnel(tool: Tool, start: Start, tmp_path: Path) -> None:
    sidecar = await start(configure(tmp_path, tool))
    host, port = sidecar.proxy.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"CONNECT 127.0.0.1:{tool.port} HTTP/1.1\r\nHost: 127.0.0.1:{tool.port}\r\n\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    writer.write(b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b'"/hello"' in await reader.read()
    writer.close()
