"""Guards in the store's words, and what the store says of them as refusals."""

from collections.abc import Sequence
from typing import Any

import orjson

from sidecar.core.claim import Claim
from sidecar.core.guard import Approval, Fresh, Guard, Observe
from sidecar.core.refusal import Refusal
from sidecar.gate.safe import safe
from sidecar.gate.unapproved import unapproved


def packed(guards: Sequence[Guard]) -> str:
    """The ``guards`` argument of ``admit``: JSON, a list of lists that begin with the guard's word."""
    return orjson.dumps([_terms(guard) for guard in guards]).decode()


def _terms(guard: Guard) -> list[str | int | bool]:
    match guard:
        case Observe(entity):
            return ["observe", safe(entity)]
        case Fresh(entity):
            return ["fresh", safe(entity)]
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
        case Approval(name):
            return f"approval:{said[1].decode() if len(said) > 1 and said[0] != b'many' else name}"
    return f"{_terms(guard)[0]}:{guard[0]}"


def refusal(claim: Claim, nth: int, said: Sequence[Any], wait_ms: int) -> Refusal:
    """What the nth guard (from 0) said no with: ``said`` is what its Lua returned behind the patience."""
    guard = claim.guards[nth]
    match guard:
        case Approval():
            return unapproved(said, name_of(guard, said), wait_ms)
    raise AssertionError(f"guard {guard} said {said} after {wait_ms} ms")
