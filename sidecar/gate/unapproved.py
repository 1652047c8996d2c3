"""A call that waits for a person, or was denied by one, in words for the model that sent it."""

from collections.abc import Sequence
from typing import Any, Final

from sidecar.core.refusal import Refusal

_ASK_AGAIN_MS: Final = 10_000
"""A person takes longer; but a retry is held again, and costs little."""
_WOULD: Final = "A person would have to approve this call."
_MANY: Final = (
    "A person must approve this call, and {most} calls of this {whose} wait for that already, so nobody was asked and "
    "nothing was sent. Wait until they are decided, and send this call again then."
)
_PENDING: Final = (
    "A person must approve this call{more}, and was asked to. Nothing was sent. Go on with other work, and send "
    "exactly the same call again later: it goes once it is approved. A changed call would have to be approved anew. "
    "The question is {address} on the sidecar's admin port, and open for {left_s} s more."
)
_DENIED: Final = (
    "{by} denied this call{why}. Nothing was sent. Do not send it again, and do not try to reach the same by another "
    "call; tell whoever gave you the task."
)


def unapproved(said: Sequence[Any], by: str, wait_ms: int) -> Refusal:
    """The refusal that the words of ``guard_approval`` amount to; ``by``: as ``blocked_by`` names it."""
    match said:
        case [b"pending", asked, left_ms, missing]:
            address = f"/approvals/{asked.decode()}"
            more = f" ({missing} people have to)" if missing > 1 else ""
            text = _PENDING.format(more=more, address=address, left_s=-(-left_ms // 1000))
            return Refusal(
                "approval-pending",
                text,
                retry_after_ms=min(left_ms, _ASK_AGAIN_MS),
                blocked_by=by,
                approval=address,
                wait_ms=wait_ms,
            )
        case [b"denied", asked, who, why]:
            address, why = f"/approvals/{asked.decode()}", why.decode()
            text = _DENIED.format(by=who.decode(), why=f": {why}" if why else "")
            return Refusal("approval-denied", text, blocked_by=by, approval=address, wait_ms=wait_ms)
        case [b"many", whose, most]:
            text = _MANY.format(whose=whose.decode(), most=most)
            by = f"approvals:{whose.decode()}"
            return Refusal("queue-full", text, retry_after_ms=_ASK_AGAIN_MS, blocked_by=by, wait_ms=wait_ms)
    return Refusal("approval-pending", _WOULD, blocked_by=by, wait_ms=wait_ms)
