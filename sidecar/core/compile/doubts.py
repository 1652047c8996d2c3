"""Warnings: what loads, and does less than its author may think.  Said once the whole is known to be good."""

from collections.abc import Sequence

from sidecar.core.compile.budgets import doubt_budgets
from sidecar.core.compile.groups import doubt_groups
from sidecar.core.compile.tool import ToolPart, Written
from sidecar.core.config import Process
from sidecar.core.document import Path
from sidecar.core.route import CHANGING
from sidecar.core.schema.read import Report
from sidecar.core.schema.tool import NO_INTENT
from sidecar.core.table import unreachable

LOOPBACK = ("127.0.0.1", "localhost", "::1")
GATED = ("write", "high_risk")


def doubts(report: Report | None, process: Process, tools: Sequence[ToolPart]) -> None:
    """Add the warnings to the reports."""
    if report is not None:
        _exposed(report, process)
        _not_enforced(report, process.mode == "observe", ("mode",))
        for name, lane in process.lanes.items():
            if lane.durable:
                message = "replicas are not waited for in this version: 'durable' has no effect"
                _warn(report, ("lanes", name, "durable"), message)
        if process.store.allow_eviction:
            _warn(
                report,
                ("store", "allow_eviction"),
                "the store may evict keys, and with them locks and answers",
            )
        for kind in sorted({"metadata", "private"} - process.egress.deny):
            _warn(
                report,
                ("egress", "deny"),
                f"'{kind}' is not denied: agents can reach {_REACH[kind]} through the sidecar",
            )
    for tool in tools:
        _tool(tool, process)


_REACH = {"metadata": "cloud credentials", "private": "every service of the local network"}


def _tool(tool: ToolPart, process: Process) -> None:
    report = tool.report
    _blind(tool, process)
    _not_enforced(report, tool.file.mode == "observe", ("mode",))
    for written in tool.routes:
        _not_enforced(report, written.file.mode == "observe", (*written.path, "mode"))
        _switched_off(report, written)
        if written.file.cost is not None and not (tool.tool.rate or written.file.rate or process.fleet.rated):
            message = (
                f"route '{written.route.name}' costs nothing: neither it, its tool nor a tenant has a 'rate'"
            )
            _warn(report, (*written.path, "cost"), message)
    doubt_groups(report, tool.routes)
    doubt_budgets(report, tool.file, tool.routes)
    paths = {id(written.route): written.path for written in tool.routes}
    for route, earlier in unreachable([written.route for written in tool.routes]):
        message = f"route '{route.name}' can never match; '{earlier.name}' before it takes all its calls"
        _warn(report, (*paths[id(route)], "name"), message)


def _blind(tool: ToolPart, process: Process) -> None:
    """Without an authority, HTTPS inside CONNECT is not looked into: a client that tunnels goes ungated."""
    base = tool.tool.base
    if process.tls.intercepts or (base is not None and base.scheme == "http"):
        return
    open_hosts = [str(host) for host in tool.tool.hosts if host.port in (None, 443)]
    if open_hosts:
        reverse = f"http://127.0.0.1:{process.listen.proxy[1] or 'PORT'}/_tool/{tool.tool.name}/..."
        way = f"use {reverse} or http://{open_hosts[0]}/..."
        if base is None:
            way = f"write 'upstream: https://{open_hosts[0]}', and {way}"
        refused = ", and refused where it was redirected" if process.listen.transparent else ""
        message = (
            f"CONNECT to {', '.join(open_hosts)} is tunnelled blind, not gated{refused}; make an authority "
            f"(sidecar ca init) and name it in 'tls', or {way}"
        )
        _warn(tool.report, ("hosts",), message)


def _switched_off(report: Report, written: Written) -> None:
    route, file, path = written.route, written.file, written.path
    if route.lane.name not in GATED:
        return
    if file.locks == () and (not route.methods or route.methods & CHANGING):
        _warn(
            report,
            (*path, "locks"),
            f"route '{route.name}' locks nothing: two runs may change one record at once",
        )
    if file.intent is NO_INTENT:
        _warn(report, (*path, "intent"), f"route '{route.name}' knows no duplicates: a retry runs again")
    elif route.intent is not None and route.intent.until == "change" and not route.locks:
        message = (
            f"route '{route.name}' locks no entity, so no change ends its window: 'until: change' is 'window'"
        )
        _warn(report, (*path, "intent", "until"), message)


def _exposed(report: Report, process: Process) -> None:
    host = process.listen.proxy[0]
    if host not in LOOPBACK and not process.identity.users:
        message = "who reaches this address is any tenant it likes; listen on 127.0.0.1, or name 'users'"
        _warn(report, ("listen", "proxy"), message)
    if process.listen.transparent and process.identity.users:
        message = "redirected connections carry no proxy credentials, and 'users' has them refused"
        _warn(report, ("listen", "transparent"), message)


def _not_enforced(report: Report, observed: bool, path: Path) -> None:
    if observed:
        _warn(report, path, "mode: observe decides and logs; it neither refuses nor delays")


def _warn(report: Report, path: Path, message: str) -> None:
    report.about(path, message, fatal=False, key=True)
