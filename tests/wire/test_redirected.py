"""What the kernel says of a connection; what it says of redirected ones is tested in a pod (``e2e/``)."""

import asyncio
import os
import socket
import struct

import pytest

from sidecar.wire.redirected import NotRedirected, _owner, _parsed, bound_for


def test_an_address_is_read_as_the_kernel_writes_it() -> None:
    four = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s", 443, bytes([10, 0, 0, 7])) + bytes(8)
    assert _parsed(four) == ("10.0.0.7", 443)
    six = struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", 80, 0)
    six += socket.inet_pton(socket.AF_INET6, "fd00::7") + struct.pack("=I", 3)
    assert _parsed(six) == ("fd00::7", 80)


@pytest.mark.parametrize(
    "address", [b"", bytes(16), struct.pack("=H", socket.AF_INET), struct.pack("=H", 10) + bytes(6)]
)
def test_what_is_no_address_is_an_error(address: bytes) -> None:
    with pytest.raises(OSError, match="an address of family"):
        _parsed(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_connection_that_came_straight_is_known(host: str) -> None:
    said: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            bound_for(writer.transport)
        except NotRedirected as why:
            said.set_result(str(why))
        writer.close()

    server = await asyncio.start_server(serve, host, 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    assert "came straight here" in await asyncio.wait_for(said, 10)
    writer.close()
    server.close()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_whose_connection_it_is_is_known(family: socket.AddressFamily) -> None:
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.create_server((host, 0), family=family) as server, socket.socket(family) as client:
        client.connect(server.getsockname()[:2])
        here, there = client.getsockname()[:2], client.getpeername()[:2]
        assert _owner(family, here, there) == os.geteuid()
        assert _owner(family, here, (host, 1)) is None
