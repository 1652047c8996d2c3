"""What a route says of outcomes: how unknown ones are resolved, and which answers are partial."""

from typing import Any

from sidecar.core.compile.tried import tried
from sidecar.core.condition import Condition
from sidecar.core.document import Path
from sidecar.core.probe import PROBE_NAMES, AnswerSpec, ProbeSpec
from sidecar.core.schema import unknown as schema
from sidecar.core.schema.read import Report
from sidecar.core.schema.tool import NO_INTENT, Route
from sidecar.core.template import Template


def reconciled(report: Report, path: Path, file: Route, parameters: frozenset[str] | None) -> dict[str, Any]:
    """The fields ``resolve``, ``probe`` and ``partial`` of a route."""
    unknown = file.unknown
    resolve = unknown.resolve or ("probe" if unknown.probe else None)
    if resolve == "probe" and unknown.probe is None:
        message = "needs 'unknown.probe' beside it: a 'path' to ask, and 'applied', what its answer must say"
        report.value((*path, "unknown", "resolve"), message)
    if unknown.probe is not None and resolve != "probe":
        message = f"a probe is of no use with 'resolve: {resolve}'; write 'resolve: probe', or remove it"
        report.about((*path, "unknown", "probe"), message, key=True)
    if resolve == "probe" and file.intent is NO_INTENT:
        message = (
            "a route without an intent knows no retry that could ask; remove 'intent: none', or the probe"
        )
        report.about((*path, "unknown", "probe"), message, key=True)
    partial = None
    if file.partial is not None:
        partial = _condition(report, (*path, "partial", "when"), file.partial.when)
    probe = None
    if unknown.probe is not None:
        probe = _probe(report, (*path, "unknown", "probe"), unknown.probe, parameters)
    return {"resolve": resolve, "probe": probe, "partial": partial}


def _condition(report: Report, path: Path, text: str | None) -> Condition | None:
    if text is None:
        return None
    return tried(report, path, lambda text: Condition.parse(text, PROBE_NAMES), text, "a condition")


def _probe(
    report: Report, path: Path, file: schema.Probe, parameters: frozenset[str] | None
) -> ProbeSpec | None:
    at = (*path, "path")
    if not file.path.startswith("/") or not file.path.isascii() or any(c in file.path for c in " #\\"):
        report.value(at, "is no target; begin with '/', and write no space, '#' or '\\'")
    target = tried(report, at, lambda text: Template.parse(text, parameters), file.path, "a template")
    applied = _condition(report, (*path, "applied"), file.applied)
    if applied is not None and "answer" not in applied.names:
        report.value((*path, "applied"), "reads nothing of the answer; write what 'answer' must say")
    not_applied = _condition(report, (*path, "not_applied"), file.not_applied)
    answer = AnswerSpec() if file.answer is None else _answer(report, (*path, "answer"), file.answer)
    if target is None or applied is None:
        return None
    return ProbeSpec(
        path=target,
        applied=applied,
        not_applied=not_applied,
        method=file.method,
        answer=answer,
        attempts=file.attempts,
        backoff_ms=file.backoff,
        timeout_ms=file.timeout,
        lag_ms=file.lag,
    )


def _answer(report: Report, path: Path, file: schema.ProbeAnswer) -> AnswerSpec:
    body = _condition(report, (*path, "body"), file.body)
    fields = tuple(
        (name.encode("latin-1"), text.encode("latin-1", "replace")) for name, text in file.headers.items()
    )
    for name, text in file.headers.items():
        if not text.isascii() or not text.isprintable():
            report.value((*path, "headers", name), "is no field value; write printable ASCII")
    return AnswerSpec(file.status or 0, fields, body)
