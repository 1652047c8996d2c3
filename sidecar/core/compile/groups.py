"""Groups: routes of one tool that share their intents."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sidecar.core.document import Path
from sidecar.core.route import CHANGING, Route
from sidecar.core.schema import tool as schema
from sidecar.core.schema.read import Report

if TYPE_CHECKING:
    from sidecar.core.compile.tool import Written


def check_group(report: Report, path: Path, file: schema.Route) -> None:
    """Tell what keeps a route from sharing its intents."""
    written = file.intent
    if written is None or written is schema.NO_INTENT or not written.group:
        return
    if written.key is None:
        message = (
            "a group needs a 'key': what makes calls by its doors the same, like {body.deal} at each of them"
        )
        report.about((*path, "intent", "group"), message, key=True)
    if written.explicit not in (None, "ignore"):
        report.value(
            (*path, "intent", "explicit"), "would let a caller's own key go past the group; write 'ignore'"
        )
    if file.unknown.resolve == "resend":
        message = "may do by this door what another may have done; write 'hold' or 'probe'"
        report.value((*path, "unknown", "resolve"), message)


def doubt_groups(report: Report, routes: "Sequence[Written]") -> None:
    """Warn of groups of one, and of doors that do not agree on what a twin is."""
    groups: dict[str, list[Written]] = {}
    for written in routes:
        if written.route.intent is not None and written.route.intent.group:
            groups.setdefault(written.route.intent.group, []).append(written)
    for name, (first, *others) in groups.items():
        if not others:
            message = f"group '{name}' has one route, '{first.route.name}', and shares its intents with none"
            _warn(report, first.path, "group", message)
        for other in others:
            _compare(report, name, first, other)


def _compare(report: Report, name: str, first: "Written", other: "Written") -> None:
    for word, of in _SETTINGS.items():
        here, there = of(other.route), of(first.route)
        if here != there:
            message = f"group '{name}': {word} is {here} here and {there} at route '{first.route.name}'; "
            _warn(report, other.path, word, message + "a twin is judged by the door that it comes to")


def _until(route: Route) -> str:
    assert route.intent is not None
    return route.intent.until or ("change" if route.methods & CHANGING else "window")


_SETTINGS: dict[str, Callable[[Route], object]] = {
    "scope": lambda route: route.intent and route.intent.scope,
    "window": lambda route: f"{route.intent.window_ms / 1000:g} s" if route.intent else "",
    "until": _until,
}


def _warn(report: Report, path: Path, word: str, message: str) -> None:
    at = (*path, "intent", word)
    report.about(at if report.document.has(at) else (*path, "intent"), message, fatal=False, key=True)
