"""A whole folder: the process, its tools, and what must agree between them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from sidecar.core.compile.disorder import doubt_order
from sidecar.core.compile.doubts import doubts
from sidecar.core.compile.overlay import blank, overlaid, overlay
from sidecar.core.compile.process import compile_process
from sidecar.core.compile.runs import ended
from sidecar.core.compile.states import Kinds
from sidecar.core.compile.tool import ToolPart, compile_tool
from sidecar.core.config import Config, Process
from sidecar.core.document import Document, Path, parse
from sidecar.core.problems import ConfigError, Problem
from sidecar.core.schema.read import Report, begun
from sidecar.core.schema.unavailable import Kind, not_yet
from sidecar.core.table import Site, Table

PROCESS = "sidecar.yaml"


@dataclass(frozen=True, slots=True)
class File:
    """One file's bytes."""

    shown: str
    """Its path as it stands in messages."""
    name: str
    """Its path in the folder, with forward slashes."""
    content: bytes


def compile_config(
    folder: str, files: Sequence[File], found: Sequence[Problem], environ: Mapping[str, str]
) -> Config:
    """``files`` as one configuration; ``found`` are problems met on the way to them.  Raises ConfigError."""
    problems = list(found)
    reports = {
        file.name: report for file in files if (report := _opened(file, environ, problems)) is not None
    }
    if PROCESS not in {file.name for file in files} and overlaid(environ):
        reports[PROCESS] = Report(overlay(blank(), environ))
    process = compile_process(reports.get(PROCESS), folder)
    kinds = Kinds(report for name, report in reports.items() if kind_of(name) == "states")
    tools = [
        tool
        for name, report in reports.items()
        if kind_of(name) == "routes" and (tool := compile_tool(report, process, folder, kinds))
    ]
    _agree(tools)
    for report in reports.values():
        problems += report.problems
    if any(problem.fatal for problem in problems):
        raise ConfigError(problems)
    doubts(reports.get(PROCESS), process, tools)
    doubt_order(tools, kinds)
    warnings = {problem for report in reports.values() for problem in report.problems} | set(problems)
    return _config(folder, files, process, tools, reports, tuple(sorted(warnings)))


def _opened(file: File, environ: Mapping[str, str], problems: list[Problem]) -> Report | None:
    document, bad = parse(file.shown, file.content, environ)
    problems += bad
    if document is None:
        return None
    kind = kind_of(file.name)
    if kind == "sidecar" and isinstance(document.root.value, dict):
        document = overlay(document, environ)
    report = Report(document)
    if not begun(report):
        problems += report.problems
        return None
    report.problems += not_yet(document, kind)
    return report


def kind_of(name: str) -> Kind:
    """Which kind of file it is, by its path in the folder."""
    return "sidecar" if name == PROCESS else "states" if name.startswith("states/") else "routes"


def _agree(tools: Iterable[ToolPart]) -> None:
    """Nothing is claimed twice: a tool's name, a host, a route's name within its tool."""
    names: dict[str, str] = {}
    hosts: dict[str, str] = {}
    for part in tools:
        report, document = part.report, part.report.document
        if document.has(("tool",)):
            _claim(report, ("tool",), names, part.tool.name, document)
        for index, host in enumerate(part.file.hosts):
            path: Path = ("hosts", index) if document.has(("hosts", index)) else ("hosts",)
            _claim(report, path, hosts, host.lower().rstrip("."), document)
        routes: dict[str, str] = {"default": "what no route names"}
        for written in part.routes:
            path = (*written.path, "name")
            if document.has(path):
                _claim(report, path, routes, written.file.name, document)


def _claim(report: Report, path: Path, claimed: dict[str, str], name: str, document: Document) -> None:
    if name in claimed:
        report.value(path, f"is taken by {claimed[name]}")
    else:
        claimed[name] = f"{document.file}:{document.node(path).mark.line}"


def _config(
    folder: str,
    files: Sequence[File],
    process: Process,
    tools: Sequence[ToolPart],
    reports: Mapping[str, Report],
    warnings: tuple[Problem, ...],
) -> Config:
    sites, always = ended([_site(tool, process) for tool in tools])
    return Config(
        folder=folder,
        process=process,
        sites=sites,
        table=Table(sites, process.fleet, process.egress.unmatched, process.tls.intercepts, always),
        identity=process.identity,
        digest=_digest(files),
        written={name: report.document.redacted() for name, report in reports.items()},
        warnings=warnings,
    )


def _site(part: ToolPart, process: Process) -> Site:
    return Site.of(
        part.tool,
        [written.route for written in part.routes],
        dict(process.lanes),
        process.fleet,
        observe=(part.file.mode or process.mode) == "observe",
        body_limit=part.file.body_limit or process.limits.body_bytes,
    )


def _digest(files: Sequence[File]) -> str:
    digest = blake2b(digest_size=8)
    for file in files:
        digest.update(b"%d:%s%d:" % (len(file.name), file.name.encode(), len(file.content)) + file.content)
    return digest.hexdigest()
