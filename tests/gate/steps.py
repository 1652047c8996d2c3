"""Claims that have an order, as the gate's tests make them."""

from typing import Any

from sidecar.core.claim import Claim
from sidecar.core.guard import Order
from tests.gate.scripts import claim

HOUR_MS = 3_600_000


def order(entity: str = "invoice:1", requires: str = "", sets: str = "", **others: Any) -> Order:
    """``requires``: states with blanks between."""
    fields = {"max_age_ms": 0, "wait_ms": 5_000, "retention_ms": 24 * HOUR_MS, "unseen": "refuse"}
    fields |= {"steps": ()} | others
    return Order(entity, tuple(requires.split()), sets=sets, **fields)


def step(call: str, requires: str = "", sets: str = "", intent: str | None = None, **others: Any) -> Claim:
    """A call that requires states of one invoice and sets another; what is no field of an order is one of the claim."""
    own = {name: others.pop(name) for name in Order._fields if name in others}
    return claim(call, intent, guards=(order(requires=requires, sets=sets, **own),), **others)
