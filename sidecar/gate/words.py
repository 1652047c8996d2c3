"""The store's words as refusals: what happened and what to do next, for a model to read.

Everything said about another call is its run and workflow; keys, bodies and credentials never appear.
"""

from itertools import pairwise
from typing import Any, Final

from sidecar.core.claim import Claim
from sidecar.core.refusal import Refusal
from sidecar.gate import guards
from sidecar.gate.keyspace import place_name

SOON_MS: Final = 1000
LONGEST_RETRY_MS: Final = 5000
"""A holder's time is an upper bound; most let go long before, so asking earlier is worth it."""


def refusal(claim: Claim, reply: list[Any], wait_ms: int) -> Refusal:
    """The refusal that a reply of ``admit`` amounts to."""
    match reply:
        case [b"blocked", at, ahead, left_ms, state, _holder, about]:
            return _blocked(claim, at, ahead, left_ms, state.decode(), about.decode(), wait_ms)
        case [b"deadlocked", *circle]:
            return _deadlocked(claim, [word.decode() for word in circle], wait_ms)
        case [b"full", wall, after_ms]:
            return _full(claim, wall.decode(), after_ms, wait_ms)
        case [b"unknown", since_ms, why, about]:
            return _unknown(since_ms, why.decode(), about.decode(), wait_ms)
        case [b"done", status]:
            text = _DONE.format(status=status.decode()) if status else _FOUND
            return Refusal("answer-not-kept", text, wait_ms=wait_ms)
        case [b"guarded", nth, _patience_ms, *said]:
            return guards.refusal(claim, nth, said, wait_ms)
        case [b"lapsed"]:  # so late an answer to so early an ask is worth no more than none
            return away()
        case [b"reused"]:
            return Refusal("key-reused", _REUSED, wait_ms=wait_ms)
        case _:
            raise AssertionError(f"admit answered {reply[:1]}")


def away(paused_s: float = 0.0) -> Refusal:
    """The store cannot be asked, or must not be believed yet."""
    if paused_s:
        return Refusal(
            "store-unavailable", _PAUSED, retry_after_ms=int(paused_s * 1000) + 1, outcome="not_sent"
        )
    return Refusal("store-unavailable", _AWAY, retry_after_ms=SOON_MS, outcome="not_sent")


_DONE: Final = (
    "The same call was done already (the upstream answered {status}), and its answer was not kept because it was too "
    "large or a stream. It was not sent again. Read the record to see its state, and do not repeat the call."
)
_FOUND: Final = (
    "The same call was made before, and was found to have taken effect; the answer that it got is not known. It was "
    "not sent again. Read the record to see its state, and do not repeat the call."
)
_REUSED: Final = (
    "This idempotency key was used before for a different request. Nothing was sent. Use a new key for a new request, "
    "or send exactly the request that the key was first used for."
)
_AWAY: Final = (
    "The sidecar cannot reach its store, so it cannot tell whether this call would collide with another. "
    "Nothing was sent. Send the same call again in a moment."
)
_PAUSED: Final = (
    "The sidecar's store lost what it knew, and grants that exclude others pause until every older one has run out. "
    "Nothing was sent. Send the same call again after the time given."
)


def _run_of(about: str) -> tuple[str, str]:
    """The run, and words for who it is."""
    run, workflow = [*about.split("\n"), ""][:2] if about else ("", "")
    if run:
        return run, f"run {run}" + (f" of workflow {workflow}" if workflow else "")
    return "", f"a call of workflow {workflow}" if workflow else "another call"


def _blocked(
    claim: Claim, at: int, ahead: int, left_ms: int, state: str, about: str, wait_ms: int
) -> Refusal:
    by = place_name(claim, at)
    if by.startswith(("rate:", "pause:")):
        return _closed(claim, by, ahead, left_ms if not state else min(left_ms, LONGEST_RETRY_MS), wait_ms)
    run, who = _run_of(about)
    queue = _queue(ahead)
    if at == 0:
        code = "in-progress"
        text = f"The same call is still running, started by {who}. It was not sent a second time. Ask again later: "
        text += "you will get the first call's answer. Do not change the call to get around this."
    elif at <= len(claim.locks):
        code = "locked"
        lock = by.removeprefix("lock:")
        text = f"{lock} is held by {who}." if about else f"{lock} is kept for a call that waits longer."
        if state == "held":
            text += " It keeps it between its calls, until it ends or has been quiet for a while."
        if state == "lapsed":
            text += " That call's outcome is unknown, and until its request must be over nobody else may write here."
        text += f"{queue} Nothing was sent. Wait, read the record again (it may have changed), and retry."
    else:
        code = "cap-timeout"
        first = f", the one that ends first by {who}" if about else ""
        text = (
            f"All slots of {by.removeprefix('cap:')} are taken{first}.{queue} Nothing was sent. Retry later."
        )
    retry_ms = left_ms if state == "lapsed" else min(left_ms, LONGEST_RETRY_MS)
    return Refusal(
        code, text, retry_after_ms=max(retry_ms, 1), holder_run=run, blocked_by=by, wait_ms=wait_ms
    )


def _deadlocked(claim: Claim, circle: list[str], wait_ms: int) -> Refusal:
    """``circle``: the lock it wants, who holds it, the lock that one waits for, who holds that, to one of its own."""
    steps = [
        (place.removeprefix("lock:"), *_run_of(about))
        for place, about in zip(circle[::2], circle[1::2], strict=True)
    ]
    lock, run, who = steps[0]
    text = f"This call of run {claim.run} waits for {lock}, which {who} holds"
    for (_, _, before), (wanted, _, owner) in pairwise(steps):
        text += f"; {before} waits for {wanted}, which {owner} holds"
    text += (
        ". None of them can go on, so this one does not wait. Nothing was sent. Let go of what this run holds "
        "(send 'X-Agent-Run-End: true' with a call, or have an operator DELETE /runs/ID), then begin it again."
    )
    return Refusal(
        "locked", text, retry_after_ms=SOON_MS, holder_run=run, blocked_by=f"lock:{lock}", wait_ms=wait_ms
    )


def _queue(ahead: int) -> str:
    """Other tenants' calls take turns with those of its own, so only these are sure to go first."""
    return f" {ahead} more call{'s' if ahead > 1 else ''} of its tenant wait before it." if ahead else ""


def _closed(claim: Claim, by: str, ahead: int, left_ms: int, wait_ms: int) -> Refusal:
    """What opens by the clock: asking earlier is not worth it, unless a probe is out, which ends any moment."""
    queue = _queue(ahead)
    kind, _, name = by.partition(":")
    if kind == "rate":
        code, text = "rate-limited", f"The rate of {name} is used up.{queue}"
    else:
        code = "tool-paused"
        text = f"{claim.tool} asked to be left alone, and until one call went well again every other waits.{queue}"
    text += " Nothing was sent. Send the same call again after the time given."
    return Refusal(code, text, retry_after_ms=max(left_ms, 1), blocked_by=by, wait_ms=wait_ms)


_WALLS: Final = {
    "tenant": "Too many calls of tenant {tenant} wait already.",
    "total": "Too many calls of all tenants together wait already.",
    "time": "So many calls of tenant {tenant} wait before it that, at the pace they go now, it could not go in time.",
}


def _full(claim: Claim, wall: str, after_ms: int, wait_ms: int) -> Refusal:
    tenant = claim.flow.tenant
    text = (
        f"{_WALLS[wall].format(tenant=tenant)} Nothing was sent. Slow down, and retry after the time given."
    )
    return Refusal(
        "queue-full",
        text,
        retry_after_ms=after_ms or SOON_MS,
        blocked_by="queue:total" if wall == "total" else f"queue:{wall}:{tenant}",
        wait_ms=wait_ms,
    )


def _unknown(since_ms: int, why: str, about: str, wait_ms: int) -> Refusal:
    run, who = _run_of(about)
    ago = f"{since_ms / 1000:.0f} s ago" if since_ms >= 1000 else "just now"
    text = (
        f"The same call was sent {ago} by {who}, and no answer says whether it took effect ({why}). It was not sent "
        "again. Read the record to see whether the effect is there. If it is, go on; if not, a person has to decide."
    )
    return Refusal("outcome-unknown", text, holder_run=run, blocked_by="intent", wait_ms=wait_ms)
