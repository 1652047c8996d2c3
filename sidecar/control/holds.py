"""What runs and calls hold, and how a person takes it back."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from sidecar.control.answers import Fault, said
from sidecar.control.asked import Decision, body_of, decision
from sidecar.control.status import Item, People, Status

Flying = Mapping[tuple[str, str, str], int]
"""Workflow, tenant and run to the calls in flight."""


def runs_of(flying: Flying, holding: Sequence[Item]) -> list[Item]:
    """Runs with a call in flight here, and all that hold something; one item each."""
    held = {(run["workflow"], run["tenant"], run["run"]): run for run in holding}
    return [
        {
            "id": who[2],
            "workflow": who[0],
            "tenant": who[1],
            "calls": flying.get((str(who[0]), str(who[1]), str(who[2])), 0),
            "locks": held[who]["locks"] if who in held else [],
        }
        for who in [*flying, *(who for who in held if who not in flying)]
    ]


class Holds:
    """``DELETE /runs/{id}`` and ``DELETE /leases/{id}``."""

    def __init__(self, status: Status, people: People, flying: Flying) -> None:
        self._status = status
        self._people = people
        self._flying = flying

    async def end_run(self, request: web.Request) -> web.Response:
        """``?tenant=`` and ``?workflow=`` tell apart runs of one name."""
        who = await _who(request)
        run = self._meant(request, await self._people.runs())
        await self._people.end_run(str(run["tenant"]), str(run["workflow"]), str(run["id"]))
        return self._told("run.end", run, who)

    async def release(self, request: web.Request) -> web.Response:
        who = await _who(request)
        item = await self._people.release(request.match_info["id"])
        if item is None:
            raise Fault(404, "not-found", "Nothing of that id is held; GET /leases lists what is.")
        parts = ("id", "state", "locks", "run", "workflow", "tenant")
        return self._told("lease.release", {part: item[part] for part in parts if part in item}, who)

    def _meant(self, request: web.Request, holding: Sequence[Item]) -> Item:
        asked = {part: request.query[part] for part in ("tenant", "workflow") if part in request.query}
        asked["id"] = request.match_info["id"]
        found = [run for run in runs_of(self._flying, holding) if asked.items() <= run.items()]
        if not found:
            raise Fault(
                404, "not-found", "No run of that id has a call in flight or holds anything; see GET /runs."
            )
        if len(found) > 1:
            detail = (
                "Several runs have that id. Say which one: ?tenant=NAME&workflow=NAME, as GET /runs has them."
            )
            raise Fault(409, "ambiguous", detail)
        return found[0]

    def _told(self, what: str, item: Item, who: Decision) -> web.Response:
        self._status.decided(what, who.by, who.why, item)
        return said(item)


async def _who(request: web.Request) -> Decision:
    """A DELETE may come without a body, and then nobody is named."""
    body: dict[str, Any] = await body_of(request)
    return decision(body) if body else Decision("", "")
