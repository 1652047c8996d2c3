"""One tool's file: a ``Tool`` and its ``Route`` values."""

from dataclasses import dataclass, replace
from posixpath import join
from typing import Final, Literal

from sidecar.core import route as run
from sidecar.core.claim import Rate
from sidecar.core.client import Client, pattern
from sidecar.core.compile.approval import approved
from sidecar.core.compile.budgets import budgets
from sidecar.core.compile.groups import check_group
from sidecar.core.compile.order import orders
from sidecar.core.compile.runs import of_runs
from sidecar.core.compile.states import Kinds
from sidecar.core.compile.tried import tried
from sidecar.core.compile.unknown import reconciled
from sidecar.core.condition import Condition
from sidecar.core.config import Process
from sidecar.core.cost import Cost
from sidecar.core.document import Path
from sidecar.core.guard import GuardSpec
from sidecar.core.outbound import Trust
from sidecar.core.pattern import HostPattern, PathPattern
from sidecar.core.route import SAFE, WRITTEN_WINDOW_MS, Base, DownstreamKey, IntentSpec, StoreSpec
from sidecar.core.schema import tool as schema
from sidecar.core.schema.read import Report, read
from sidecar.core.template import Template

REPLACING = frozenset({"PUT", "DELETE"})
"""Applied twice they leave what they leave applied once (RFC 9110 section 9.2.2)."""

KEY_PLACES: Final[tuple[Literal["header", "query", "body"], ...]] = ("header", "query", "body")

TAKEN = frozenset(
    {
        *("connection", "content-length", "content-type", "date", "transfer-encoding"),
        *("proxy-authenticate", "proxy-status", "retry-after", "sidecar-verdict"),
    }
)
"""Fields that a refusal has already, or that frame it."""


@dataclass(frozen=True, slots=True)
class Written:
    """A route as it will run, beside what was written for it."""

    path: Path
    file: schema.Route
    route: run.Route


@dataclass(frozen=True, slots=True)
class ToolPart:
    """What one file contributes."""

    report: Report
    file: schema.ToolFile
    tool: run.Tool
    routes: tuple[Written, ...]


def compile_tool(report: Report, process: Process, folder: str, kinds: Kinds) -> ToolPart | None:
    """None where the file says too little to go on; ``report`` has the reasons.  ``folder`` is where paths begin."""
    file = read(report, schema.ToolFile, leave="routes")
    if file is None:
        return None
    tool = _tool(report, file, process, folder)
    written = report.document.plain(("routes",)) if report.document.has(("routes",)) else []
    if not isinstance(written, list):
        report.value(("routes",), "must be a list; write [...]")
        written = []
    routes = []
    for index in range(len(written)):
        path: Path = ("routes", index)
        route = read(report, schema.Route, path)
        if route is not None and (compiled := _route(report, path, route, file, tool, process, kinds)):
            routes.append(Written(path, route, compiled))
    return ToolPart(report, file, tool, tuple(routes))


def _tool(report: Report, file: schema.ToolFile, process: Process, folder: str) -> run.Tool:
    hosts = [
        tried(
            report,
            ("hosts", index),
            HostPattern.parse,
            host,
            "a host; write api.example.com or *.example.com",
        )
        for index, host in enumerate(file.hosts)
    ]
    if not report.document.has(("hosts",)) and not report.document.has(("upstream",)):
        report.about((), "a tool needs 'hosts', 'upstream' or both; without them no call reaches it")
    upstream = (
        None if file.upstream is None else tried(report, ("upstream",), Base.parse, file.upstream, "a URL")
    )
    return run.Tool(
        name=file.tool,
        hosts=tuple(host for host in hosts if host is not None),
        base=upstream,
        timeout_ms=file.timeout,
        connect_timeout_ms=process.timeouts.connect_ms
        if file.connect_timeout is None
        else file.connect_timeout,
        trust=_trust(report, file.tls, folder),
        caps={str(lane): cap for lane, cap in file.caps.items()},
        rate=file.rate,
        credentials=tuple(
            filter(None, (_credential(report, index, text) for index, text in enumerate(file.credential)))
        ),
        downstream=_downstream(report, file.downstream_key),
        clients=tuple(_client(report, index, client) for index, client in enumerate(file.clients)),
    )


def _client(report: Report, index: int, file: schema.Client) -> Client:
    if file.header is not None and file.header.lower() in TAKEN:
        report.value(
            ("clients", index, "header"), "has another meaning; name the field that the SDK looks for"
        )
    by_class = {text: said for text, said in file.statuses.items() if text.endswith("xx")}
    statuses = {int(text[0]) * 100 + rest: said for text, said in by_class.items() for rest in range(100)}
    statuses |= {int(text): said for text, said in file.statuses.items() if text not in by_class}
    return Client(pattern(file.user_agent), file.retry, file.header or "", statuses, file.error or "")


def _trust(report: Report, tls: schema.ToolTls, folder: str) -> Trust | None:
    if (tls.client_cert is None) != (tls.client_key is None):
        report.about(
            ("tls",), "'client_cert' and 'client_key' belong together; write both, or neither", key=True
        )
    paths = (tls.upstream_ca, tls.client_cert, tls.client_key)
    trust = Trust(*("" if path is None else join(folder, path) for path in paths))
    return trust if any(trust) else None


def _credential(report: Report, index: int, text: str) -> str | None:
    place, colon, name = text.partition(":")
    if place not in ("header", "query") or not colon or not name or not name.isascii() or " " in name:
        report.value(("credential", index), "is not a place; write header:NAME or query:NAME")
        return None
    return f"header:{name.lower()}" if place == "header" else text


def _downstream(report: Report, key: schema.DownstreamKey | None) -> DownstreamKey | None:
    if key is None:
        return None
    places = [place for place in KEY_PLACES if report.document.has(("downstream_key", place))]
    if len(places) != 1:
        message = "downstream_key needs exactly one of 'header', 'query' and 'body'"
        report.about(("downstream_key",), message, key=True)
        return None
    name = getattr(key, places[0])
    return None if name is None else DownstreamKey(places[0], name, key.retention, key.max_length)


def _route(
    report: Report,
    path: Path,
    file: schema.Route,
    head: schema.ToolFile,
    tool: run.Tool,
    process: Process,
    kinds: Kinds,
) -> run.Route | None:
    pattern = tried(report, (*path, "match", "path"), PathPattern.parse, file.match.path, "a path pattern")
    methods = frozenset(file.match.method)
    when = None
    if file.match.when is not None:
        when = tried(report, (*path, "match", "when"), Condition.parse, file.match.when, "a condition")
    parameters = None if pattern is None else pattern.names
    lane = process.lanes[file.lane or ("read" if methods and methods <= SAFE else "write")]
    gated = lane.name in ("write", "high_risk")
    locks = _locks(report, path, file, parameters, f"{tool.name}:{{path}}" if gated else "")
    intent = _intent(report, path, file, parameters, gated)
    check_group(report, path, file)
    rates = (
        tool.rates if file.rate is None else (*tool.rates, Rate(f"route:{tool.name}:{file.name}", *file.rate))
    )
    cost = None
    if file.cost is not None:
        cost = tried(report, (*path, "cost"), lambda text: Cost.parse(text, parameters), file.cost, "a cost")
    store = _store(report, (*path, "store"), file.store)
    _check_resend(report, path, file, methods, tool)
    observe = (file.mode or head.mode or process.mode) == "observe"
    if pattern is None:
        return None
    compiled = run.Route(
        tool=tool if file.timeout is None else replace(tool, timeout_ms=file.timeout),
        name=file.name,
        lane=lane,
        standing=process.fleet.standing(
            lane.name, lane.cap, lane.counted, tool.name, tool.caps.get(lane.name), rates
        ),
        methods=methods,
        path=pattern,
        when=when,
        locks=locks,
        cost=cost,
        intent=intent,
        store=store,
        **reconciled(report, path, file, parameters),
        quarantine=file.unknown.quarantine or ("resolved" if lane.name == "high_risk" else "deadline"),
        observe=observe,
        guards=_guards(report, path, file, head, parameters, kinds, observe=observe),
        body_limit=file.body_limit or head.body_limit or process.limits.body_bytes,
    )
    return approved(report, path, file.approval, process, compiled)


def _guards(
    report: Report,
    path: Path,
    file: schema.Route,
    head: schema.ToolFile,
    parameters: frozenset[str] | None,
    kinds: Kinds,
    *,
    observe: bool,
) -> tuple[GuardSpec, ...]:
    """In the order in which they are judged; approval comes last of all."""
    return (
        *of_runs(report, path, file, lambda at, text: _template(report, at, text, parameters)),
        *orders(report, path, file, parameters, kinds, observe=observe),
        *budgets(report, path, file, head, parameters),
    )


def _locks(
    report: Report, path: Path, file: schema.Route, parameters: frozenset[str] | None, default: str
) -> tuple[Template, ...]:
    if file.locks is None:
        return (Template.parse(default),) if default else ()
    locks = []
    for index, lock in enumerate(file.locks):
        at: Path = (*path, "locks", index)
        at = (*at, "key") if report.document.has((*at, "key")) else at
        locks.append(_template(report, at, lock.key, parameters))
    return tuple(lock for lock in locks if lock is not None)


def _template(report: Report, path: Path, text: str, parameters: frozenset[str] | None) -> Template | None:
    return tried(report, path, lambda it: Template.parse(it, parameters), text, "a template")


def _intent(
    report: Report, path: Path, file: schema.Route, parameters: frozenset[str] | None, gated: bool
) -> IntentSpec | None:
    written = file.intent
    if written is schema.NO_INTENT:
        return None
    if written is None:
        return IntentSpec() if gated else None
    key = None
    if written.key is not None:
        at = (*path, "intent", "key")
        key = tried(report, at, lambda text: Template.parse(text, parameters), written.key, "a template")
    own = IntentSpec(key)
    return IntentSpec(
        key=key,
        explicit=written.explicit or ("trust" if written.key is None else "ignore"),
        scope=written.scope,
        until=written.until or ("window" if written.group else None),
        window_ms=written.window or (own.window_ms if written.key is None else WRITTEN_WINDOW_MS),
        group=written.group or "",
    )


def _store(report: Report, path: Path, kept: schema.Kept) -> StoreSpec:
    if kept.statuses is None:
        return StoreSpec(keep_bytes=kept.keep_bytes, retention_ms=kept.retention)
    statuses: set[int] = set()
    for index, text in enumerate(kept.statuses):
        if text.endswith("xx"):
            first = int(text[0]) * 100
            statuses |= set(range(first, first + 100)) - run.NEVER_STORED
        elif int(text) in run.NEVER_STORED:
            report.value(
                (*path, "statuses", index), "is never stored: the same call may well succeed a moment later"
            )
        else:
            statuses.add(int(text))
    return StoreSpec(frozenset(statuses), kept.keep_bytes, kept.retention)


def _check_resend(
    report: Report, path: Path, file: schema.Route, methods: frozenset[str], tool: run.Tool
) -> None:
    """An unknown outcome is sent again only where sending twice is sending once."""
    if (
        file.unknown.resolve == "resend"
        and tool.downstream is None
        and not (methods and methods <= REPLACING)
    ):
        why = "may apply it twice: the tool has no 'downstream_key', and only PUT and DELETE replace a state"
        report.value((*path, "unknown", "resolve"), f"{why}; write 'hold'")
