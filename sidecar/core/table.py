"""Which route a call takes: its tool by host or by name, then method and path, then conditions; first match
wins.

A call to a tool that no route takes has the tool's default route: it is locked and remembered, never let
through.

Method overrides (``X-HTTP-Method-Override`` and its kin) are refused: whether an upstream honours one cannot
be seen from here, so whichever method was matched, the other would be a way around its route.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple, Self
from urllib.parse import parse_qs

from sidecar.core.call import Call, Identity
from sidecar.core.client import Client
from sidecar.core.content import Content
from sidecar.core.fleet import Fleet
from sidecar.core.guard import GuardSpec
from sidecar.core.index import Candidates, Index
from sidecar.core.pattern import HostPattern, canonical_path
from sidecar.core.refusal import Refusal
from sidecar.core.route import DEFAULT_BODY_LIMIT, IntentSpec, Lane, Route, Tool
from sidecar.core.template import Template
from sidecar.core.view import NO_CONTENT, NO_PARAMS, View

READING: Final = ("GET", "HEAD", "OPTIONS")
"""Methods that the default route takes for reads."""

PASS_TIMEOUT_MS: Final = 600_000
"""A call to somebody else's host: as patient as the SDKs of model APIs are."""

_OVERRIDES: Final = frozenset({b"x-http-method-override", b"x-method-override", b"x-http-method"})


@dataclass(frozen=True, slots=True)
class Site:
    """A tool with its routes, in file order, and the two for what they do not name."""

    tool: Tool
    routes: tuple[Route, ...]
    read: Route
    """For GET, HEAD and OPTIONS; named ``default``."""
    write: Route
    """For everything else; named ``default``."""

    @classmethod
    def of(
        cls,
        tool: Tool,
        routes: Sequence[Route],
        lanes: Mapping[str, Lane],
        fleet: Fleet,
        *,
        observe: bool = False,
        body_limit: int = DEFAULT_BODY_LIMIT,
    ) -> Self:
        """``tool`` with its default routes; ``lanes`` has at least ``read`` and ``write``."""
        read = _default(tool, lanes["read"], fleet)
        write = _default(tool, lanes["write"], fleet)
        locks = (Template.parse(f"{tool.name}:{{path}}"),)
        return cls(
            tool,
            tuple(routes),
            replace(read, observe=observe, body_limit=body_limit),
            replace(write, locks=locks, intent=IntentSpec(), observe=observe, body_limit=body_limit),
        )


def _default(tool: Tool, lane: Lane, fleet: Fleet) -> Route:
    cap = tool.caps.get(lane.name)
    standing = fleet.standing(lane.name, lane.cap, lane.counted, tool.name, cap, tool.rates)
    return Route(tool, "default", lane, standing)


class Matched(NamedTuple):
    """The route a call takes, and what can be seen of the call."""

    route: Route
    view: View


class Choice:
    """What is known before the body: the routes that may still match."""

    __slots__ = ("_host", "_path", "_routes", "_segments", "body_limit", "reads_body")

    def __init__(self, candidates: Candidates, host: str, path: str, segments: list[str]) -> None:
        self._routes, self.reads_body, self.body_limit = candidates
        self._host = host
        self._path = path
        self._segments = segments

    def pick(self, call: Call, who: Identity, body: bytes | None) -> Matched:
        """The route; ``body`` was read where ``reads_body`` says so.  Raises Refusal ``key-underivable``."""
        content = NO_CONTENT
        if body:
            downstream = self._routes[0].tool.downstream
            apart = downstream.name if downstream is not None and downstream.place == "body" else ""
            content = Content(body, call.headers, apart)
        for route in self._routes:
            path = route.path
            params = path.values(self._segments) if path.parameters or path.tail else NO_PARAMS
            view = View(call, who, self._host, self._path, content, params)
            if route.when is None or route.when.holds(view.read):
                return Matched(route, view)
        raise AssertionError("the last route of a choice has no condition")


class Table:
    """Every tool of a configuration."""

    def __init__(
        self,
        sites: Sequence[Site],
        fleet: Fleet,
        unmatched: Literal["tunnel", "deny"] = "tunnel",
        intercepts: bool = False,
        always: tuple[GuardSpec, ...] = (),
    ) -> None:
        """``intercepts``: a CONNECT to a tool's host is opened, not tunnelled blind.  ``always``: what calls to other
        hosts are asked all the same.
        """
        self.sites = tuple(sites)
        self._doors = {site.tool.name: _Door(site) for site in sites}
        self._exact: dict[str, list[tuple[int | None, _Door]]] = {}
        self._below: list[tuple[str, int | None, _Door]] = []
        for site in sites:
            for pattern in site.tool.hosts:
                self._open(pattern, self._doors[site.tool.name])
        self._below.sort(key=lambda entry: (-len(entry[0]), entry[1] is None))
        self._denies = unmatched == "deny"
        self._pass = Candidates.of((), replace(_passing(fleet), guards=always))
        self._intercepts = intercepts
        self._made_from = (self.sites, fleet, unmatched, intercepts, always)

    def __reduce__(self) -> tuple[type["Table"], tuple[object, ...]]:
        return Table, self._made_from

    def _open(self, pattern: HostPattern, door: "_Door") -> None:
        if pattern.wildcard:
            self._below.append((f".{pattern.name}", pattern.port, door))
        else:
            entries = self._exact.setdefault(pattern.name, [])
            entries.append((pattern.port, door))
            entries.sort(key=lambda entry: entry[0] is None)  # a named port is asked before every port

    def match(self, call: Call) -> Choice:
        """Raises Refusal ``egress-denied`` for an unmatched host, ``bad-request`` for an unknown tool or a
        path or method that servers read differently.
        """
        door = self._named(call.tool) if call.tool is not None else self._at(call.host, call.port)
        if door is None:
            if self._denies:
                raise self._denied(call)
        elif (
            call.method != "CONNECT"
        ):  # a CONNECT is no call of the tool's; those are inside, if they can be seen
            return door.choose(call)
        return Choice(self._pass, call.host, call.path, [])

    def opens(self, connect: Call) -> bool:
        """Whether what passes inside this CONNECT is a tool's and can be seen.

        Raises Refusal ``egress-denied`` where a redirected connection is a tool's and cannot be seen.
        """
        if self._at(connect.host, connect.port) is None:
            return False
        if self._intercepts or not connect.address:
            return self._intercepts
        if connect.scheme == "https":
            raise self._unseen(connect)
        return True

    def clients(self, call: Call) -> Sequence[Client]:
        """The clients of the tool that the call is meant for; none where no tool is."""
        door = self._doors.get(call.tool) if call.tool is not None else self._at(call.host, call.port)
        return () if door is None else door.site.tool.clients

    def tool_at(self, connect: Call) -> str:
        """The name of the tool that a CONNECT leads to; empty where it leads to none."""
        door = self._at(connect.host, connect.port)
        return "" if door is None else door.site.tool.name

    def _at(self, host: str, port: int) -> "_Door | None":
        for wanted, door in self._exact.get(host, ()):
            if wanted is None or wanted == port:
                return door
        for suffix, wanted, door in self._below:
            if host.endswith(suffix) and (wanted is None or wanted == port):
                return door
        return None

    def _named(self, tool: str) -> "_Door":
        door = self._doors.get(tool)
        if door is None or not door.host:
            known = ", ".join(sorted(name for name, door in self._doors.items() if door.host)) or "none yet"
            raise Refusal(
                "bad-request",
                f"There is no tool named {tool[:80]!r} to reach under /_tool/. The tools here are: {known}. "
                "Call /_tool/NAME/PATH with one of these names.",
            )
        return door

    def _unseen(self, connect: Call) -> Refusal:
        return Refusal(
            "egress-denied",
            f"{connect.host} is a tool's, and this sidecar has no authority to open TLS with, so what passes "
            "could not be gated. Nothing was sent. An operator must give it one (`tls` in sidecar.yaml).",
        )

    def _denied(self, call: Call) -> Refusal:
        return Refusal(
            "egress-denied",
            f"No tool here has the host {call.host!r}, and calls to other hosts are not allowed "
            "(egress.unmatched: deny). Nothing was sent. Use one of the tools: "
            f"{', '.join(sorted(self._doors)) or 'none yet'}.",
        )


class _Door:
    """One site, indexed."""

    __slots__ = ("_by_method", "_other", "host", "site")

    def __init__(self, site: Site) -> None:
        self.site = site
        self.host = _home(site.tool)
        """The host of its reverse form; empty where the tool has no one place to go."""
        methods = frozenset(READING).union(*(route.methods for route in site.routes))
        self._by_method = {
            method: Index(site.routes, method, site.read if method in READING else site.write)
            for method in methods
        }
        self._other = Index(site.routes, "", site.write)

    def choose(self, call: Call) -> Choice:
        method = call.method
        _check_override(call)
        path = canonical_path(call.path)
        segments = path[1:].split("/") if len(path) > 1 else []
        candidates = self._by_method.get(method, self._other).find(segments)
        return Choice(candidates, call.host or self.host, path, segments)


def _home(tool: Tool) -> str:
    exact = next((pattern.name for pattern in tool.hosts if not pattern.wildcard), "")
    return exact or (tool.base.host if tool.base is not None else "")


def _passing(fleet: Fleet) -> Route:
    """The route of calls to hosts that no tool names: no names, no claim."""
    tool = Tool("", timeout_ms=PASS_TIMEOUT_MS)
    lane = Lane("", store_down="allow", counted=False)
    return Route(tool, "", lane, fleet.standing("", None, False, "", None))


def _check_override(call: Call) -> None:
    if not _OVERRIDES.isdisjoint(call.headers.first):
        method = call.method.encode("latin-1")
        if any(call.headers.first.get(name, method).strip().upper() != method for name in _OVERRIDES):
            raise _override(call)
    if "_method=" in call.query:
        said = parse_qs(call.query, keep_blank_values=True).get("_method", ())
        if any(value.strip().upper() != call.method for value in said):
            raise _override(call)


def _override(call: Call) -> Refusal:
    return Refusal(
        "bad-request",
        f"This call is a {call.method} that asks the upstream to treat it as another method. Which of the two "
        "it would do cannot be known here, so nothing was sent. Send the request with the method that you mean "
        "and without the override.",
    )


def unreachable(routes: Sequence[Route]) -> list[tuple[Route, Route]]:
    """Routes that can never match, each with the earlier one that takes all its calls."""
    found = []
    for order, route in enumerate(routes):
        for earlier in routes[:order]:
            wider = not earlier.methods or (route.methods and route.methods <= earlier.methods)
            if earlier.when is None and wider and earlier.path.covers(route.path):
                found.append((route, earlier))
                break
    return found
