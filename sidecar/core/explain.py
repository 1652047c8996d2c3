"""What would happen to a call, told without making it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import orjson

from sidecar.core.call import Call, Identity
from sidecar.core.claim import AutoCap, Cap, Claim, Rate
from sidecar.core.derive import derive, intent_text
from sidecar.core.guard import Approval, Budget, EndRun, Fresh, Hold, Observe, Order
from sidecar.core.identity import Identities
from sidecar.core.refusal import Refusal
from sidecar.core.table import Matched, Table


@dataclass(frozen=True, slots=True)
class Explanation:
    """One call's way through the rules, up to the gate."""

    tool: str
    route: str
    why: str
    """What made the route match."""
    mode: str
    lane: str
    who: Identity
    path: str
    """In the form it was matched in."""
    params: Mapping[str, str]
    locks: tuple[str, ...]
    order: tuple[Order, ...]
    intent: str
    """The key before hashing; no credential in it.  Empty: the call has no intent."""
    intent_kind: str
    """``explicit``, ``written``, ``group``, ``derived``, or empty."""
    intent_key: str
    """As the store knows it."""
    until: str
    window_ms: int
    resend: bool
    probe: str
    """How a retry would look for an attempt whose outcome is unknown: method, target and condition.  Empty: it would
    not."""
    caps: tuple[Cap | AutoCap, ...]
    rates: tuple[Rate, ...]
    budgets: tuple[Budget, ...]
    wait_ms: int
    timeout_ms: int
    store_down: str
    reads_body: bool
    body_limit: int
    empty: bool
    """Nothing is asked of the store: the call passes ungated."""
    holds: tuple[Hold, ...] = ()
    """Locks that its run keeps between its calls."""
    observes: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    ends_run: bool = False
    approval: Approval | None = None
    """What people would be asked."""

    def as_json(self) -> dict[str, object]:
        """As a program reads it."""
        return asdict(self) | {
            "who": self.who._asdict(),
            "caps": [cap._asdict() for cap in self.caps],
            "rates": [rate._asdict() for rate in self.rates],
            "budgets": [budget._asdict() for budget in self.budgets],
            "order": [order._asdict() for order in self.order],
            "holds": [hold._asdict() for hold in self.holds],
            "approval": self.approval
            and self.approval._asdict() | {"seen": orjson.loads(self.approval.seen)},
        }


def explain(table: Table, identities: Identities, call: Call, body: bytes) -> Explanation:
    """Raises the Refusal that the call itself would get."""
    choice = table.match(call)
    who = identities.identify(call)
    matched = choice.pick(call, who, body if choice.reads_body else None)
    why = _why_opened(call) if call.method == "CONNECT" and table.opens(call) else _why(matched)
    return _told(matched, derive(matched), why, choice.reads_body, choice.body_limit)


def _told(matched: Matched, claim: Claim, why: str, reads_body: bool, body_limit: int) -> Explanation:
    route, view = matched
    intent = claim.intent
    kind, text = ("", "") if route.intent is None else intent_text(route, route.intent, view)
    return Explanation(
        tool=claim.tool,
        route=claim.route,
        why=why,
        mode="observe" if route.observe else "enforce",
        lane=claim.lane,
        who=view.who,
        path=view.path,
        params=view.params,
        locks=claim.locks,
        order=tuple(guard for guard in claim.guards if isinstance(guard, Order)),
        intent=text,
        intent_kind=kind,
        intent_key=intent.key if intent is not None else "",
        until=intent.until if intent is not None else "",
        window_ms=intent.window_ms if intent is not None else 0,
        resend=intent.resend if intent is not None else False,
        probe=_probe(matched),
        caps=claim.caps,
        rates=claim.rates,
        budgets=tuple(guard for guard in claim.guards if isinstance(guard, Budget)),
        wait_ms=claim.wait_ms,
        timeout_ms=claim.timeout_ms,
        store_down=claim.store_down,
        reads_body=reads_body,
        body_limit=body_limit,
        empty=claim.empty,
        holds=tuple(guard for guard in claim.guards if isinstance(guard, Hold)),
        observes=tuple(guard.entity for guard in claim.guards if isinstance(guard, Observe)),
        fresh=tuple(guard.entity for guard in claim.guards if isinstance(guard, Fresh)),
        ends_run=any(isinstance(guard, EndRun) for guard in claim.guards),
        approval=next((guard for guard in claim.guards if isinstance(guard, Approval)), None),
    )


def _probe(matched: Matched) -> str:
    probe = matched.route.probe
    if probe is None:
        return ""
    try:
        target = probe.path.target(matched.view)
    except Refusal as no:
        return f"{probe.method} {probe.path.text} cannot be asked for this call: {no.detail}"
    return f"{probe.method} {target}; applied where {probe.applied.text}"


def _why_opened(connect: Call) -> str:
    return f"CONNECT to {connect.host}:{connect.port} is opened: each call inside is gated like https://{connect.host}/..."


def _why(matched: Matched) -> str:
    route, view = matched
    call = view.call
    if call.method == "CONNECT":
        return f"CONNECT to {call.host}:{call.port} is tunnelled blind: what passes inside cannot be seen"
    if not route.tool.name:
        return f"no tool has the host {call.host}"
    reached = f"/_tool/{route.tool.name}/" if call.tool is not None else f"host {call.host}"
    if route.name == "default":
        return f"{reached}; no route names {call.method} {view.path}"
    parts = [reached, f"method {call.method}" if route.methods else "every method", f"path {route.path.text}"]
    if route.when is not None:
        parts.append(f"when {route.when.text}")
    return "; ".join(parts)
