"""``sidecar.yaml``: this process, the fleet's caps, and who the agents are."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator

from sidecar.core.schema.fields import (
    Address,
    Cap,
    Count,
    Duration,
    Fields,
    Flag,
    Identifier,
    Lease,
    Mode,
    Name,
    Network,
    Port,
    Rate,
    Secret,
    Sha256,
    Size,
    StoreUrl,
    Text,
    Texts,
    Url,
    Version,
    Wait,
    Weight,
    field,
    filled,
    needed,
)


class Listen(Fields):
    """Where this process listens."""

    proxy: Address = field("127.0.0.1:8080", "Where agents send their calls. Port 0 picks a free one.")
    admin: Address = field("127.0.0.1:9901", "Health, metrics and state.")
    transparent: Port | None = field(
        None,
        "Port on loopback (IPv4 and IPv6) for connections that `sidecar redirect` sends here: enforced mode. "
        "Its own default is 15001. Absent: there is none.",
    )


class Store(Fields):
    """Where claims, leases and answers are kept."""

    url: StoreUrl = field(
        "embedded",
        "`embedded`, or `redis://`, `rediss://`, `unix://`. Every sidecar of a fleet names the same.",
    )
    namespace: Name = field(
        "default", "Sidecars of one namespace share locks, caps and answers; two namespaces never meet."
    )
    state: Text | None = field(
        None, "Folder of the embedded store. Default: `.sidecar` in the configuration folder."
    )
    lease: Lease = field(
        "15s", "How long a grant outlives a sidecar that died. Renewed at a third of it while a call runs."
    )
    allow_eviction: Flag = field("false", "Start although the server may evict keys, and with them locks.")


class Source(Fields):
    """Where one part of the identity comes from."""

    from_: Texts = field(
        [], "In this order: `proxy-user`, `header:NAME`, `baggage:KEY`, `traceparent`.", alias="from"
    )
    pin: Identifier | None = field(
        None, "A fixed value, instead of `from`: nothing that a caller sends can change it."
    )
    default: Identifier | None = field(None, "Where no source has a value.")


def _source(default: str | None, *sources: str) -> BeforeValidator:
    """What one part of the identity has by default.  A pin has no sources, so it gets none."""
    known: dict[str, Any] = {"from": list(sources)} | ({} if default is None else {"default": default})
    return BeforeValidator(
        lambda value: {**known, **value} if isinstance(value, dict) and "pin" not in value else value
    )


class Identity(Fields):
    """Who makes a call. All of it is stripped before the call leaves."""

    tenant: Annotated[Source, _source("default", "proxy-user", "header:X-Agent-Tenant", "baggage:tenant")] = (
        field(
            {},
            "On whose behalf. "
            "Default: `{from: [proxy-user, header:X-Agent-Tenant, baggage:tenant], default: default}`.",
        )
    )
    workflow: Annotated[Source, _source("default", "header:X-Agent-Workflow")] = field(
        {},
        "In which kind of work. Default: `{from: [header:X-Agent-Workflow], default: default}`.",
    )
    run: Annotated[Source, _source(None, "header:X-Agent-Run", "traceparent")] = field(
        {},
        "In which execution of it; empty where nobody says. Default: `{from: [header:X-Agent-Run, traceparent]}`.",
    )
    priority: Annotated[Source, _source("interactive", "header:X-Agent-Priority")] = field(
        {}, "A name from `priorities`. Default: `{from: [header:X-Agent-Priority], default: interactive}`."
    )


class User(Fields):
    """One agent that proves itself in the proxy URL, `http://NAME:TOKEN@127.0.0.1:8080`."""

    name: Name = needed("The user name in the proxy URL.")
    token_sha256: Sha256 = needed("SHA-256 of its token, in hex: `printf %s TOKEN | sha256sum`.")
    tenant: Identifier | None = field(None, "The tenant it is pinned to. Default: its name.")


class FleetCaps(Fields):
    """How many counted calls may be in flight at once, across the fleet. No cap unless given."""

    global_: Cap | None = field(None, "In all.", alias="global")
    per_tenant: Cap | None = field(None, "For each tenant.")
    per_workflow: Cap | None = field(None, "For each workflow of a tenant.")
    per_run: Cap | None = field(None, "For each run of a tenant.")


class Lane(Fields):
    """How calls of one kind are treated."""

    cap: Cap | None = field(None, "At most so many in flight, across the fleet. No cap unless given.")
    wait: Wait = field(
        "10s", "How long a call may wait for a slot, a lock or a running twin. `0` never waits."
    )
    on_store_down: Literal["allow", "refuse"] = field(
        "refuse", "Without the store: `refuse` at once, or `allow` ungated and counted."
    )
    counted: Flag = field(
        "true",
        "Whether its calls count in the global, tenant, workflow and run caps, and in a tenant's rate.",
    )
    durable: Flag = field(
        "false", "Wait for the store's replicas before the first byte leaves. No effect in this version."
    )
    min: Cap | None = field(
        None, "So many slots of `caps.global` are kept for this lane, beside what it gets else."
    )
    borrow: Flag = field(
        "false",
        "Lend what `min` keeps to others while no call of this lane waits. It comes back as calls end: a slot that "
        "frees up goes to this lane first, until it holds its `min`.",
    )


class Lanes(Fields):
    """The four lanes. What a lane leaves out keeps its default."""

    read: Annotated[Lane, filled(wait="2s", on_store_down="allow", counted="false")] = field(
        {}, "Changes nothing. Default: `{wait: 2s, on_store_down: allow, counted: false}`."
    )
    draft: Annotated[Lane, filled(on_store_down="allow")] = field(
        {}, "Changes what nobody outside sees. Default: `{wait: 10s, on_store_down: allow}`."
    )
    write: Annotated[Lane, filled()] = field(
        {}, "Changes a record. Default: `{wait: 10s, on_store_down: refuse}`."
    )
    high_risk: Annotated[Lane, filled(wait="20s")] = field(
        {},
        "Moves money, or cannot be taken back. Default: `{wait: 20s, on_store_down: refuse}`.",
    )


class Tenant(Fields):
    """What one tenant has that others have not."""

    weight: Weight = field("1", "Its share where tenants wait for the same slots.")
    cap: Cap | None = field(None, "Instead of `caps.per_tenant`.")
    queue: Count | None = field(None, "Instead of `queue.per_tenant`.")
    rate: Rate | None = field(
        None,
        "How many of its counted calls, by their cost, may go in any period of that length: `100 per 10s`.",
    )
    min: Cap | None = field(
        None, "So many slots of `caps.global` are kept for this tenant, beside what it gets else."
    )
    borrow: Flag = field("false", "Lend what `min` keeps to others while no call of this tenant waits.")


class Queue(Fields):
    """How many calls may wait at once, across the fleet. One more is refused at once."""

    per_tenant: Count = field("100", "For each tenant.")
    total: Count = field("10000", "In all.")


class Egress(Fields):
    """Where calls may go."""

    unmatched: Literal["tunnel", "deny"] = field(
        "tunnel", "Hosts that no tool claims: passed through ungated, or refused."
    )
    deny: tuple[Literal["metadata", "private"], ...] = field(
        ["metadata", "private"],
        "`metadata`: cloud metadata services. `private`: private, loopback and link-local addresses.",
    )
    allow: tuple[Network, ...] = field(
        [], "Networks that are allowed all the same. Loopback upstreams need `127.0.0.0/8` here."
    )


class Tls(Fields):
    """Certificates. Relative paths begin at the configuration folder; `sidecar ca init` makes an authority."""

    ca_cert: Text | None = field(
        None,
        "The authority that interception signs with, PEM: its certificate, and those between it and a root. "
        "With it `CONNECT` to a tool's host is opened and its calls are gated; without it nothing is intercepted.",
    )
    ca_key: Text | None = field(None, "Its key, PEM without a passphrase.")
    ca: Literal["ephemeral"] | None = field(
        None,
        "Instead of `ca_cert` and `ca_key`. `ephemeral`: an authority for the tools' hosts, made at every start, whose "
        "key never leaves this process's memory. Agents find it in `share`.",
    )
    share: Text | None = field(
        None,
        "A folder that agents see too. Before the sidecar is ready, `ca.pem` (the authority) and `ca-bundle.pem` (that "
        "and the system's) are in it.",
    )
    upstream_ca: Text | None = field(
        None, "What upstreams are verified against, PEM. Default: the system's authorities."
    )


class Log(Fields):
    """What is written where."""

    level: Literal["debug", "info", "warning", "error"] = field(
        "info", "How much the process says on stderr."
    )
    decisions: Text = field(
        "stdout", "One JSON line per gated call: `stdout`, `stderr`, `off`, or the path of a file."
    )


class Limits(Fields):
    """Bounds on what an agent may send."""

    header_bytes: Size = field("64KiB", "A request's header block.")
    body: Size = field(
        "1MiB", "A body that a route must look into; others stream. A tool and a route may say otherwise."
    )
    connections: Cap = field("10000", "Open connections from agents.")


class Timeouts(Fields):
    """How long the wire waits."""

    connect: Duration = field("5s", "For a connection to an upstream, TLS included.")
    idle: Duration = field("60s", "Before an unused connection to an upstream is closed.")


class Approver(Fields):
    """Somebody who may decide, with a token of his own: `Authorization: Bearer TOKEN`."""

    name: Identifier = needed("As the log and the agent are told.")
    token_sha256: Sha256 = needed("SHA-256 of the token, in hex: `printf %s TOKEN | sha256sum`.")


class Webhook(Fields):
    """Who is told of a question: a POST, signed, tried again until it is answered with 2xx or the question is over."""

    url: Url = needed("Where it goes: one address of your platform, not under `egress`.")
    secret: Secret = needed("Signs it: HMAC-SHA256 over the time and the body, in `Sidecar-Signature`.")


class Approvals(Fields):
    """Who decides where a route wants an approval, and how many questions may be open."""

    approvers: tuple[Approver, ...] = field(
        [], "Only these may decide, and each as himself. None: who has the admin token, under any name."
    )
    webhook: Webhook | None = field(None, "Who is told of a question.")
    per_run: Cap = field("5", "Questions of one run that may be open at once. One more is refused.")
    per_tenant: Cap = field("50", "The same for a tenant.")


class SidecarFile(Fields):
    """`sidecar.yaml`: this process, the fleet's caps, and who the agents are."""

    stand_in: ClassVar = {"version": "1"}

    version: Version = needed("The version of this format: 1.")
    listen: Listen = field({}, "Where this process listens.")
    store: Store = field({}, "Where claims, leases and answers are kept.")
    identity: Identity = field({}, "Who makes a call.")
    users: tuple[User, ...] = field(
        [], "Agents that must prove themselves. None: any user name is taken as it is."
    )
    caps: FleetCaps = field({}, "How many calls may be in flight at once, across the fleet.")
    lanes: Lanes = field({}, "How calls of each kind are treated.")
    tenants: dict[Identifier, Tenant] = field({}, "What single tenants have that others have not.")
    priorities: dict[Name, Weight] = field(
        {"interactive": "8", "background": "1"}, "Names that a call may carry, and their weights."
    )
    queue: Queue = field({}, "How many calls may wait at once.")
    egress: Egress = field({}, "Where calls may go.")
    tls: Tls | None = field(None, "Interception of HTTPS. Absent: `CONNECT` is tunnelled blind.")
    mode: Mode = field("enforce", "`observe`: decide and log, never refuse or delay.")
    log: Log = field({}, "What is written where.")
    limits: Limits = field({}, "Bounds on what an agent may send.")
    timeouts: Timeouts = field({}, "How long the wire waits.")
    approvals: Approvals = field({}, "Who decides where a route wants an approval.")
    drain: Wait = field("25s", "On SIGTERM: how long calls in flight may take to finish.")
