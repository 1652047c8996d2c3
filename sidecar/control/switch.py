"""The kill switch: a person pauses a tool, a tenant, a workflow or a lane for the whole fleet, and lets it go on."""

from typing import Any, Final, get_args

from aiohttp import web

from sidecar.control.answers import Fault, said
from sidecar.control.asked import body_of, decision
from sidecar.control.status import Lane, People, Status
from sidecar.core.problems import listed, meant, shown

KINDS: Final = ("tool", "tenant", "workflow", "lane")
LANES: Final[tuple[str, ...]] = get_args(Lane)
LONGEST_NAME: Final = 1000
LONGEST_MS: Final = 366 * 86_400_000
_HINT: Final = (
    'Say what: exactly one of "tool", "tenant", "workflow" and "lane", like {"tool": "crm", "by": "ada"}.'
)


class Switch:
    """``POST /pause`` and ``POST /resume``."""

    def __init__(self, status: Status, people: People) -> None:
        self._status = status
        self._people = people

    async def pause(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        kind, name = self._meant(body)
        by, why = decision(body)
        after_ms = _after(body)
        await self._people.halt(kind, name, by, why, after_ms)
        about: dict[str, object] = {kind: name} | ({"left_ms": after_ms} if after_ms else {})
        return self._done("pause", kind, name, by, why, about)

    async def resume(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        kind, name = _named(body)  # whatever it is called: it may have left the configuration meanwhile
        by, why = decision(body)
        if not await self._people.resume(kind, name):
            raise Fault(
                404, "not-found", f"Nobody paused {kind} {shown(name)}; GET /pauses lists what is paused."
            )
        return self._done("resume", kind, name, by, why, {kind: name})

    def _done(
        self, what: str, kind: str, name: str, by: str, why: str, about: dict[str, object]
    ) -> web.Response:
        self._status.decided(what, by, why, about)
        return said({"id": f"{kind}:{name}", **about, "by": by, "why": why})

    def _meant(self, body: dict[str, Any]) -> tuple[str, str]:
        """A misspelt tool or lane would stop nothing, and look as if it did."""
        kind, name = _named(body)
        known = self._status.tools() if kind == "tool" else LANES if kind == "lane" else (name,)
        if name not in known:
            hint = meant(name, known) or f"; there is {listed(sorted(known) or ['none'])}."
            raise Fault(
                400, "bad-request", f"There is no {kind} {shown(name)} here{hint} Nothing was paused."
            )
        return kind, name


def _named(body: dict[str, Any]) -> tuple[str, str]:
    kinds = [kind for kind in KINDS if kind in body]
    name = body[kinds[0]] if len(kinds) == 1 else None
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        raise Fault(400, "bad-request", _HINT)
    return kinds[0], name


def _after(body: dict[str, Any]) -> int:
    """Milliseconds until it ends by itself; 0 where nobody says."""
    after_ms = body.get("for_ms", 0)
    named = "for_ms" in body
    if type(after_ms) is not int or (named and not 0 < after_ms <= LONGEST_MS):
        raise Fault(400, "bad-request", '"for_ms" must be a whole number of milliseconds, of a year at most.')
    return after_ms
