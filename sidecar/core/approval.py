"""Approval: which calls a person must agree to, to what exactly the person agrees, and what there is to see of it.

An approval is bound to the *exact request*: method, host, path, query, body, account, tenant, workflow and intent.  Who
changes any of them has asked for something else.  A condition that needs a field which the call lacks counts as met: a
refund without an amount is the largest one there is, so what cannot be judged goes to a person.

What the person sees is chosen by the route (``show``), since a body may hold what no person should: it goes through the
store and to the admin port, and from there to a chat.  Texts of the call are made one line of printable characters, for
they end on terminals.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from sidecar.core.condition import Condition
from sidecar.core.content import Unreadable
from sidecar.core.derive import exact
from sidecar.core.field import Field
from sidecar.core.guard import Approval
from sidecar.core.refusal import Refusal
from sidecar.core.route import SAFE, Tool
from sidecar.core.template import Template
from sidecar.core.view import View

LONGEST_SHOWN: Final = 300
"""Characters of one value; a cut one says how long it was, so that nobody takes a part for the whole."""


@dataclass(frozen=True, slots=True)
class ApprovalSpec:
    """What a route says of approval."""

    tool: Tool
    route: str
    when: Condition | None
    """None: every call of the route."""
    hold_ms: int
    """How long the agent is kept waiting."""
    ttl_ms: int
    """How long the question is open; and how long, from then on, the answer is good."""
    approvers: int
    """How many different people must agree."""
    show: tuple[tuple[str, Template], ...] = ()
    per_run: int = 5
    per_tenant: int = 50
    """Questions that may be open at once."""
    announced: bool = False
    """Somebody wants to be told that there is a question."""
    asks: bool = True
    """False where the route only observes: it tells that a person would be asked, and asks nobody."""

    @property
    def reads_body(self) -> bool:
        """The exact request has a body."""
        return True

    def of(self, view: View) -> Iterable[Approval]:
        """Raises Refusal ``key-underivable`` where the call cannot be judged."""
        if self.when is not None and not self.when.holds(view.read, missing=True):
            return ()
        who = view.who
        return (
            Approval(
                f"{self.tool.name}:{self.route}",
                exact(self.tool, view),
                self.hold_ms if self.asks else 0,
                self.ttl_ms if self.asks else 0,
                self.approvers,
                who.tenant,
                f"{len(who.tenant)}:{who.tenant}/{who.run}" if who.run else "",
                self.per_run,
                self.per_tenant,
                view.call.method not in SAFE,
                self.announced,
                orjson.dumps(self._seen(view)).decode(),
            ),
        )

    def _seen(self, view: View) -> dict[str, object]:
        return {
            "method": shown(view.call.method),
            "host": shown(view.host),
            "path": shown(view.path),
            "show": {label: rendered(template, view) for label, template in self.show},
        }


def rendered(template: Template, view: View) -> str:
    """A template as people read it; what the call lacks is left empty, since to show less stops nobody."""
    pieces = [template.literals[0]]
    for field, literal in zip(template.fields, template.literals[1:], strict=True):
        pieces += (_text(field, view), literal)
    return shown("".join(pieces))


def _text(field: Field, view: View) -> str:
    try:
        value: Any = field.value(view)
    except (Refusal, Unreadable):
        return ""
    return value if isinstance(value, str) else field.typed(view)


def shown(text: str) -> str:
    """``text`` as one line of printable characters, cut where it is long."""
    cut = text[:LONGEST_SHOWN]
    plain = "".join(character if character.isprintable() else " " for character in cut)
    return plain if len(text) <= LONGEST_SHOWN else f"{plain}... ({len(text)} characters)"
