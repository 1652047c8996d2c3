"""From a matched call to its claim: what it locks, what makes it a duplicate, what it counts against.

An intent's key is a digest over everything that must tell two calls apart, in this order: the kind of key,
the tool and (where it has several) the place it goes to, the scope, the credential, then the key itself.  So
an answer never crosses tenants or accounts, however alike the requests are.  Four kinds:

- *explicit*: the caller's own key names a request.  It is good for the whole retention, and a fingerprint of
  the request is kept beside it, since a key may be used again by mistake.
- *written*: the route's template names an intent; the route's name is part of it, since another route may
  write the same template for another operation.
- *group*: the same, with the group's name instead of the route's: routes of one meaning share their intents, so what
  was done by one door is not done again by another.  A value is its text here: a number in one door's body may be
  part of the other's path.
- *derived*: method, path, query and canonical body *are* the intent.
"""

from hashlib import blake2b
from typing import Final, Literal, TypeAlias

import orjson

from sidecar.core.claim import Claim, Intent
from sidecar.core.downstream import callers_key
from sidecar.core.refusal import Refusal
from sidecar.core.route import CHANGING, IntentSpec, Route, Tool
from sidecar.core.table import Matched
from sidecar.core.template import MOST_NAMES, too_many_names
from sidecar.core.view import View

REPLACING: Final = frozenset({"PUT", "DELETE"})
"""Applied twice they leave what they leave applied once (RFC 9110 section 9.2.2)."""

Kind: TypeAlias = Literal["explicit", "written", "group", "derived"]


def derive(matched: Matched) -> Claim:
    """What the call asks of the gate.  Raises Refusal ``key-underivable`` or ``bad-request``."""
    route, view = matched
    who = view.who
    lane = route.lane
    flow, caps, rates = route.standing.of(who)
    if route.cost is not None and rates:
        rates = route.cost.weigh(rates, view)
    return Claim(
        view.call.id,
        route.tool.name,
        route.name,
        lane.name,
        who.workflow,
        who.run,
        flow,
        _intent(route, route.intent, view) if route.intent is not None else None,
        _locks(route, view) if route.locks else (),
        caps,
        lane.wait_ms,
        route.tool.timeout_ms,
        route.quarantine,
        lane.store_down,
        lane.durable,
        rates,
        tuple(guard for spec in route.guards for guard in spec.of(view)) if route.guards else (),
    )


def _locks(route: Route, view: View) -> tuple[str, ...]:
    if len(route.locks) == 1:
        names = route.locks[0].names(view)
        if len(names) == 1:
            return tuple(names)
        return tuple(sorted(set(names)))
    found = {name for lock in route.locks for name in lock.names(view)}
    if len(found) > MOST_NAMES:
        raise too_many_names()
    return tuple(sorted(found))


def _intent(route: Route, spec: IntentSpec, view: View) -> Intent:
    kind, text = intent_text(route, spec, view)
    tool = route.tool
    explicit = kind == "explicit"  # it names a request, whatever has happened to the entity since
    key = _digest(kind, tool.name, _place(tool, view), *_scope(spec, view), *_credential(tool, view), text)
    resend, resend_ms = _resend(route, view.call.method)
    return Intent(
        key,
        _digest(_request(tool, view)) if explicit else "",
        "window" if explicit else spec.until or ("change" if view.call.method in CHANGING else "window"),
        route.store.retention_ms if explicit else spec.window_ms,
        resend,
        resend_ms,
    )


def intent_text(route: Route, spec: IntentSpec, view: View) -> tuple[Kind, str]:
    """The kind of key and the text of it, before it is hashed with what scopes it."""
    if spec.explicit != "ignore":
        key = callers_key(route.tool, view.call, view.content)
        if key:
            return "explicit", key
        if spec.explicit == "require":
            raise Refusal(
                "bad-request",
                "This route takes only calls with an idempotency key, and this one has none. Nothing was "
                "sent. Send an Idempotency-Key header: a new value (a UUID) for each new request, the same "
                "one for its retries.",
            )
    if spec.key is not None and spec.group:
        return "group", f"{spec.group} {spec.key.meaning(view)}"
    if spec.key is not None:
        return "written", f"{route.name} {spec.key.key(view)}"
    return "derived", _request(route.tool, view)


def _request(tool: Tool, view: View) -> str:
    """What a request says, without the key in it."""
    downstream = tool.downstream
    apart = downstream.name if downstream is not None and downstream.place == "query" else ""
    query = view.canonical_query(apart) if view.call.query else ""
    body = view.content.canonical.decode("utf-8", "surrogateescape")
    return f"{view.call.method} {view.path}?{query} {body}"


def _place(tool: Tool, view: View) -> str:
    """Where the call goes, where its tool has several places: two shops of one platform share no answer."""
    return "" if tool.one_place else view.host


def _scope(spec: IntentSpec, view: View) -> tuple[str, ...]:
    who = view.who
    if spec.scope == "tenant":
        return (who.tenant,)
    if spec.scope == "workflow":
        return (who.tenant, "workflow", who.workflow)
    if not who.run:
        raise Refusal(
            "key-underivable",
            "This route tells duplicates apart within one run, and the call does not say which run it "
            "belongs to. Nothing was sent. Send an X-Agent-Run header (or traceparent) with the id of this "
            "run.",
        )
    return (who.tenant, "run", who.run)


def _credential(tool: Tool, view: View) -> list[str]:
    """What tells one account from another.  Hashed with the rest, and never shown."""
    found = []
    for place in tool.credentials:
        kind, _, name = place.partition(":")
        if kind == "header":
            found.append(view.call.headers.text(name.encode("latin-1")) or "")
        else:
            found.append(" ".join(value for key, value in view.query() if key == name))
    return found


def _resend(route: Route, method: str) -> tuple[bool, int]:
    """Whether an unknown outcome may be sent again, and for how long (0: while its entities are unchanged).

    An upstream's memory counts from when the request reached it.  That may be a timeout before anybody noticed that
    its outcome is unknown, from where the store counts; and a re-send takes up to a timeout to get there.
    """
    if route.resolve in ("hold", "probe") or (route.intent is not None and route.intent.group):
        return False, 0  # of a group, the attempt may have been another door's request
    downstream = route.tool.downstream
    if downstream is not None:
        remembered_ms = downstream.retention_ms - 2 * route.tool.timeout_ms
        if remembered_ms > 0:
            return True, remembered_ms
    return method in REPLACING, 0


def _digest(*parts: str) -> str:
    """Hex digest over the parts as a list is written, so that none can be mistaken for its neighbours."""
    try:
        text = orjson.dumps(parts)
    except orjson.JSONEncodeError:  # a lone surrogate stands for a byte that is no UTF-8
        text = repr(parts).encode()
    return blake2b(text, digest_size=20).hexdigest()


def exact(tool: Tool, view: View) -> str:
    """Hex digest over all that a request says, and who says it: two requests of one digest do the same thing."""
    who = view.who
    where = (tool.name, view.host, who.tenant, who.workflow)
    kind = view.content.type.decode("latin-1")
    return _digest("exact", *where, kind, _request(tool, view), *_credential(tool, view))
