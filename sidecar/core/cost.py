"""What one call takes of a rate: a number, or as many tokens as one field of it says.

``{body.inputs}`` counts the elements of a list, ``{query.count}`` is the number that stands there.  So an upstream that
counts records rather than requests is asked no faster than it allows.  A call takes one slot of a cap whatever it
costs: a cap bounds requests in flight, and a batch is one of them.
"""

from dataclasses import dataclass
from typing import Final, Self

from sidecar.core.claim import Rate
from sidecar.core.field import Field
from sidecar.core.refusal import Refusal
from sidecar.core.template import Template
from sidecar.core.view import View

MOST: Final = 1000
"""Tokens of one call: the store writes each of them."""


@dataclass(frozen=True, slots=True)
class Cost:
    """A number, or the field that says it."""

    text: str
    fixed: int
    """Where there is no field."""
    field: Field | None = None

    @classmethod
    def parse(cls, text: str, parameters: frozenset[str] | None = None) -> Self:
        """``5`` or ``{body.inputs}``.  Raises ValueError."""
        if text.isascii() and text.isdigit() and len(text) <= 4:
            if not 1 <= int(text) <= MOST:
                raise ValueError(f"a cost must be from 1 to {MOST}")
            return cls(text, int(text))
        template = Template.parse(text, parameters)
        if len(template.fields) != 1 or any(template.literals):
            raise ValueError("a cost is a number or one field, like {body.inputs}")
        return cls(text, 1, template.fields[0])

    @property
    def reads_body(self) -> bool:
        """It looks into the body."""
        return self.field is not None and self.field.source in ("body", "form")

    def weigh(self, rates: tuple[Rate, ...], view: View) -> tuple[Rate, ...]:
        """``rates`` as this call meets them.  Raises Refusal ``key-underivable`` or ``rate-limited``."""
        cost = self.fixed if self.field is None else self._said(self.field, view)
        for rate in rates:
            if cost > min(rate.most, MOST):
                raise _too_much(cost, rate)
        return tuple([Rate(rate.name, rate.most, rate.period_ms, cost) for rate in rates])

    def _said(self, field: Field, view: View) -> int:
        value = field.value(view)
        if isinstance(value, list):
            return max(len(value), 1)
        text = str(value)
        if isinstance(value, bool) or not text.isascii() or not text.isdigit() or len(text) > 9:
            raise Refusal(
                "key-underivable",
                f"This call counts against a rate by {{{field.text}}}, which must be a list or a whole number, and is "
                "neither. Nothing was sent. Correct the value and send the call again.",
            )
        return max(int(text), 1)


def _too_much(cost: int, rate: Rate) -> Refusal:
    most = min(rate.most, MOST)
    return Refusal(
        "rate-limited",
        f"This call counts {cost} times against {rate.name}, and one call may count {most} times at most. Nothing was "
        "sent, and waiting does not help. Split it into smaller calls.",
        blocked_by=f"rate:{rate.name}",
        retryable=False,
    )
