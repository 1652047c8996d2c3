"""Budgets: what calls may sum up to, by an amount that each of them names, over a window and a scope.

Amounts are whole numbers of the smallest unit that the budget knows: with ``decimals: 2``, ``19.99`` counts 1999, and
``19.999`` is no amount.  They are read as decimals and never as binary fractions, so no cent is lost or won.

What cannot be read as an amount is refused and never taken for nothing: a missing amount would pass every limit.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import quote

from sidecar.core.field import Field
from sidecar.core.guard import Budget
from sidecar.core.refusal import Refusal
from sidecar.core.template import Template
from sidecar.core.view import View

Per: TypeAlias = Literal["tenant", "workflow", "run", "global"]

MOST: Final = 2**53 - 1
"""The store's scripts compare doubles, which are exact up to here."""
_TEXT: Final = re.compile(r"\d{1,16}(?:\.\d{1,9})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class BudgetSpec:
    """One budget, as the calls of one route count in it."""

    tool: str
    name: str
    amount: Template
    """One field; a list of it is summed."""
    limit: int
    """In the smallest unit, like every amount here."""
    window_ms: int
    decimals: int = 0
    per: Per = "tenant"
    key: Template | None = None
    """A sum of its own for each of its values."""

    @property
    def reads_body(self) -> bool:
        """It looks into the body."""
        return self.amount.reads_body or (self.key is not None and self.key.reads_body)

    def of(self, view: View) -> tuple[Budget, ...]:
        """The call's part in it.  Raises Refusal ``key-underivable``."""
        amount = self._amount(self.amount.fields[0], view)
        if amount == 0:
            return ()
        parts = (self.tool, self.name, *self._scope(view), *self._value(view))
        name = ":".join(quote(part, safe=" @+=,", errors="surrogatepass") for part in parts)
        return (Budget(self.name, name, amount, self.limit, self.window_ms, self.decimals),)

    def _scope(self, view: View) -> tuple[str, ...]:
        who = view.who
        if self.per == "tenant":
            return ("tenant", who.tenant)
        if self.per == "workflow":
            return ("workflow", who.tenant, who.workflow)
        if self.per == "global":
            return ()
        if not who.run:
            raise Refusal(
                "key-underivable",
                f"The budget {self.name} is one for each run, and the call does not say which run it belongs to. "
                "Nothing was sent. Send an X-Agent-Run header (or traceparent) with the id of this run.",
            )
        return ("run", who.tenant, who.run)

    def _value(self, view: View) -> tuple[str, ...]:
        if self.key is None:
            return ()
        names = sorted(set(self.key.names(view)))
        if len(names) > 1:
            raise Refusal(
                "key-underivable",
                f"This call counts in the budget {self.name}, which has a sum for each {self.key.text}, and it names "
                "several of them. Nothing was sent. Send one call for each.",
            )
        return (names[0],)

    def _amount(self, field: Field, view: View) -> int:
        value = field.value(view)
        amounts = [self._units(item) for item in (value if isinstance(value, list) else [value])]
        total = sum(amount for amount in amounts if amount is not None)
        if None in amounts or not amounts or total > MOST:
            unit = f"with at most {self.decimals} decimals" if self.decimals else "without decimals"
            raise Refusal(
                "key-underivable",
                f"This call counts in the budget {self.name} by {{{field.text}}}, which must be a positive number "
                f"{unit}, or a list of such, and is not. Nothing was sent. Correct the amount and send the call again.",
            )
        return total

    def _units(self, value: Any) -> int | None:
        return units(value, self.decimals)


def units(value: Any, decimals: int) -> int | None:
    """A number as a body says it, in units of its last decimal; None where it is none, negative or too exact."""
    text = value if isinstance(value, str) else _written(value)
    if not text or (isinstance(value, str) and not _TEXT.fullmatch(text)):
        return None
    number = Decimal(text)
    if not number.is_finite() or number.is_signed() or number > MOST:
        return None
    scaled = number.scaleb(decimals)
    return int(scaled) if scaled == scaled.to_integral_value() else None


def _written(value: Any) -> str:
    """A JSON number in the fewest digits that mean it; empty for anything else."""
    if isinstance(value, float):
        return repr(value)
    return str(value) if type(value) is int and abs(value) <= MOST else ""


def shown(units_: int, decimals: int) -> str:
    """An amount as people write it."""
    return str(Decimal(units_).scaleb(-decimals))
