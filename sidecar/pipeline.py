"""One call, from the agent's first byte to its last.  Read this file first.

    ingress -> match -> identify -> derive -> admit -> forward -> settle -> reply

Each stage returns a small frozen value and the locals of ``serve`` are the context: nothing is filled in later.  What
the order promises, and tests hold it to:

- no byte goes upstream without a grant, and no grant without a matched route;
- the lease covers the body, not the headers, and the end of the reply leaves only after the record is written;
- right before the first byte the lease is proven held (``Lease.sending``), else nothing is sent;
- an agent that hangs up does not stop a call in flight: it is finished and stored, and its retry gets the answer;
- every exit settles exactly once (``Lease.__aexit__``), shielded from cancellation.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from sidecar.core.call import Answer, Call, Headers, RawHeaders
from sidecar.core.claim import Claim
from sidecar.core.outbound import Outbound
from sidecar.core.outcome import Outcome


class Body(Protocol):
    """A message body as it arrives, pulled piece by piece; the socket behind it is paused while nobody pulls."""

    length: int | None
    """Content-Length; None where only the end tells."""
    trailers: RawHeaders
    """Complete once ``read`` returned the end."""

    async def read(self) -> bytes:
        """The next piece; empty at the end.  Raises Refusal where the body breaks off."""
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
    body: Body


class Lease(Protocol):
    """A held grant."""

    fence: int
    wait_ms: int
    origin: str
    """Id of the call that first tried this intent: the same for every re-send of an unknown outcome, and this call's
    own wherever the intent runs anew.  The key an upstream sees is made of it, so that it recognises a re-send and
    does not mistake the next execution (A, B, A again) for one."""

    def sending(self) -> None:
        """Called right before the first byte leaves.  Raises Refusal where the lease is not provably held."""
        ...

    async def settle(self, outcome: Outcome) -> None:
        """Record the outcome and release what was held.  Exactly once; never raises for a store that is away."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Settle if nobody did: ``not_sent`` where no byte was written, else ``unknown``.  Shielded."""
        ...


class Replay(Protocol):
    """Somebody already did this."""

    answer: Answer
    joined: bool
    """The caller waited for a running twin, rather than finding a stored answer."""
    wait_ms: int


class Gate(Protocol):
    async def admit(self, claim: Claim) -> Lease | Replay:
        """Granted, or replayed, or a Refusal; waits up to ``claim.wait_ms``.  Cancelled: leaves its place in line."""
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


class Agent(Protocol):
    """One request on an agent's connection, and the way back to it."""

    call: Call
    body: Body
    waiting: bool
    """While true, an agent that hangs up cancels the call: nothing was sent yet."""

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

    def finish(self) -> None:
        """Let the held-back end go."""
        ...
