"""Approval: who decides (``sidecar.yaml``), and which calls wait for it (a route)."""

from dataclasses import replace

from sidecar.core.approval import ApprovalSpec
from sidecar.core.compile.tried import tried
from sidecar.core.condition import Condition
from sidecar.core.config import Approvals, Process, Webhook
from sidecar.core.document import Path
from sidecar.core.route import Route
from sidecar.core.schema import process as process_schema
from sidecar.core.schema import tool as schema
from sidecar.core.schema.read import Report
from sidecar.core.template import Template


def approvals_of(report: Report | None, written: process_schema.Approvals) -> Approvals:
    """A token is one person's, and a name too: else one of them could be two."""
    approvers: dict[str, bytes] = {}
    known: set[str] = set()
    for index, approver in enumerate(written.approvers):
        token = bytes.fromhex(approver.token_sha256)
        if report is not None and approver.name.casefold() in known:
            report.value(("approvals", "approvers", index, "name"), "is listed twice")
        if report is not None and token in approvers.values():
            report.value(("approvals", "approvers", index, "token_sha256"), "is another approver's token")
        known.add(approver.name.casefold())
        approvers[approver.name] = token
    webhook = None if written.webhook is None else Webhook(written.webhook.url, written.webhook.secret)
    return Approvals(approvers, webhook, written.per_run, written.per_tenant)


def approved(
    report: Report, path: Path, file: schema.Approval | None, process: Process, route: Route
) -> Route:
    """``route`` with what ``file`` says of approval: after every other guard, and refused while the store is away,
    since nobody's agreement can be known then.
    """
    if file is None:
        return route
    at: Path = (*path, "approval")
    when = None
    if file.when is not None:
        when = tried(report, (*at, "when"), Condition.parse, file.when, "a condition")
    if file.hold > file.ttl:
        report.about((*at, "hold"), "'hold' is longer than 'ttl': nobody could answer any more; write less")
    known = len(process.approvals.approvers)
    if 0 < known < file.approvers:
        report.value((*at, "approvers"), f"is more than 'approvals.approvers' in sidecar.yaml has: {known}")
    names = route.path.names
    show = [
        (
            label,
            tried(report, (*at, "show", label), lambda text: Template.parse(text, names), text, "a template"),
        )
        for label, text in file.show.items()
    ]
    spec = ApprovalSpec(
        tool=route.tool,
        route=route.name,
        when=when,
        hold_ms=file.hold,
        ttl_ms=file.ttl,
        approvers=file.approvers,
        show=tuple((label, template) for label, template in show if template is not None),
        per_run=process.approvals.per_run,
        per_tenant=process.approvals.per_tenant,
        announced=process.approvals.webhook is not None,
        asks=not route.observe,
    )
    lane = replace(route.lane, store_down="refuse")
    return replace(route, lane=lane, guards=(*route.guards, spec))
