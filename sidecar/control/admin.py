"""The admin port: what people, probes and Prometheus ask of a sidecar, and the little they may change.

This file is the port's start and stop.  aiohttp takes 200 ms and 13 MB to import and no call needs it, so the port
listens from the start and the rooms behind the door are furnished when somebody knocks, in a thread: the data plane
serves meanwhile, and who knocked waits that once.
"""

import asyncio
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, cast

from sidecar.control.status import People, Status
from sidecar.tasks import spawn
from sidecar.telemetry.meters import Meters

if TYPE_CHECKING:
    from aiohttp.web import AppRunner

STOP_S = 1.0
"""How long a request under way may take once the port closes."""


class Admin:
    """The admin port of one process."""

    def __init__(self, status: Status, people: People, meters: Meters, token: str) -> None:
        """``token``: the bearer token that may change state; empty, nobody may."""
        self._status = status
        self._people = people
        self._meters = meters
        self._token = token
        self._port: asyncio.Server | None = None
        self._runner: AppRunner | None = None
        self._furnishing = asyncio.Lock()

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen, and say where: port 0 lets the system choose.  Raises OSError where the address is taken."""
        loop = asyncio.get_running_loop()
        self._port = await loop.create_server(lambda: _Visitor(self._receive), host, port)
        address = self._port.sockets[0].getsockname()
        return address[0], address[1]

    async def stop(self) -> None:
        """Close the port; requests under way have ``STOP_S`` to end."""
        if self._port is not None:
            self._port.close()
            self._port = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _receive(self, visitor: "_Visitor", transport: asyncio.Transport) -> None:
        spawn(self._show_in(visitor, transport), "open the admin port")

    async def _show_in(self, visitor: "_Visitor", transport: asyncio.Transport) -> None:
        try:
            runner = await self._furnished()
        except BaseException:
            transport.abort()
            raise
        if self._port is None or transport.is_closing() or runner.server is None:
            transport.abort()
            return
        protocol = runner.server()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if visitor.said:
            protocol.data_received(visitor.said)
        transport.resume_reading()

    async def _furnished(self) -> "AppRunner":
        async with self._furnishing:
            if self._runner is None:
                await asyncio.to_thread(import_module, "sidecar.control.endpoints")
                from sidecar.control import endpoints

                runner = endpoints.runner(self._status, self._people, self._meters, self._token, STOP_S)
                await runner.setup()
                self._runner = runner
            return self._runner


class _Visitor(asyncio.Protocol):
    """A connection at the door."""

    def __init__(self, receive: Callable[["_Visitor", asyncio.Transport], None]) -> None:
        self._receive = receive
        self.said = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by behaviour only
        self._receive(self, self._transport)

    def data_received(self, data: bytes) -> None:
        self.said += data
        self._transport.pause_reading()  # uvloop begins to read only after connection_made
