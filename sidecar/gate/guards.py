"""Guards in the store's words, and what the store says of them as refusals."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from sidecar.core.claim import Claim
from sidecar.core.guard import EndRun, Fresh, Guard, Hold, Observe
from sidecar.core.refusal import Refusal
from sidecar.gate.safe import safe


def packed(guards: Sequence[Guard], lease_ms: int) -> str:
    """The ``guards`` argument of ``admit``: JSON, a list of lists that begin with the guard's word."""
    return orjson.dumps([_terms(guard, lease_ms) for guard in guards]).decode()


def _terms(guard: Guard, lease_ms: int) -> list[str | int]:
    match guard:
        case Observe(entity):
            return ["observe", safe(entity)]
        case Fresh(entity):
            return ["fresh", safe(entity)]
        case Hold(entity, idle_ms):
            return ["hold", safe(entity), idle_ms, lease_ms]
        case EndRun():
            return ["end"]


def name_of(guard: Guard) -> str:
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


def refusal(claim: Claim, nth: int, said: Sequence[Any], wait_ms: int) -> Refusal:
    """What the nth guard (from 0) said no with: ``said`` is what its Lua returned behind the patience."""
    guard = claim.guards[nth]
    match guard:
        case Fresh(entity):
            return _stale(guard, entity, said, wait_ms)
    raise AssertionError(f"guard {guard} said {said} after {wait_ms} ms")


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
        blocked_by=name_of(guard),
        wait_ms=wait_ms,
    )
