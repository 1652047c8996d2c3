"""``routes/*.yaml``: one tool, and how its calls are gated."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import BeforeValidator

from sidecar.core.schema.fields import (
    Amount,
    Approvers,
    BudgetWindow,
    CapOrAuto,
    Decimals,
    Duration,
    ErrorStatus,
    FieldName,
    Fields,
    Idle,
    KeyLength,
    LaneName,
    Methods,
    Mode,
    Name,
    Rate,
    Size,
    Status,
    Statuses,
    Text,
    Texts,
    Url,
    Version,
    Wait,
    field,
    needed,
)
from sidecar.core.schema.order import Orders
from sidecar.core.schema.unknown import Partial, Unknown


class DownstreamKey(Fields):
    """Where the upstream takes an idempotency key that it honours. Exactly one of `header`, `query` and `body`."""

    header: FieldName | None = field(None, "The header field that carries it.")
    query: FieldName | None = field(None, "The query parameter that carries it.")
    body: FieldName | None = field(None, "The top-level JSON field that carries it.")
    retention: Duration = field(
        "24h", "How long the upstream remembers it. Past that an unknown outcome is never sent again."
    )
    max_length: KeyLength = field("255", "The longest key that the upstream takes, in characters.")


class Client(Fields):
    """How the HTTP clients of one kind are told of a refusal, so that their own retries do not multiply it."""

    stand_in: ClassVar = {"user_agent": "*"}

    user_agent: Text = needed("Which clients, by their `User-Agent`: `Stripe/*`. The first that fits counts.")
    retry: Literal["retryable", "never"] = field(
        "retryable",
        "Which refusals its own retries are good for: those with `retryable: true` in the body, or none.",
    )
    header: FieldName | None = field(
        None, "A field that it obeys, like `Stripe-Should-Retry`: set to `true` or `false`."
    )
    statuses: dict[Status, ErrorStatus] = field(
        {},
        "For a client that goes by the status: what a refusal says instead, where it shall not be retried. "
        "`{5xx: 409}`; a single status counts before its class.",
    )
    error: Text | None = field(
        None,
        "For a client that takes a body without this member for success, whatever the status: its name, like `error`. "
        "It gets `{type, code, message}`.",
    )


class ToolTls(Fields):
    """How this tool's upstream and the sidecar prove themselves. Relative paths begin at the configuration folder."""

    upstream_ca: Text | None = field(
        None, "What the upstream is verified against, PEM. Default: `tls.upstream_ca` in `sidecar.yaml`."
    )
    client_cert: Text | None = field(
        None, "The certificate that we show to an upstream that asks for one, PEM, with those below its root."
    )
    client_key: Text | None = field(None, "Its key, PEM without a passphrase.")


class Match(Fields):
    """Which calls a route is for. Everything given must hold."""

    method: Methods = field([], "One method, or a list. None given: every method.")
    path: Text = needed(
        "`/deals/{id}`: a segment in braces is a parameter, `{rest...}` at the end takes the whole tail."
    )
    when: Text | None = field(
        None, "A CEL condition over `method host path query header body tenant workflow run`."
    )


class Lock(Fields):
    """An entity that one call at a time may hold. A bare text is its key."""

    key: Text = needed("A template; a list of values gives one lock each.")
    hold: Literal["call", "run"] = field(
        "call",
        "`run`: once taken, the run of the call keeps it between its calls. Needs a run id on each call.",
    )
    idle: Idle | None = field(
        None,
        "With `hold: run`: how long after its last call the run keeps it, from `1s` to `24h`. Default: `2m`.",
    )


LockOrKey = Annotated[
    Lock,
    BeforeValidator(
        lambda value: {"key": value} if isinstance(value, str) else value, json_schema_input_type=str | Lock
    ),
]


class Budget(Fields):
    """What calls may sum up to in a window, by an amount that each of them names."""

    amount: Text | None = field(
        None,
        "One field, like `{body.amount}`: a number, or a list that is summed. A route may name another.",
    )
    limit: Amount = needed("The most that they may sum up to, in the unit of the amounts.")
    window: BudgetWindow = needed("In any stretch of this length: `24h`.")
    decimals: Decimals = field("0", "How many decimals amounts may have. More is refused, and never rounded.")
    per: Literal["tenant", "workflow", "run", "global"] = field("tenant", "Whose calls are summed together.")
    key: Text | None = field(
        None, "A template; each of its values has a sum of its own: `{body.currency}`. Default: one sum."
    )


class BudgetUse(Fields):
    """A budget that a route's calls count in. A bare text is its name."""

    budget: Name = needed("Which, by its name in `budgets`.")
    amount: Text | None = field(None, "Instead of the budget's.")


BudgetOrName = Annotated[
    BudgetUse,
    BeforeValidator(
        lambda value: {"budget": value} if isinstance(value, str) else value,
        json_schema_input_type=str | BudgetUse,
    ),
]


class Intent(Fields):
    """What makes two calls the same."""

    key: Text | None = field(None, "A template. Default: method, path, query and canonical body.")
    group: Name | None = field(
        None,
        "Routes of one group share their intents: what was done by one door is not done again by another. "
        "Needs a `key`, which must come to the same text at each of them.",
    )
    window: Duration | None = field(
        None, "How long a twin is a duplicate. Default: `10m` with a `key`, else `60s`."
    )
    until: Literal["change", "window"] | None = field(
        None,
        "`change`: a twin is a duplicate while its entities are unchanged. `window`: for the whole window. "
        "Default: `change` for PUT, PATCH and DELETE without a `group`, else `window`.",
    )
    scope: Literal["tenant", "workflow", "run"] = field("tenant", "Among whom a twin is a twin.")
    explicit: Literal["trust", "ignore", "require"] | None = field(
        None, "The caller's own `Idempotency-Key`. Default: `ignore` with a `key`, else `trust`."
    )


NO_INTENT: Final = Intent.model_construct()
"""``intent: none``, told by identity: an empty mapping means the defaults."""

IntentOrNone = Annotated[
    Intent,
    BeforeValidator(
        lambda value: NO_INTENT if value == "none" else value, json_schema_input_type=Literal["none"] | Intent
    ),
]


class Approval(Fields):
    """When a person must agree to a call before it goes. An approval is for exactly that request, and for one use."""

    when: Text | None = field(
        None,
        "A CEL condition, as in `match.when`; a call that lacks a field which it needs must be approved. "
        "Default: every call of the route.",
    )
    hold: Wait = field("20s", "How long the agent is kept waiting before it gets `approval-pending`.")
    ttl: Duration = field(
        "1h",
        "How long a question is open; an approval that nobody used is good for as long from when it was given.",
    )
    approvers: Approvers = field("1", "How many different people must agree.")
    show: dict[Name, Text] = field(
        {},
        "What a person sees of the call beside method, host and path: names and templates, like "
        "`{to: '{body.to}'}`. It is kept in the store and shown on the admin port.",
    )


class Kept(Fields):
    """Which answers are stored, and replayed to a twin."""

    statuses: Statuses | None = field(None, "Default: 2xx, and the 4xx that would come again.")
    keep_bytes: Size = field("256KiB", "A larger body is passed on and not kept.")
    retention: Duration = field("24h", "How long an explicit key, or an unknown outcome, is remembered.")


class Route(Fields):
    """One kind of call, and how it is gated. The first route that matches wins."""

    stand_in: ClassVar = {"name": "unnamed"}

    name: Name = needed("Names it in headers, logs and metrics.")
    match: Match = needed("Which calls it is for.")
    lane: LaneName | None = field(
        None, "Default: `read` where `match.method` has only GET, HEAD and OPTIONS, else `write`."
    )
    locks: tuple[LockOrKey, ...] | None = field(
        None,
        "Entities that one call at a time may hold, as templates. `[]`: none. "
        "Default in `write` and `high_risk`: the tool and the path.",
    )
    intent: IntentOrNone | None = field(
        None,
        "What makes two calls the same. `none`: every call runs. Default in `write` and `high_risk`: the whole call.",
    )
    rate: Rate | None = field(
        None, "How many of its calls, by their cost, may go in any period of that length, across the fleet."
    )
    cost: Text | None = field(
        None,
        "What a call takes of its rates: a number, or one field, like `{body.inputs}`: a list counts its elements, "
        "a number counts itself. It takes one slot of a cap all the same. Default: 1.",
    )
    budgets: tuple[BudgetOrName, ...] = field([], "Budgets that its calls count in, by name.")
    unknown: Unknown = field({}, "What becomes of a call whose outcome nobody knows.")
    partial: Partial | None = field(
        None,
        "Which answers say that a batch was done in part: recorded so, kept whatever `store.statuses` says, and never "
        "sent again. Default: those with status 207.",
    )
    store: Kept = field({}, "Which answers are stored, and replayed to a twin.")
    timeout: Duration | None = field(None, "Instead of the tool's.")
    body_limit: Size | None = field(None, "Instead of the tool's.")
    mode: Mode | None = field(None, "Instead of the tool's.")
    order: Orders = field(
        [],
        "Which state an entity must be in, and which one it is in afterwards. One, or several that must all hold.",
    )
    approval: Approval | None = field(None, "When a person must agree.")
    fresh: Texts = field(
        [],
        "Entities, as templates: the call is refused (412) where another run changed one of them since this run last "
        "read it through a route that `observes` it.",
    )
    observes: Texts = field(
        [], "Entities that this call reads, as templates, by the names that their writers lock. For `fresh`."
    )


class ToolFile(Fields):
    """`routes/*.yaml`: one tool, and how its calls are gated."""

    stand_in: ClassVar = {"version": "1", "tool": "unnamed"}

    version: Version = needed("The version of this format: 1.")
    tool: Name = needed("Names it in headers, logs, metrics and `/_tool/NAME/...`.")
    hosts: Texts = field(
        [],
        "Whose calls it takes: `api.example.com`, `*.example.com`, with `:PORT` where it is not the usual one.",
    )
    upstream: Url | None = field(None, "Where its calls go. Default: the host that the call names.")
    tls: ToolTls = field({}, "Certificates of its upstream and for it. An upstream is always verified.")
    timeout: Duration = field("30s", "From the first attempt to connect until the last byte of the answer.")
    connect_timeout: Duration | None = field(None, "Default: `timeouts.connect` in `sidecar.yaml`.")
    body_limit: Size | None = field(
        None, "A body that a route must look into. Default: `limits.body` in `sidecar.yaml`."
    )
    caps: dict[LaneName, CapOrAuto] = field(
        {},
        "For each lane, how many of this tool's calls may be in flight, across the fleet: a number, `auto`, "
        "or `auto 2..50`. An `auto` grows while answers come as fast as without a queue; it falls when they slow "
        "down, when a tenth are errors, or when the upstream turns a call away. Its bounds are `1..200` by default.",
    )
    rate: Rate | None = field(
        None,
        "How many calls, by their cost, may go in any period of that length, across the fleet: `100 per 10s`. They "
        "may all come at once. A call that was not sent gives back what it took.",
    )
    budgets: dict[Name, Budget] = field(
        {}, "What calls may sum up to, by an amount that they name; for the routes that count in them."
    )
    credential: Texts = field(
        ["header:Authorization", "header:X-Api-Key"],
        "Where the caller's account shows, as `header:NAME` or `query:NAME`. "
        "Its hash is part of every intent: another account never gets this one's answer.",
    )
    downstream_key: DownstreamKey | None = field(None, "Only for an API that honours idempotency keys.")
    clients: tuple[Client, ...] = field(
        [], "How its SDKs are told of a refusal. Without: the same status for everyone."
    )
    mode: Mode | None = field(
        None, "`observe`: decide and log, never refuse or delay. Default: `mode` in `sidecar.yaml`."
    )
    routes: tuple[Route, ...] = field(
        [], "First match wins. A call that none names is gated by safe defaults."
    )
