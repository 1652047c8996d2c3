"""Asking a tool something, as whoever makes a call: one request that changes nothing, under the same egress policy.

It carries what says who calls, and nothing of what the call says; it is asked for by nobody's grant, since it has no
effect.  What its answer means is for who asks to say.
"""

from typing import Final, NamedTuple

from sidecar.core.call import Headers
from sidecar.core.headers import Departures
from sidecar.core.refusal import Refusal
from sidecar.core.table import Matched
from sidecar.ports import Lease, Upstream

LARGEST_BYTES: Final = 1024 * 1024
"""Of an answer; a larger one tells nothing."""


class Heard(NamedTuple):
    """A whole answer."""

    status: int
    headers: Headers
    body: bytes


async def ask(
    upstream: Upstream,
    departures: Departures,
    matched: Matched,
    method: str,
    target: str,
    timeout_ms: int,
    lease: Lease,
) -> Heard:
    """The answer to ``method target``; ``lease`` is of nothing.  Raises Refusal where there is none to be had."""
    route, view = matched
    request = departures.asking(route.tool, view.call, method, target, timeout_ms)
    answer = await upstream.send(request, b"", lease, lambda _status, _headers: None)
    pieces, size = [], 0
    while piece := await answer.body.read():
        pieces.append(piece)
        size += len(piece)
        if size > LARGEST_BYTES:
            answer.abandon()
            raise Refusal("upstream-failed", "Its answer is too large to look into.")
    return Heard(answer.status, answer.headers, b"".join(pieces))
