"""Guards in the store's words, and what the store says of them as refusals."""

from collections.abc import Sequence
from typing import Any

import orjson

from sidecar.core.budget import shown
from sidecar.core.claim import Claim
from sidecar.core.guard import Budget, Fresh, Guard, Observe, Order
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
        case Budget(
            _title, name, amount, limit, window_ms, decimals
        ):  # text: JSON's numbers are doubles there
            about = ":".join(name.split(":")[:2])
            return ["budget", safe(name), str(amount), str(limit), str(window_ms), str(decimals), about]
        case Order():
            return order.terms(guard)


def name_of(guard: Guard) -> str:
    """As ``blocked_by`` names it."""
    return f"{_terms(guard)[0]}:{guard[0]}"


def refusal(claim: Claim, nth: int, said: Sequence[Any], wait_ms: int) -> Refusal:
    """What the nth guard (from 0) said no with: ``said`` is what its Lua returned behind the patience."""
    guard = claim.guards[nth]
    if isinstance(guard, Budget):
        return _spent(guard, said, wait_ms)
    if isinstance(guard, Order):
        return order.refusal(guard, said, wait_ms)
    raise AssertionError(f"guard {claim.guards[nth]} said {said} after {wait_ms} ms")


def _spent(budget: Budget, said: Sequence[Any], wait_ms: int) -> Refusal:
    why, left, after_ms = said
    asked, limit = shown(budget.amount, budget.decimals), shown(budget.limit, budget.decimals)
    whole = f"of the budget {budget.title}, which is {limit} in {_time(budget.window_ms)}"
    if why == b"never":
        text = f"This call asks for {asked} {whole}. Nothing was sent, and waiting does not help. "
        text += "Ask for less, or leave it to a person."
        return Refusal(
            "rate-limited", text, blocked_by=f"budget:{budget.title}", wait_ms=wait_ms, retryable=False
        )
    text = (
        f"This call asks for {asked} {whole}, and {shown(left, budget.decimals)} are left; there may be room in "
        f"{_time(after_ms)}. Nothing was sent. Do not split it to get around this; ask for less, or send it again then."
    )
    return Refusal(
        "rate-limited",
        text,
        retry_after_ms=max(after_ms, 1),
        blocked_by=f"budget:{budget.title}",
        wait_ms=wait_ms,
    )


def _time(ms: int) -> str:
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000)):
        if ms >= 2 * size:
            return f"{ms / size:.0f} {unit}"
    return f"{max(ms, 1) / 1000:.0f} s"
