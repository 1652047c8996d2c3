"""Guards in the store's words, and what the store says of them as refusals."""

from collections.abc import Sequence
from typing import Any

import orjson

from sidecar.core.claim import Claim
from sidecar.core.guard import Fresh, Guard, Observe, Order
from sidecar.core.refusal import Refusal
from sidecar.gate import order
from sidecar.gate.safe import safe


def packed(guards: Sequence[Guard]) -> str:
    """The ``guards`` argument of ``admit``: JSON, a list of lists that begin with the guard's word."""
    return orjson.dumps([_terms(guard) for guard in guards]).decode()


def _terms(guard: Guard) -> list[order.Term]:
    match guard:
        case Observe(entity):
            return ["observe", safe(entity)]
        case Fresh(entity):
            return ["fresh", safe(entity)]
        case Order():
            return order.terms(guard)


def name_of(guard: Guard) -> str:
    """As ``blocked_by`` names it."""
    return f"{_terms(guard)[0]}:{guard[0]}"


def refusal(claim: Claim, nth: int, said: Sequence[Any], wait_ms: int) -> Refusal:
    """What the nth guard (from 0) said no with: ``said`` is what its Lua returned behind the patience."""
    guard = claim.guards[nth]
    if isinstance(guard, Order):
        return order.refusal(guard, said, wait_ms)
    raise AssertionError(f"guard {claim.guards[nth]} said {said} after {wait_ms} ms")
