"""The admin port: what people, probes and Prometheus ask of a sidecar, and the little they may change.

This file is what the composition root sees: what the port needs to be told, and its start and
stop.  aiohttp takes 200 ms and 16 MB to import and no call needs it, so the rooms behind the door are
imported when it opens, in a thread: the data plane serves meanwhile.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal, Protocol

from sidecar.core.call import RawHeaders
from sidecar.telemetry.meters import Meters

if TYPE_CHECKING:
    from aiohttp.web import AppRunner

STOP_S = 1.0
"""How long a request under way may take once the port closes."""

Item = Mapping[str, object]
"""One entry of a list; has an ``id``."""


@dataclass(frozen=True, slots=True)
class Reload:
    """How an attempt to reload went.  Refused, the last good configuration stays."""

    at_s: float
    """Wall time, since the epoch."""
    result: Literal["loaded", "refused"]
    problems: Sequence[str] = ()
    """Warnings, where it was loaded all the same."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The configuration in force."""

    digest: str
    at_s: float
    """Wall time, since the epoch."""
    written: Mapping[str, object]
    """File name to what it says, without secrets."""
    last_reload: Reload | None


class Status(Protocol):
    """What the process knows about itself."""

    def not_ready(self) -> Sequence[str]:
        """Why no traffic should come here now; empty where it should."""
        ...

    def config(self) -> Loaded: ...

    def explain(self, method: str, url: str, headers: RawHeaders, body: bytes) -> object:
        """What would become of this call, as JSON can say it.  Raises its Refusal, or ValueError for a bad URL."""
        ...

    async def reload(self) -> Reload: ...


class Peek(Protocol):
    """What the store holds now.  Raises Refusal ``store-unavailable``."""

    async def leases(self) -> Sequence[Item]: ...

    async def queues(self) -> Sequence[Item]: ...

    async def unknown(self) -> Sequence[Item]: ...


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
