"""Where nobody has seen an entity, and its route says how to ask its tool for the state of it.

What the tool says is told to the store, and the store is asked again: it alone decides.  What the tool does not plainly
say stays a refusal.
"""

from sidecar.ask import ask
from sidecar.core.headers import Departures
from sidecar.core.order import look_for
from sidecar.core.refusal import Refusal
from sidecar.core.table import Matched
from sidecar.ports import Lease, Upstream

SOON_MS = 1000


async def look(
    upstream: Upstream, departures: Departures, matched: Matched, no: Refusal, lease: Lease
) -> tuple[str, str, int]:
    """The entity that ``no`` is about, its state, and for how many milliseconds that counts.

    Raises Refusal: ``no``, with what was heard, where the tool does not tell.
    """
    route, view = matched
    how = look_for(route.guards, view, no.unseen)
    if how is None:
        raise _still(no, "Its tool can only be asked for one record at a time.")
    target = how.path.target(view)
    try:
        heard = await ask(upstream, departures, matched, "GET", target, how.timeout_ms, lease)
    except Refusal as failed:
        raise _still(no, f"Its tool was asked, and gave no answer: {failed.detail}", SOON_MS) from None
    state = how.found(view, *heard)
    if not state:
        raise _still(no, f"Its tool was asked, and its answer ({heard.status}) tells no state.")
    return no.unseen, state, how.ttl_ms


def _still(no: Refusal, said: str, retry_after_ms: int | None = None) -> Refusal:
    return Refusal(
        no.code,
        f"{no.detail} {said}",
        retry_after_ms=retry_after_ms,
        blocked_by=no.blocked_by,
        wait_ms=no.wait_ms,
        retryable=retry_after_ms is not None,
    )
