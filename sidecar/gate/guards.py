"""Guards in the store's words, and what the store says of them as refusals."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from sidecar.core.budget import shown
from sidecar.core.claim import Claim
from sidecar.core.guard import Approval, Budget, EndRun, Fresh, Guard, Hold, Observe, Order
from sidecar.core.refusal import Refusal
from sidecar.gate import order
from sidecar.gate.safe import safe
from sidecar.gate.unapproved import unapproved


def packed(guards: Sequence[Guard], lease_ms: int) -> str:
    """The ``guards`` argument of ``admit``: JSON, a list of lists that begin with the guard's word."""
    return orjson.dumps([_terms(guard, lease_ms) for guard in guards]).decode()


def _terms(guard: Guard, lease_ms: int) -> list[order.Term]:
    match guard:
        case Observe(entity):
            return ["observe", safe(entity)]
        case Fresh(entity):
            return ["fresh", safe(entity)]
        case Budget():
            numbers = (guard.amount, guard.limit, guard.window_ms, guard.decimals)
            about = ":".join(guard.name.split(":")[:2])
            # As text, since JSON's numbers are doubles there.
            return ["budget", safe(guard.name), *map(str, numbers), about]
        case Order():
            return order.terms(guard)
        case Hold(entity, idle_ms):
            return ["hold", safe(entity), idle_ms, lease_ms]
        case EndRun():
            return ["end"]
        case Approval():
            scopes = [f"tenant:{safe(guard.tenant)}", guard.run and f"run:{safe(guard.run)}"]
            bounds = [guard.per_run, guard.per_tenant, guard.effect, guard.announced]
            return [
                "approval",
                guard.request,
                guard.hold_ms,
                guard.ttl_ms,
                guard.approvers,
                *scopes,
                *bounds,
                guard.seen,
            ]


def name_of(guard: Guard, said: Sequence[Any]) -> str:
    """As ``blocked_by`` names it."""
    match guard:
        case Observe(entity):
            return f"observe:{entity}"
        case Fresh(entity):
            return f"fresh:{entity}"
        case Hold(entity):
            return f"lock:{entity}"
        case EndRun():
            return "run"
        case Budget(title):
            return f"budget:{title}"
        case Order(entity):
            return f"order:{entity}"
        case Approval(name):
            return f"approval:{said[1].decode() if len(said) > 1 and said[0] != b'many' else name}"


def refusal(claim: Claim, nth: int, said: Sequence[Any], wait_ms: int) -> Refusal:
    """What the nth guard (from 0) said no with: ``said`` is what its Lua returned behind the patience."""
    guard = claim.guards[nth]
    if isinstance(guard, Budget):
        return _spent(guard, said, wait_ms)
    if isinstance(guard, Order):
        return order.refusal(guard, said, wait_ms)
    if isinstance(guard, Approval):
        return unapproved(said, name_of(guard, said), wait_ms)
    if isinstance(guard, Fresh):
        return _stale(guard, guard.entity, said, wait_ms)
    raise AssertionError(f"guard {guard} said {said} after {wait_ms} ms")


def _spent(budget: Budget, said: Sequence[Any], wait_ms: int) -> Refusal:
    why, left, after_ms = said
    by = name_of(budget, said)
    asked, limit = shown(budget.amount, budget.decimals), shown(budget.limit, budget.decimals)
    whole = f"of the budget {budget.title}, which is {limit} in {_time(budget.window_ms)}"
    if why == b"never":
        text = f"This call asks for {asked} {whole}. Nothing was sent, and waiting does not help. "
        text += "Ask for less, or leave it to a person."
        return Refusal("rate-limited", text, blocked_by=by, wait_ms=wait_ms, retryable=False)
    text = (
        f"This call asks for {asked} {whole}, and {shown(left, budget.decimals)} are left; there may be room in "
        f"{_time(after_ms)}. Nothing was sent. Do not split it to get around this; ask for less, or send it again then."
    )
    return Refusal("rate-limited", text, retry_after_ms=max(after_ms, 1), blocked_by=by, wait_ms=wait_ms)


def _time(ms: int) -> str:
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000)):
        if ms >= 2 * size:
            return f"{ms / size:.0f} {unit}"
    return f"{max(ms, 1) / 1000:.0f} s"


def _stale(guard: Guard, entity: str, said: Sequence[Any], wait_ms: int) -> Refusal:
    at_ms, ago_ms, about = said
    run, workflow = [*about.decode().split("\n"), ""][:2]
    who = f"run {run}" if run else "a call without a run"
    who += f" of workflow {workflow}" if workflow else ""
    at = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Refusal(
        "stale-read",
        f"{entity} was changed by {who} at {at} ({ago_ms / 1000:.0f} s ago), and this run has not read it since. "
        "Nothing was sent. Read it again, decide again on what it says now, and then write.",
        holder_run=run,
        blocked_by=name_of(guard, said),
        wait_ms=wait_ms,
    )
