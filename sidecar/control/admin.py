"""The admin port: what people, probes and Prometheus ask of a sidecar, and the little they may change.

This file is the port's start and stop.  aiohttp takes 200 ms and 16 MB to import and no call needs it, so the rooms
behind the door are imported when it opens, in a thread: the data plane serves meanwhile.
"""

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING

from sidecar.control.status import Peek, Status
from sidecar.telemetry.meters import Meters

if TYPE_CHECKING:
    from aiohttp.web import AppRunner

STOP_S = 1.0
"""How long a request under way may take once the port closes."""


class Admin:
    """The admin port of one process."""

    def __init__(self, status: Status, peek: Peek, meters: Meters, token: str) -> None:
        """``token``: the bearer token that may change state; empty, nobody may."""
        self._status = status
        self._peek = peek
        self._meters = meters
        self._token = token
        self._runner: AppRunner | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen, and say where: port 0 lets the system choose.  Raises OSError where the address is taken."""
        await asyncio.to_thread(import_module, "sidecar.control.endpoints")
        from sidecar.control import endpoints

        self._runner = endpoints.runner(self._status, self._peek, self._meters, self._token, STOP_S)
        return await endpoints.listen(self._runner, host, port)

    async def stop(self) -> None:
        """Close the port; requests under way have ``STOP_S`` to end."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
