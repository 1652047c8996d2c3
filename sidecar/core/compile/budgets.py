"""Budgets of a tool, as its routes count in them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sidecar.core.budget import MOST, BudgetSpec, units
from sidecar.core.document import Path
from sidecar.core.field import TemplateError
from sidecar.core.problems import meant
from sidecar.core.route import SAFE
from sidecar.core.schema import tool as schema
from sidecar.core.schema.read import Report
from sidecar.core.template import Template

if TYPE_CHECKING:
    from sidecar.core.compile.tool import Written


def budgets(
    report: Report, path: Path, file: schema.Route, head: schema.ToolFile, parameters: frozenset[str] | None
) -> tuple[BudgetSpec, ...]:
    """Those that the route at ``path`` names; without the faulty ones, of which ``report`` knows."""
    found = []
    names: set[str] = set()
    for index, use in enumerate(file.budgets):
        at: Path = (*path, "budgets", index)
        named = (*at, "budget") if report.document.has((*at, "budget")) else at
        budget = head.budgets.get(use.budget)
        if budget is None and report.document.has(("budgets", use.budget)):
            pass  # it is there and faulty, as was told
        elif budget is None:
            hint = meant(use.budget, head.budgets) or "; name one of 'budgets' in this file"
            report.value(named, f"is not a budget of this tool{hint}")
        elif use.budget in names:
            report.value(named, "is named twice; a call counts in a budget once")
        else:
            spec = _spec(report, at, use, budget, head.tool, parameters)
            found += [] if spec is None else [spec]
        names.add(use.budget)
    return tuple(found)


def doubt_budgets(report: Report, head: schema.ToolFile, routes: "Sequence[Written]") -> None:
    """Warn of budgets that hold nothing back."""
    used = {use.budget for written in routes for use in written.file.budgets}
    for name in head.budgets:
        if name not in used:
            message = f"no route counts in budget '{name}'; name it in a route's 'budgets'"
            report.about(("budgets", name), message, fatal=False, key=True)
    for written in routes:
        if written.file.budgets and written.route.methods and written.route.methods <= SAFE:
            message = (
                f"route '{written.route.name}' counts nothing: GET, HEAD and OPTIONS have no effect to sum"
            )
            report.about((*written.path, "budgets"), message, fatal=False, key=True)


def _spec(
    report: Report,
    at: Path,
    use: schema.BudgetUse,
    budget: schema.Budget,
    tool: str,
    parameters: frozenset[str] | None,
) -> BudgetSpec | None:
    home: Path = ("budgets", use.budget)
    limit = units(budget.limit, budget.decimals)
    if limit is None or not 0 < limit <= MOST:
        most = f"from 1 to {MOST} in units of its last decimal, and have at most {budget.decimals} decimals"
        report.value((*home, "limit"), f"must be {most}; 'decimals' says how many there may be")
        return None
    text, place = (budget.amount, (*home, "amount")) if use.amount is None else (use.amount, (*at, "amount"))
    if text is None:
        report.about(
            at, f"neither budget '{use.budget}' nor this route says the 'amount' of a call", key=True
        )
        return None
    amount = _template(report, place, text, parameters, single=True)
    key = None if budget.key is None else _template(report, (*home, "key"), budget.key, parameters)
    if amount is None or (key is None and budget.key is not None):
        return None
    return BudgetSpec(tool, use.budget, amount, limit, budget.window, budget.decimals, budget.per, key)


def _template(
    report: Report, place: Path, text: str, parameters: frozenset[str] | None, *, single: bool = False
) -> Template | None:
    try:
        template = Template.parse(text, parameters)
    except TemplateError as error:
        report.foreign(place, error, "a template", error.position)
        return None
    if single and (len(template.fields) != 1 or any(template.literals) or template.fields[0].filters):
        report.value(place, "is no amount; write one field without filters, like {body.amount}")
        return None
    return template
