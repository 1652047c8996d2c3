"""``sidecar.yaml``: lanes, fleet, identity and what the other rooms are told."""

from posixpath import join

from sidecar.core.compile.approval import approvals_of
from sidecar.core.compile.mins import mins_of
from sidecar.core.config import Egress, Limits, Listen, Log, Process, Store, Timeouts, Tls
from sidecar.core.document import Path
from sidecar.core.fleet import Fleet, Tenant
from sidecar.core.identity import Identities, Rule, Source, User
from sidecar.core.route import Lane
from sidecar.core.schema import process as schema
from sidecar.core.schema.read import Report, read


def compile_process(report: Report | None, folder: str) -> Process:
    """The defaults stand in for whatever is missing or wrong; ``report`` is None where there is no file."""
    file = None if report is None else read(report, schema.SidecarFile)
    if file is None:
        file = schema.SidecarFile.model_validate(schema.SidecarFile.stand_in)
    return Process(
        listen=Listen(file.listen.proxy, file.listen.admin, file.listen.transparent or 0),
        store=_store(file.store, folder),
        identity=_identity(report, file),
        fleet=_fleet(report, file),
        lanes=_lanes(file.lanes),
        egress=Egress(file.egress.unmatched, frozenset(file.egress.deny), file.egress.allow),
        limits=Limits(file.limits.header_bytes, file.limits.body, file.limits.connections),
        timeouts=Timeouts(file.timeouts.connect, file.timeouts.idle),
        log=Log(file.log.level, file.log.decisions),
        tls=_tls(report, file.tls, folder),
        mode=file.mode,
        drain_ms=file.drain,
        approvals=approvals_of(report, file.approvals),
    )


def _store(store: schema.Store, folder: str) -> Store:
    state = f"{folder}/.sidecar" if store.state is None else store.state
    return Store(store.url, store.namespace, state, store.lease, store.allow_eviction)


def _tls(report: Report | None, tls: schema.Tls | None, folder: str) -> Tls:
    if tls is None:
        return Tls()
    if report is not None and (tls.ca_cert is None) != (tls.ca_key is None):
        report.about(("tls",), "'ca_cert' and 'ca_key' belong together; write both, or neither", key=True)
    if report is not None:
        _agree(report, tls)
    cert, key, upstream, share = (
        _path(folder, path) for path in (tls.ca_cert, tls.ca_key, tls.upstream_ca, tls.share)
    )
    return Tls(cert, key, upstream, tls.ca == "ephemeral", share)


def _agree(report: Report, tls: schema.Tls) -> None:
    """One authority, and where agents find it."""
    if tls.ca and tls.ca_cert:
        report.about(
            ("tls", "ca"), "'ca: ephemeral' makes an authority and 'ca_cert' names one; write one of them"
        )
    elif tls.ca and not tls.share:
        report.about(
            ("tls", "ca"),
            "agents cannot know an authority that is made at start; name a folder of theirs in 'share'",
        )
    elif tls.share and not tls.ca and not tls.ca_cert:
        report.about(
            ("tls", "share"), "there is no authority to be shared; write 'ca: ephemeral', or 'ca_cert'"
        )


def _path(folder: str, path: str | None) -> str:
    return "" if path is None else join(folder, path)


def _lanes(lanes: schema.Lanes) -> dict[str, Lane]:
    written = {"read": lanes.read, "draft": lanes.draft, "write": lanes.write, "high_risk": lanes.high_risk}
    return {
        name: Lane(name, lane.cap, lane.wait, lane.on_store_down, lane.counted, lane.durable)
        for name, lane in written.items()
    }


def _fleet(report: Report | None, file: schema.SidecarFile) -> Fleet:
    return Fleet(
        cap=file.caps.global_,
        per_tenant=file.caps.per_tenant,
        per_workflow=file.caps.per_workflow,
        per_run=file.caps.per_run,
        mins=mins_of(report, file),
        tenants={
            name: Tenant(own.weight, own.cap, own.queue, own.rate) for name, own in file.tenants.items()
        },
        priorities=file.priorities,
        tenant_queue=file.queue.per_tenant,
        total_queue=file.queue.total,
    )


def _identity(report: Report | None, file: schema.SidecarFile) -> Identities:
    written = file.identity
    known = list(file.priorities)
    if report is not None and report.document.has(("priorities",)):
        known = list(report.document.node(("priorities",)).keys)  # also those whose weight is wrong
    for name, rule in (("pin", written.priority.pin), ("default", written.priority.default)):
        if report is not None and rule is not None and rule not in known:
            names = ", ".join(known) or "no name"
            report.value(("identity", "priority", name), f"is no priority; 'priorities' has {names}")
    return Identities(
        tenant=_rule(report, "tenant", written.tenant),
        workflow=_rule(report, "workflow", written.workflow),
        run=_rule(report, "run", written.run),
        priority=_rule(report, "priority", written.priority),
        users=_users(report, file.users),
        priorities=frozenset(file.priorities),
    )


def _rule(report: Report | None, part: str, written: schema.Source) -> Rule:
    if report is not None and written.pin is not None and (written.from_ or written.default is not None):
        report.about(("identity", part), f"identity.{part}: 'pin' stands alone, without 'from' and 'default'")
    sources = []
    for index, text in enumerate(written.from_):
        try:
            sources.append(Source.parse(text))
        except ValueError as error:
            if report is not None:
                path: Path = ("identity", part, "from", index)
                report.foreign(path if report.document.has(path) else path[:-1], error, "a source")
    return Rule(tuple(sources), written.default or "", written.pin)


def _users(report: Report | None, written: tuple[schema.User, ...]) -> dict[str, User]:
    users: dict[str, User] = {}
    for index, user in enumerate(written):
        if user.name in users and report is not None:
            report.value(("users", index, "name"), "is listed twice")
        users[user.name] = User(user.name, bytes.fromhex(user.token_sha256), user.tenant or user.name)
    return users
