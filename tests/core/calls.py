"""Calls, tools and routes for the tests of the core."""

from collections.abc import Mapping
from typing import Any

from sidecar.core.call import Call, Headers, Identity
from sidecar.core.content import Content
from sidecar.core.fleet import Fleet
from sidecar.core.pattern import EVERYTHING, HostPattern, PathPattern, canonical_path
from sidecar.core.route import Lane, Route, Tool
from sidecar.core.table import Choice, Matched, Site, Table
from sidecar.core.view import View

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
WHO = Identity("acme", "dunning", "run-7", "interactive")
FLEET = Fleet(cap=40, per_tenant=5, per_workflow=10, per_run=4)
LANES = {
    "read": Lane("read", wait_ms=2_000, store_down="allow", counted=False),
    "write": Lane("write", cap=20, wait_ms=10_000),
    "high_risk": Lane("high_risk", cap=5, wait_ms=20_000, durable=True),
}


def call(
    method: str = "POST", url: str = "http://api.test/notes", headers: Mapping[str, str] | None = None
) -> Call:
    """A call as intake builds it; ``url`` is ``scheme://host/path?query`` without a port."""
    scheme, _, rest = url.partition("://")
    host, slash, target = rest.partition("/")
    path, _, query = target.partition("?")
    raw = [(b"Host", host.encode())]
    raw += [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    secure = scheme == "https"
    return Call(
        id="call-1",
        method=method,
        scheme="https" if secure else "http",
        host=host,
        port=443 if secure else 80,
        path=slash + path,
        query=query,
        headers=Headers(raw),
        intake="forward",
    )


def view(
    made: Call | None = None, body: bytes = b"", params: Mapping[str, str] | None = None, who: Identity = WHO
) -> View:
    """What templates see of a call."""
    made = made or call()
    return View(made, who, made.host, canonical_path(made.path), Content(body, made.headers), params or {})


def tool(**fields: Any) -> Tool:
    return Tool(**{"name": "crm", "hosts": (HostPattern.parse("api.test"),)} | fields)


def route(
    its: Tool, name: str, methods: str = "", path: str = "", lane: str = "write", **fields: Any
) -> Route:
    """A route; ``methods`` are separated by spaces, and no path is every path."""
    chosen = LANES[lane]
    return Route(
        its,
        name,
        chosen,
        FLEET.standing(chosen.name, chosen.cap, chosen.counted, its.name, its.caps.get(lane)),
        methods=frozenset(methods.split()),
        path=PathPattern.parse(path) if path else EVERYTHING,
        **fields,
    )


def table(its: Tool, *routes: Route, **fields: Any) -> Table:
    return Table([Site.of(its, routes, LANES, FLEET)], FLEET, **fields)


def match(its: Table, made: Call, body: bytes = b"", who: Identity = WHO) -> Matched:
    choice: Choice = its.match(made)
    return choice.pick(made, who, body if choice.reads_body else None)
