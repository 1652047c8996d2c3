"""What the spine is handed: the gate, the upstreams and the agent, as it needs them and no wider.

``gate/`` and ``wire/`` implement these without knowing each other or the spine.
"""

from collections.abc import Awaitable, Callable, Coroutine, Sized
from collections.abc import Set as AbstractSet
from typing import Any, Protocol, TypeVar

from sidecar.core.call import Answer, Call, Headers, RawHeaders
from sidecar.core.claim import Claim, Replay
from sidecar.core.outbound import Outbound
from sidecar.core.outcome import Outcome
from sidecar.core.probe import Turn

T = TypeVar("T")


class Body(Protocol):
    """A message body as it arrives, pulled piece by piece; the socket behind it is paused while nobody pulls."""

    length: int | None
    """Content-Length; None where only the end tells."""
    trailers: RawHeaders
    """Complete once ``read`` returned the end."""

    async def read(self) -> bytes:
        """The next piece; empty at the end.  Raises Refusal where the body breaks off."""
        ...

    def fail(self, error: Exception) -> None:
        """Break it off here: whoever pulls gets ``error``."""
        ...

    @property
    def whole(self) -> bytes | None:
        """The entire body, where it has arrived already and nobody pulled yet; else None."""
        ...


class UpstreamAnswer(Protocol):
    """An upstream's answer: the head is here, the body may still be coming."""

    status: int
    reason: bytes
    headers: Headers

    @property
    def body(self) -> Body: ...

    @property
    def upgraded(self) -> "Connection | None":
        """After a 101: the raw connection, to be spliced with the agent's."""
        ...

    def abandon(self) -> None:
        """Nobody will read the rest: drop the connection, unless the answer is complete anyway."""
        ...


class Connection(Protocol):
    """A connected byte stream that nobody speaks on yet."""

    def close(self) -> None: ...


class Lease(Protocol):
    """A held grant."""

    fence: int
    """Grows with every grant of the cell; zero where nothing was asked for."""
    wait_ms: int
    blocked_by: str
    """What it waited for first (``lock:deal:42``); empty where it did not wait."""
    ungated: str
    """Why nothing is held (``store-down``, ``observe``) although the claim asked; empty for a real grant."""
    origin: str
    """Id of the call that first tried this intent: the same for every re-send of an unknown outcome, and this call's
    own wherever the intent runs anew.  The key an upstream sees is made of it, so that it recognises a re-send and
    does not mistake the next execution (A, B, A again) for one."""

    def sending(self) -> None:
        """Called right before the first byte leaves.  Raises Refusal where the lease is not provably held."""
        ...

    def settle(self, outcome: Outcome) -> Awaitable[None]:
        """Record the outcome and release what was held.  Exactly once; never raises for a store that is away."""
        ...

    def during(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """Do ``work`` while it is held, and settle if that did not: ``not_sent`` where no byte was written, else
        ``unknown``.  Shielded."""
        ...


class Unknowns(Protocol):
    """Unknown outcomes: who asks the upstream about one, and what it turns out to be.

    Everything here raises Refusal ``store-unavailable``.
    """

    async def probe(self, claim: Claim, hold_ms: int, lag_ms: int) -> Turn:
        """Whether the claim's call may ask what an earlier attempt of its intent did, for ``hold_ms``; asked again, it
        begins anew."""
        ...

    async def heard(self, claim: Claim, longest_s: float) -> None:
        """Until another call has done asking, or it is worth a look, or ``longest_s`` has passed."""
        ...

    async def unprobe(self, claim: Claim, rest_ms: int) -> None:
        """It asks no more; nobody does for ``rest_ms``."""
        ...

    async def resolve(self, intent: str, applied: bool, answer: Answer | None, fence: int = 0) -> bool:
        """Say what an unknown attempt did; ``fence``: only this one.  False where there is no such thing."""
        ...


class Gate(Protocol):
    @property
    def unknowns(self) -> Unknowns: ...

    @property
    def free(self) -> Lease:
        """The lease of a claim that asks for nothing."""
        ...

    async def admit(self, claim: Claim) -> Lease | Replay:
        """Granted, or replayed, or a Refusal; waits up to ``claim.wait_ms``.  Cancelled: leaves its place in line."""
        ...

    async def saw(self, entity: str, state: str, ttl_ms: int) -> None:
        """Its tool says which state an entity is in that nobody has seen.  Raises Refusal ``store-unavailable``."""
        ...

    @property
    def paused(self) -> AbstractSet[str]:
        """What is paused, by upstreams and people; while anything is, no call is free before it was asked for."""
        ...

    def heed(self, tool: str, tenant: str, workflow: str, lane: str) -> None:
        """Raises Refusal ``tool-paused`` where a person paused one of these."""
        ...

    @property
    def holding(self) -> Sized:
        """Runs that hold something between their calls; where it is empty nobody need hear of a free call."""
        ...

    def passing(self, claim: Claim) -> Lease:
        """The lease of a claim that asks for nothing, while some run holds something."""
        ...

    async def turned_away(self, claim: Claim, away_ms: int) -> None:
        """The upstream turned the claim's call away, for ``away_ms`` where it said so.  Before that call is settled."""
        ...

    def ungated(self, claim: Claim, why: str) -> Lease:
        """A lease that holds nothing, for a call that goes on all the same."""
        ...


class Upstream(Protocol):
    async def send(
        self, request: Outbound, body: bytes | Body, lease: Lease, inform: Callable[[int, Headers], None]
    ) -> UpstreamAnswer:
        """Send one request.  ``lease.sending`` comes right before the first byte.  ``inform`` gets 1xx answers.

        Raises Refusal ``upstream-unreachable``, ``upstream-failed``, ``upstream-timeout`` (with ``outcome``) or
        ``egress-denied``.
        """
        ...

    async def connect(self, host: str, port: int, timeout_ms: int, address: str) -> Connection:
        """A raw connection for a tunnel, under the same egress policy: to ``address``, where there is one.

        Raises Refusal, always ``not_sent``.
        """
        ...


class Agent(Protocol):
    """One request on an agent's connection, and the way back to it."""

    call: Call
    waiting: bool
    """True from the start; while it is, an agent that hangs up cancels the call, since nothing was sent yet."""

    @property
    def body(self) -> Body: ...

    async def read(self, limit: int) -> bytes:
        """The whole body.  Raises Refusal ``body-too-large`` past ``limit`` bytes."""
        ...

    def inform(self, status: int, headers: Headers) -> None:
        """Pass an interim (1xx) answer on."""
        ...

    def reply(self, answer: Answer) -> None:
        """A whole reply at once: a replay or a refusal.  After a reply has begun, aborts the connection instead."""
        ...

    async def relay(self, answer: UpstreamAnswer, verdict: bytes, keep: int, finish: bool) -> bytes | None:
        """Pass the upstream's answer on and hold back its end until ``finish`` is called.

        Returns the body where it fits in ``keep`` bytes and is no event stream, else None.  Where the agent is gone
        and ``finish`` is true the answer is read to its end all the same; where false the upstream is dropped.
        """
        ...

    async def tunnel(self, upstream: Connection) -> None:
        """Answer a CONNECT and splice the two connections until both have ended."""
        ...

    def intercept(self) -> None:
        """Answer a CONNECT, and take what comes inside it for calls of their own."""
        ...

    def finish(self) -> None:
        """Let the held-back end go."""
        ...
