"""One call on an agent's connection, and the way back: what the pipeline calls an ``Agent``.

The end of a reply is held back until ``finish``: the last piece of a body whose length is known, the last chunk of
one that is chunked, the close of one that ends with it.  So an agent that has a complete answer knows that its call
is on record.  An answer that arrived whole is held back whole, and leaves in one write.

An agent that reads slowly does not keep the call open: what fits in ``keep`` bytes is taken from the upstream without
waiting for it.  Past that, the agent's pace is the upstream's.
"""

import asyncio
from typing import Any, Final, Protocol, cast

from sidecar.core.call import AgentGone, Answer, Call, Headers
from sidecar.core.refusal import Refusal
from sidecar.ports import Connection, UpstreamAnswer
from sidecar.wire import reply
from sidecar.wire.body import Body, Whole
from sidecar.wire.head import Head
from sidecar.wire.held import Held

_EVENT_STREAM: Final = b"text/event-stream"


class Line(Protocol):
    """What an exchange asks of its connection."""

    lost: bool
    """The agent hung up; writing does nothing."""
    blocked: bool
    """The agent reads more slowly than we write."""
    retiring: bool
    """This connection takes no further call."""

    def write(self, data: bytes) -> None: ...
    def write_parts(self, parts: tuple[bytes, ...]) -> None: ...
    async def writable(self) -> None:
        """Returns once the agent caught up, or hung up."""
        ...

    def end(self, last: bytes, close: bool) -> None:
        """Write the reply's last bytes.  What the agent says from here on is another request, unless ``close``."""
        ...

    def abort(self) -> None: ...
    async def tunnel(self, held: Held) -> None: ...
    def intercept(self, connect: Call) -> None:
        """Hand the connection over to whoever opens the CONNECT."""
        ...


class Exchange:
    """An agent's request and the reply to it."""

    __slots__ = (
        "_begun",
        "_close",
        "_held",
        "_http_1_0",
        "_line",
        "_over",
        "_relaying",
        "_switches",
        "body",
        "call",
        "task",
        "waiting",
    )

    def __init__(self, line: Line, call: Call, head: Head, body: Body | Whole) -> None:
        self.call = call
        self.body = body
        self.waiting = True
        self.task: asyncio.Task[Any] | None = None
        self._line = line
        self._http_1_0 = head.http_1_0
        # What follows a refused CONNECT may be meant for the tunnel that it did not get.
        self._close = head.close or call.method == "CONNECT"
        self._begun = False
        self._over = False
        self._switches = False
        self._held: bytes | None = None
        self._relaying: UpstreamAnswer | None = None

    async def read(self, limit: int) -> bytes:
        """The whole body.  Raises Refusal ``body-too-large``, or ``bad-request`` where the body breaks off."""
        body = self.body
        if body.length is not None and body.length > limit:
            raise _body_too_large(limit)
        whole = body.whole
        if whole is not None:
            if len(whole) > limit:
                raise _body_too_large(limit)
            return whole
        pieces = []
        size = 0
        while piece := await body.read():
            size += len(piece)
            if size > limit:
                raise _body_too_large(limit)
            pieces.append(piece)
        return b"".join(pieces)

    def expected(self) -> None:
        """Nobody refused the head at once, so the body is wanted: tell the client that waits to send it."""
        if not self._begun and not self.body.ended:
            self._line.write(reply.CONTINUE)

    def inform(self, status: int, headers: Headers) -> None:
        """Pass an interim (1xx) answer on; HTTP/1.0 knows none."""
        if not self._begun and not self._http_1_0:
            self._line.write(reply.interim(status, headers))

    def reply(self, answer: Answer) -> None:
        """A whole reply at once; where one has begun already, aborts the connection instead."""
        if self._over:
            return
        if self._begun:
            self._line.abort()
            return
        self._begun = True
        self._decide_close()
        self._end(reply.of_answer(answer, self.call.method, self._close))

    async def relay(self, answer: UpstreamAnswer, verdict: bytes, keep: int, finish: bool) -> bytes | None:
        """Pass ``answer`` on, but for its end; see ``ports.Agent``.

        Raises AgentGone where the agent hung up and ``finish`` is false; the upstream is dropped then.
        """
        body = answer.body
        whole = body.whole
        if reply.bodyless(self.call.method, answer.status):
            self._decide_close()
            self._switches = answer.status == 101
            self._held = reply.of_upstream(answer, verdict, reply.length_only(answer.headers), self._close)
            return whole or b""
        if whole is None or body.trailers:
            return await self._stream(answer, verdict, keep, finish)
        self._decide_close()
        framing = reply.framing(len(whole), self._http_1_0)
        self._held = reply.of_upstream(answer, verdict, framing, self._close, whole)
        return whole if len(whole) <= keep and not _is_stream(answer.headers) else None

    def finish(self) -> None:
        """Let the held-back end go."""
        held, self._held = self._held, None
        if held is None or self._over:
            return
        self._begun = True
        if self._switches:
            self._line.write(held)
        else:
            self._end(held)

    async def tunnel(self, upstream: Connection) -> None:
        """Splice the agent with ``upstream``, for a CONNECT or after a 101; returns when both have ended.

        For a CONNECT this is the reply.  Whatever becomes of it, ``upstream`` is taken and closed.
        """
        self._begun = self._over = True
        if self.call.method == "CONNECT":
            self._establish()
        await self._line.tunnel(cast("Held", upstream))  # the one kind of connection that the wire hands out

    def intercept(self) -> None:
        """Answer a CONNECT, and take what comes inside it for calls of their own."""
        self._begun = self._over = True
        self._establish()
        self._line.intercept(self.call)

    def _establish(self) -> None:
        """Answer a CONNECT; of a redirected connection nobody said one, and nobody waits for an answer."""
        if not self.call.address:
            self._line.write(reply.ESTABLISHED)

    def hung_up(self, error: Refusal) -> None:
        """The agent is gone.  A call that still waits is called off; one in flight goes on."""
        self.body.fail(error)
        if self._relaying is not None:
            self._relaying.body.fail(AgentGone())
        if self.waiting and not self._over and self.task is not None:
            # A task that is cancelled before its first step never enters its cleanup, so that comes first.
            self.task.get_loop().call_soon(self.task.cancel)

    def ended(self) -> None:
        """The handler returned or failed: a reply that it left open can only be broken off."""
        if not self._over:
            self._line.abort()

    @property
    def begun(self) -> bool:
        return self._begun

    async def _stream(self, answer: UpstreamAnswer, verdict: bytes, keep: int, finish: bool) -> bytes | None:
        body, line = answer.body, self._line
        left = None if body.trailers else body.length
        self._begun = True
        self._decide_close()
        framing = reply.framing(left, self._http_1_0)
        line.write(reply.of_upstream(answer, verdict, framing, self._close))
        kept: list[bytes] | None = None if _is_stream(answer.headers) else []
        self._relaying = None if finish else answer
        if line.lost and not finish:
            body.fail(AgentGone())
        try:
            size = 0
            while piece := await body.read():
                size += len(piece)
                if kept is not None:
                    kept.append(piece)
                    kept = kept if size <= keep else None
                if left is not None and size >= left:
                    self._held = piece
                elif left is not None or self._http_1_0:
                    line.write(piece)
                else:
                    line.write_parts(reply.chunk(piece))
                if line.blocked and kept is None:
                    await line.writable()
        except AgentGone:
            answer.abandon()
            raise
        finally:
            self._relaying = None
        if left is None:
            self._held = b"" if self._http_1_0 else reply.last_chunk(body.trailers)
        elif self._held is None:
            self._held = b""  # a length of nothing
        return None if kept is None else b"".join(kept)

    def _decide_close(self) -> None:
        """Close after a body nobody read, or for a client that asked for it, or for a sidecar that stops."""
        if not self.body.ended or self._line.retiring:
            self._close = True

    def _end(self, last: bytes) -> None:
        self._over = True
        self._line.end(last, self._close)


def _is_stream(headers: Headers) -> bool:
    return (headers.get(b"content-type") or b"").lower().startswith(_EVENT_STREAM)


def _body_too_large(limit: int) -> Refusal:
    return Refusal(
        "body-too-large",
        f"This route looks into the body, and takes {limit} bytes of it at most. Nothing was sent. Send the change in"
        " smaller parts, or ask the route's owner to raise body_limit.",
    )
