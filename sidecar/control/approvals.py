"""Questions to people on the admin port: to look at, and to answer.

Who decides is proven where it can be.  With ``approvals.approvers`` each decides with a token of his own, which is good
for nothing else and says who he is, and nobody can be two people.  Without, the admin token decides under the name that
it is given.  In either case nobody decides under the name of the tenant, workflow or run whose call it is.
"""

from functools import partial
from typing import NoReturn

from aiohttp import web

from sidecar.control.answers import Fault, listed, patiently, said
from sidecar.control.asked import Decision, body_of, decision
from sidecar.control.auth import CHALLENGE, check_token, has_token
from sidecar.control.status import Item, People, Status, presented


class ApprovalRooms:
    """The endpoints under ``/approvals``."""

    def __init__(self, status: Status, people: People, token: str) -> None:
        """``token``: the admin port's own."""
        self._status = status
        self._people = people
        self._token = token

    def open(self, router: web.UrlDispatcher) -> None:
        router.add_get("/approvals", self.all)
        router.add_get("/approvals/{id}", self.one)
        for verdict in ("approve", "deny"):
            router.add_post(f"/approvals/{{id}}/{verdict}", partial(self.decide, verdict))

    async def all(self, _request: web.Request) -> web.Response:
        return listed([presented(item) for item in await patiently(self._people.approvals.all())])

    async def one(self, request: web.Request) -> web.Response:
        found = await patiently(self._people.approvals.one(request.match_info["id"]))
        if found is None:
            _gone()
        return said(presented(found))

    async def decide(self, verdict: str, request: web.Request) -> web.Response:
        who = await self._who(request)
        question = request.match_info["id"]
        word, item = await patiently(self._people.approvals.decide(question, verdict, who.by, who.why))
        if item is None:
            _gone()
        self._log(verdict, word, item, who)
        if word == "asker":
            detail = "Nobody decides under the name of the tenant, workflow or run whose call it is."
            raise Fault(403, "asker-decides", detail)
        if word == "decided":
            raise Fault(409, "already-decided", f"It is decided: {_last(item)}.")
        return said({"result": word, "approval": presented(item)})

    async def _who(self, request: web.Request) -> Decision:
        """Raises Fault where the request proves nobody who may decide."""
        approvers = self._status.approvers()
        name = next((name for name, digest in approvers.items() if has_token(request, digest)), "")
        if not name and approvers:
            detail = "Only those in 'approvals.approvers' decide. Send 'Authorization: Bearer ' and your own token."
            raise Fault(401, "approver-needed", detail, CHALLENGE)
        if not name:
            check_token(request, self._token)
            return decision(await body_of(request))
        body = await body_of(request)
        if body.get("by", name) != name:
            raise Fault(403, "not-yourself", f"This token is {name}'s. Leave 'by' out, or say {name}.")
        return decision(body | {"by": name})

    def _log(self, verdict: str, word: str, item: Item, who: Decision) -> None:
        about = {name: item.get(name, "") for name in ("run", "workflow", "tenant", "tool", "route")}
        entry = {"approval": item["id"], "result": word} | about
        self._status.decided(f"approval.{verdict}", who.by, who.why, entry)


def _gone() -> NoReturn:
    raise Fault(404, "not-found", "There is no such question, or it is over.")


def _last(item: Item) -> str:
    decisions = item.get("decisions")
    last = decisions[-1] if isinstance(decisions, list) and decisions else {}
    return f"{item['state']}, by {last.get('by', 'nobody')}"
