"""A route's part in the order of calls: an ``OrderSpec`` for each entity that it names."""

from collections.abc import Iterator

from sidecar.core.compile.states import Kinds, unknown_state
from sidecar.core.compile.tried import tried
from sidecar.core.condition import Condition
from sidecar.core.document import Path
from sidecar.core.order import DEFAULT_RETENTION_MS, LOOK_NAMES, Look, Machine, OrderSpec, Unseen, kind_of
from sidecar.core.problems import listed
from sidecar.core.schema import order as schema
from sidecar.core.schema.read import Report
from sidecar.core.schema.tool import Route
from sidecar.core.template import Template


def orders(
    report: Report,
    path: Path,
    file: Route,
    parameters: frozenset[str] | None,
    kinds: Kinds,
    *,
    observe: bool,
) -> tuple[OrderSpec, ...]:
    """The route's orders; an observed route waits for nobody."""
    found = [
        _order(report, at, written, parameters, kinds, file.name, observe)
        for at, written in placed(report, path, file)
    ]
    setting = [spec.entity.text for spec in found if spec is not None and spec.sets]
    for (at, _), spec in zip(placed(report, path, file), found, strict=True):
        if spec is not None and spec.sets and setting.count(spec.entity.text) > 1:
            report.value((*at, "sets"), "is one of several for one entity; write one")
    return tuple(spec for spec in found if spec is not None)


def placed(report: Report, path: Path, file: Route) -> Iterator[tuple[Path, schema.Order]]:
    """The orders of a route, each with its place; one that stands alone is no list."""
    for index, order in enumerate(file.order):
        at: Path = (*path, "order", index)
        yield (at if report.document.has(at) else at[:-1]), order


def _order(
    report: Report,
    at: Path,
    file: schema.Order,
    parameters: frozenset[str] | None,
    kinds: Kinds,
    route: str,
    observe: bool,
) -> OrderSpec | None:
    kind = kind_of(file.entity)
    machine = kinds.machines.get(kind)
    entity = tried(
        report, (*at, "entity"), lambda text: Template.parse(text, parameters), file.entity, "a template"
    )
    requires = file.requires
    if machine is not None:
        requires = _by_machine(report, at, file, machine)
    _check_use(report, at, file, bool(requires), machine)
    unseen, look = _unseen(report, at, file, machine, parameters)
    if entity is None:
        return None
    steps = kinds.steps_of(kind)
    if file.sets is not None:
        steps.setdefault(file.sets, []).append(route)
    retention = DEFAULT_RETENTION_MS if machine is None else machine.retention_ms
    return OrderSpec(
        entity=entity,
        requires=requires,
        sets=file.sets or "",
        max_age_ms=file.max_age or 0,
        wait_ms=0 if observe else file.wait,
        retention_ms=file.retention or retention,
        unseen=unseen,
        initial="" if machine is None else machine.initial,
        look=look,
        steps=steps,
    )


def _by_machine(report: Report, at: Path, file: schema.Order, machine: Machine) -> tuple[str, ...]:
    """What is required by the kind's rules, where the route does not say; told where it says what they do not allow."""
    good = True
    for place, state in states_named(report, at, file):
        if state not in machine.states:
            report.value(place, unknown_state(state, machine.states, machine.entity))
            good = False
    if file.sets is None or not good:
        return file.requires
    before = machine.before(file.sets)
    if not before:
        hint = "; an entity that nobody has seen is in it" if file.sets == machine.initial else ""
        report.value((*at, "sets"), f"follows no state of '{machine.entity}'{hint}; write a transition to it")
    for place, state in states_named(report, at, file):
        if before and place != (*at, "sets") and state not in before:
            why = f"cannot become '{file.sets}'; in '{machine.entity}' only {listed(before)} can"
            report.value(place, why)
    return file.requires or before


def states_named(report: Report, at: Path, file: schema.Order) -> Iterator[tuple[Path, str]]:
    """The states that an order names, each with its place."""
    for index, state in enumerate(file.requires):
        place = (*at, "requires", index)
        yield (place if report.document.has(place) else place[:-1]), state
    if file.sets is not None:
        yield (*at, "sets"), file.sets


def _check_use(report: Report, at: Path, file: schema.Order, requires: bool, machine: Machine | None) -> None:
    """What is written and would do nothing."""
    if not file.requires and file.sets is None:
        report.about(at, "an order needs 'requires', 'sets' or both", key=True)
        return
    for field in ("max_age", "unseen"):
        if not requires and report.document.has((*at, field)):
            report.about((*at, field), f"'{field}' is of no use without 'requires'", key=True)
    if file.sets is None and file.retention is not None:
        report.about((*at, "retention"), "'retention' is of no use without 'sets'", key=True)
    if machine is not None and file.max_age is not None and file.max_age > machine.retention_ms:
        report.value((*at, "max_age"), f"is longer than a state of '{machine.entity}' is remembered")


def _unseen(
    report: Report, at: Path, file: schema.Order, machine: Machine | None, parameters: frozenset[str] | None
) -> tuple[Unseen, Look | None]:
    written = file.unseen
    if written is None:
        return ("refuse" if machine is None else "initial"), None
    if written is schema.REFUSE:
        return "refuse", None
    if written is schema.ALLOW:
        return "allow", None
    look = _look(report, (*at, "unseen", "probe"), written.probe, machine, parameters)
    return ("refuse", None) if look is None else ("probe", look)


def _look(
    report: Report,
    path: Path,
    file: schema.StateProbe,
    machine: Machine | None,
    parameters: frozenset[str] | None,
) -> Look | None:
    at = (*path, "path")
    if not file.path.startswith("/") or not file.path.isascii() or any(c in file.path for c in " #\\"):
        report.value(at, "is no target; begin with '/', and write no space, '#' or '\\'")
    target = tried(report, at, lambda text: Template.parse(text, parameters), file.path, "a template")
    state = tried(
        report, (*path, "state"), lambda text: Condition.parse(text, LOOK_NAMES), file.state, "a condition"
    )
    if state is not None and "answer" not in state.names:
        report.value((*path, "state"), "reads nothing of the answer; write what 'answer' says of the state")
    if target is None or state is None:
        return None
    known = frozenset() if machine is None else frozenset(machine.states)
    return Look(target, state, known, file.ttl, file.timeout)
