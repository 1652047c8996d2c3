"""What the gate hands out: a held grant, and the two that hold nothing.

    async with await gate.admit(claim) as lease:
        lease.sending()                # right before the first byte
        await lease.settle(outcome)    # exactly once; leaving without it settles too

A lease is provably held until an instant on this machine's own clock: taken before the grant was asked for, plus the
lease, minus a margin.  The store counts from when it answered, which is later, so it is never the first to let go.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from math import inf
from types import TracebackType
from typing import Any, Self, TypeVar

from sidecar.core.claim import Claim
from sidecar.core.outcome import NOT_SENT, Outcome
from sidecar.core.refusal import Refusal
from sidecar.gate.clock import clock

T = TypeVar("T")

MARGIN = 0.1
"""Of the lease: what a byte may take from the check to the wire."""

_LOST = (
    "The sidecar could not prove any more that it holds its grant, so nothing was sent. "
    "The call had no effect; send it again."
)


class Lease:
    """A held grant.  Settled exactly once, whatever happens."""

    __slots__ = (
        "_settle",
        "blocked_by",
        "claim",
        "ends_s",
        "fence",
        "gone_s",
        "lost",
        "origin",
        "renew_s",
        "sent",
        "settled",
        "wait_ms",
    )

    ungated = ""

    def __init__(
        self,
        claim: Claim,
        fence: int,
        origin: str,
        wait_ms: int,
        gone_s: float,
        settle: "Callable[[Lease, Outcome], Awaitable[None]]",
    ) -> None:
        self.claim = claim
        self.fence = fence
        self.origin = origin
        self.wait_ms = wait_ms
        self.blocked_by = ""
        self.ends_s = 0.0
        """Until then it is provably held."""
        self.renew_s = 0.0
        self.gone_s = gone_s
        """When its request must be over, and its locks are free for others."""
        self.lost = False
        self.sent = False
        self.settled = False
        self._settle = settle

    def held(self, asked_s: float, lease_ms: int) -> None:
        """The store granted or prolonged it, asked at ``asked_s``."""
        lease_s = lease_ms / 1000
        self.ends_s = min(asked_s + lease_s, self.gone_s) - lease_s * MARGIN
        self.renew_s = asked_s + lease_s / 3 if asked_s + lease_s < self.gone_s else inf

    def sending(self) -> None:
        """Called right before the first byte.  Raises Refusal ``store-unavailable`` where it is not provably held."""
        if clock() > self.ends_s:
            raise Refusal(
                "store-unavailable", _LOST, outcome="not_sent", retry_after_ms=1000, wait_ms=self.wait_ms
            )
        self.sent = True

    async def settle(self, outcome: Outcome) -> None:
        """Record the outcome and let go.  Never raises for a store that is away: then it goes on in the background."""
        if not self.settled:
            self.settled = True
            await self._settle(self, outcome)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.settled:
            await self.settle(self._outcome_of(error))

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        """Do ``work`` while it is held."""
        async with self:
            return await work

    def _outcome_of(self, error: BaseException | None) -> Outcome:
        if not self.sent or (isinstance(error, Refusal) and error.outcome == "not_sent"):
            return NOT_SENT
        return Outcome("unknown", changed=True, over=False, why=_why(error))

    def __repr__(self) -> str:
        return f"<Lease {self.claim.call} fence={self.fence}>"


class Ungated:
    """A lease of nothing, for a call that goes on all the same, and says why.

    Most calls are reads that ask for nothing, so what they await is at hand and starts no coroutine.
    """

    __slots__ = ("origin", "ungated")

    fence = 0
    wait_ms = 0
    blocked_by = ""

    def __init__(self, origin: str, why: str) -> None:
        self.origin = origin
        self.ungated = why

    def sending(self) -> None: ...

    def settle(self, outcome: Outcome) -> Awaitable[None]:  # noqa: ARG002 - the port names it
        return _DONE

    def during(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]:
        return work


class _Done(Awaitable[None]):
    """Nothing to wait for."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield  # never reached: it makes this a generator, which is what an await runs


_DONE = _Done()
FREE = Ungated("", "")
"""For a claim that asks for nothing; shared, since there is nothing to keep."""


def _why(error: BaseException | None) -> str:
    if isinstance(error, Refusal):
        return {"upstream-timeout": "timeout", "upstream-failed": "reset"}.get(error.code, error.code)
    return "cancelled" if isinstance(error, asyncio.CancelledError) else "failed"
