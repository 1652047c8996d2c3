"""Order in the store's words, and what the store says of it as refusals."""

from collections.abc import Sequence
from typing import Any, Final

from sidecar.core.guard import Order
from sidecar.core.problems import listed
from sidecar.core.refusal import Refusal
from sidecar.gate.safe import safe

Term = str | int | tuple[str, ...]

LONGEST_RETRY_MS: Final = 5000
"""A running step's time is an upper bound; most end long before."""


def terms(guard: Order) -> list[Term]:
    """Of the guard, as ``guard_order.lua`` reads them."""
    return [
        "order",
        safe(guard.entity),
        guard.requires,
        guard.max_age_ms,
        guard.wait_ms,
        guard.sets,
        guard.retention_ms,
        guard.unseen,
    ]


def refusal(guard: Order, said: Sequence[Any], wait_ms: int) -> Refusal:
    """What the guard said no with: a word, how long ago or how much longer, a state, and who about."""
    word, ms, at, about = said[0].decode(), said[1], said[2].decode(), said[3].decode()
    run, who = _step(about)
    by = f"order:{guard.entity}"
    name = guard.entity
    if word == "running":
        text = f"{name} is on its way to '{at}': {who} is still running. {_NOTHING} Retry in a moment."
        retry_ms = max(min(ms, LONGEST_RETRY_MS), 1)
        return Refusal(
            "prior-step-running",
            text,
            retry_after_ms=retry_ms,
            holder_run=run,
            blocked_by=by,
            wait_ms=wait_ms,
        )
    if word == "unknown":
        text = (
            f"The step {who}, which would make {name} '{at}', was sent {_ago(ms)}, and no answer says "
            f"whether it took effect. {_NOTHING} Read the record to see which state it is in. Repeat exactly that "
            "step if its route allows it; else a person has to say what it did."
        )
        return Refusal("outcome-unknown", text, holder_run=run, blocked_by=by, wait_ms=wait_ms)
    if word == "stale":
        text = (
            f"{name} became '{at}' {_ago(ms)} (by {who}), and for this call that may be at most "
            f"{_time(guard.max_age_ms)} ago. {_NOTHING} {_advice(guard, 'again')}"
        )
        return Refusal("prior-step-stale", text, holder_run=run, blocked_by=by, wait_ms=wait_ms)
    need = "this call requires it to be " + listed([f"'{state}'" for state in guard.requires])
    if word == "unseen":
        text = (
            f"Nobody has brought {name} into any state here, and {need}. {_NOTHING} {_advice(guard, 'first')}"
        )
        asked = name if guard.unseen == "probe" else ""
        return Refusal("prior-step-missing", text, blocked_by=by, wait_ms=wait_ms, unseen=asked)
    since = f"{_ago(ms)}, by {who}" if about else "as its tool says" if ms >= 0 else "where it begins"
    text = f"{name} is '{at}' ({since}), and {need}. {_NOTHING} {_advice(guard, 'first')}"
    return Refusal("prior-step-missing", text, holder_run=run, blocked_by=by, wait_ms=wait_ms)


_NOTHING: Final = "Nothing was sent."


def _advice(guard: Order, when: str) -> str:
    if guard.steps:
        return f"Do the step that comes before ({listed(guard.steps)}) {when}, then send this call."
    return f"Do the step that comes before {when}, then send this call."


def _step(about: str) -> tuple[str, str]:
    """The run, and words for a step and who made it."""
    run, workflow, _tool, route = [*about.split("\n"), "", "", ""][:4]
    who = f"of run {run}" if run else f"of workflow {workflow}" if workflow else "of another caller"
    return run, f"{route or 'unnamed'} {who}"


def _ago(ms: int) -> str:
    return f"{_time(ms)} ago" if ms >= 1000 else "just now"


def _time(ms: int) -> str:
    for size, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s")):
        if ms >= size:
            return f"{ms // size} {unit}"
    return f"{ms} ms"
