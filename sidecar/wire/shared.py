"""What the connections of one listener have in common: who serves their calls, how patient it is, and the clock."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from sidecar.core.call import AgentGone
from sidecar.core.refusal import Refusal
from sidecar.wire.exchange import Exchange
from sidecar.wire.interceptions import Interceptions

log = logging.getLogger("sidecar")

Handler: TypeAlias = Callable[[Exchange], Coroutine[Any, Any, None]]


class Member(Protocol):
    """A connection, as its listener sees it."""

    deadline_s: float
    """When it is overdue; infinite while nothing is expected of the agent."""

    def overdue(self) -> None:
        """The deadline passed."""
        ...

    def retire(self) -> None:
        """Close now if nothing is going on; else after the reply, since the listener is draining."""
        ...

    def abort(self) -> None: ...


class Authority(Protocol):
    """Who signs for hosts; see ``authority.py``, which a sidecar that intercepts nothing does not load."""

    def context(self, host: str) -> ssl.SSLContext:
        """The server's side of TLS for ``host``."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """How patient one listener is with its agents, and how many and how long-winded they may be."""

    head_s: float = 10.0
    """From a head's first byte to its last."""
    idle_s: float = 300.0
    """Between calls.  Longer than clients keep theirs (Go 90 s, Envoy 60 s), so that it is they who let go."""
    stall_s: float = 60.0
    """Without a byte of a body that is wanted, or without taking a byte of a reply."""
    linger_s: float = 5.0
    """For reading a last reply."""
    tunnel_idle_s: float = 3600.0
    connections: int = 10_000
    head_bytes: int = 64 * 1024


class Shared:
    """What the connections of one listener have in common."""

    __slots__ = (
        "_ids",
        "_prefix",
        "authority",
        "calls",
        "connections",
        "draining",
        "handler",
        "interceptions",
        "limits",
        "loop",
        "now_s",
        "refused",
    )

    def __init__(
        self,
        handler: Handler,
        limits: Limits,
        prefix: str,
        refused: Callable[[Refusal], None] | None,
        interceptions: Interceptions,
    ) -> None:
        self.handler = handler
        self.limits = limits
        self.refused = refused
        """Told of each request that was refused before there was a call."""
        self.interceptions = interceptions
        self.authority: Authority | None = None
        self.loop = asyncio.get_running_loop()
        self.now_s = self.loop.time()
        """As of the last sweep."""
        self.draining = False
        self.connections: set[Member] = set()
        self.calls: set[asyncio.Task[None]] = set()
        self._prefix = prefix
        self._ids = 0

    def next_id(self) -> str:
        self._ids += 1
        return f"{self._prefix}{self._ids}"

    def start(self, exchange: Exchange) -> None:
        """Have a call served."""
        exchange.task = task = asyncio.Task(self._serve(exchange), loop=self.loop, name=exchange.call.id)
        self.calls.add(task)

    async def _serve(self, exchange: Exchange) -> None:
        try:
            await self.handler(exchange)
        except AgentGone:
            pass
        except Exception:
            log.exception("a call's handler failed")
            exchange.reply(
                Refusal("internal", "The sidecar failed on this call; its log says why.").as_answer(
                    exchange.call.id, ""
                )
            )
        finally:
            exchange.ended()
            assert exchange.task is not None
            self.calls.discard(exchange.task)
