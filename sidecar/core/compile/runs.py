"""``locks`` with ``hold: run``, ``observes`` and ``fresh``."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

from sidecar.core.document import Path
from sidecar.core.guard import GuardSpec
from sidecar.core.route import Route
from sidecar.core.runs import DEFAULT_IDLE_MS, EndSpec, HoldSpec, SeenSpec
from sidecar.core.schema import tool as schema
from sidecar.core.schema.read import Report
from sidecar.core.table import Site
from sidecar.core.template import Template

Parse: TypeAlias = Callable[[Path, str], Template | None]
"""A template, or None and its mistake told at that place."""


def of_runs(report: Report, path: Path, file: schema.Route, parse: Parse) -> tuple[GuardSpec, ...]:
    """What the route asks of whole runs."""
    return (
        *_holds(report, path, file),
        *_seen(path, "observes", file.observes, parse),
        *_fresh(report, path, file, parse),
    )


def _holds(report: Report, path: Path, file: schema.Route) -> Iterator[GuardSpec]:
    for index, lock in enumerate(file.locks or ()):
        at: Path = (*path, "locks", index)
        if lock.hold == "run":
            try:
                yield HoldSpec(Template.parse(lock.key), lock.idle or DEFAULT_IDLE_MS)
            except ValueError:
                continue  # told where the locks are read
        elif lock.idle is not None:
            report.about(
                (*at, "idle"),
                "'idle' is how long a run keeps a lock; write 'hold: run' beside it, or remove it",
                key=True,
            )


def _seen(
    path: Path, kind: Literal["observes", "fresh"], texts: Sequence[str], parse: Parse
) -> Iterator[SeenSpec]:
    for index, text in enumerate(texts):
        key = parse((*path, kind, index), text)
        if key is not None:
            yield SeenSpec(kind, key)


def _fresh(report: Report, path: Path, file: schema.Route, parse: Parse) -> Iterator[GuardSpec]:
    locked = {lock.key for lock in file.locks or ()}
    for spec in _seen(path, "fresh", file.fresh, parse):
        text = spec.key.text
        if text not in locked:
            message = (
                f"'{text}' is not among the route's locks, so another run may change it between the check and the "
                "write; lock it too"
            )
            report.about((*path, "fresh"), message, fatal=False, key=True)
        yield spec


def ended(sites: Sequence[Site]) -> tuple[tuple[Site, ...], tuple[GuardSpec, ...]]:
    """The sites, and what passes by them, with an eye on a run's last call, where any route holds by run."""
    specs = [spec for site in sites for route in site.routes for spec in route.guards]
    if not any(isinstance(spec, HoldSpec) for spec in specs):
        return tuple(sites), ()
    return tuple(
        replace(site, routes=tuple(map(_ends, site.routes)), read=_ends(site.read), write=_ends(site.write))
        for site in sites
    ), (EndSpec(),)


def _ends(route: Route) -> Route:
    return replace(route, guards=(*route.guards, EndSpec()))
