"""Warnings about order: what loads, and can never hold."""

from collections.abc import Sequence

from sidecar.core.compile.order import placed, states_named
from sidecar.core.compile.states import Kinds
from sidecar.core.compile.tool import ToolPart
from sidecar.core.document import Path
from sidecar.core.order import OrderSpec, kind_of
from sidecar.core.problems import meant
from sidecar.core.schema import order as schema
from sidecar.core.schema.read import Report


def doubt_order(tools: Sequence[ToolPart], kinds: Kinds) -> None:
    """Warn of states that are required and that nobody sets, and of states that nothing leads to."""
    kinds.doubt()
    guards = [spec for tool in tools for written in tool.routes for spec in written.route.guards]
    specs = [spec for spec in guards if isinstance(spec, OrderSpec)]
    looked = {kind_of(spec.entity.text) for spec in specs if spec.look is not None}
    for tool in tools:
        for written in tool.routes:
            for at, order in placed(tool.report, written.path, written.file):
                _doubt(tool.report, at, order, kinds, looked)


def _doubt(report: Report, at: Path, order: schema.Order, kinds: Kinds, looked: set[str]) -> None:
    """Of the kinds in ``looked`` a tool may tell any state."""
    kind = kind_of(order.entity)
    machine, steps = kinds.machines.get(kind), kinds.steps_of(kind)
    if machine is None and (hint := meant(kind, kinds.machines)):
        report.about((*at, "entity"), f"no file in states/ is for '{kind}'{hint}", fatal=False)
    if kind in looked or "{" in kind:
        return
    for place, state in states_named(report, at, order):
        if state not in steps and (machine is None or state != machine.initial):
            report.about(place, f"no route sets '{state}' of {kind}{meant(state, steps)}", fatal=False)
