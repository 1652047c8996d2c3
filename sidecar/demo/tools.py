"""The sample tools: a CRM, an email service and a billing API, one process each.

They are what the agents' calls are about, so they are as plain as such APIs are: no locks, no idempotency
keys, no preconditions.  Like real ones they take time, serve only so many calls at once, and now and then do
the work and lose the response: a ``Quirk`` says for which call.  Each prints JSON lines: its port, what
arrives, what went wrong.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from sidecar.demo.ledger import Ledger
from sidecar.demo.script import Quirk

Answer = dict[str, Any]


class Desk:
    """What the three tools share: slots, latency, quirks and the ledger."""

    def __init__(self, slots: int, latency_s: float, quirks: list[Quirk]) -> None:
        self.ledger = Ledger(lambda finding: tell(event="finding", **asdict(finding)))
        self._slots = asyncio.Semaphore(slots)
        self._usual = Quirk("", latency_s)
        self._quirks = quirks
        self._arrivals: Counter[str] = Counter()

    async def perform(self, request: web.Request, record: str, apply: Callable[[], Answer]) -> web.Response:
        """One write: takes a slot and its time, then is applied, then answered or not."""
        self._arrivals[record] += 1
        nth = self._arrivals[record]
        quirk = next((it for it in self._quirks if it.covers(record, nth)), self._usual)
        with self.ledger.writing(record):
            tell(event="arrived", record=record, nth=nth)
            async with self._slots:
                await asyncio.sleep(quirk.latency_s)
                answer = apply()
        tell(event="applied", record=record, nth=nth)
        if quirk.lose and request.transport is not None:
            request.transport.abort()
        return web.json_response(answer, status=201)


def crm(desk: Desk) -> list[web.RouteDef]:
    """Leads: read them, change their fields, add notes.  The last write wins."""
    fields: dict[str, Answer] = {}

    def view(record: str) -> Answer:
        base = {"stage": "new", "touches": 0}
        return base | fields.get(record, {}) | {"id": record, "version": desk.ledger.version(record)}

    async def read(request: web.Request) -> web.Response:
        return web.json_response(view(request.match_info["id"]))

    async def update(request: web.Request) -> web.Response:
        record, body = request.match_info["id"], await request.json()

        def apply() -> Answer:
            change = json.dumps(body["properties"], sort_keys=True)
            desk.ledger.update(record, body["based_on"], change)
            fields[record] = fields.get(record, {}) | body["properties"]
            return view(record)

        return await desk.perform(request, record, apply)

    async def note(request: web.Request) -> web.Response:
        record, body = request.match_info["id"], await request.json()

        def apply() -> Answer:
            desk.ledger.once((record, body["text"]))
            return {"lead": record, "text": body["text"]}

        return await desk.perform(request, record, apply)

    return [
        web.get("/leads/{id}", read),
        web.patch("/leads/{id}", update),
        web.post("/leads/{id}/notes", note),
    ]


def email(desk: Desk) -> list[web.RouteDef]:
    """Sends what it is asked to send, as often as it is asked."""

    async def send(request: web.Request) -> web.Response:
        body = await request.json()
        to, subject = body["to"], body["subject"]

        def apply() -> Answer:
            desk.ledger.once((to, subject), "duplicate-email", f'{to} got "{subject}" again')
            return {"to": to, "status": "sent"}

        return await desk.perform(request, to, apply)

    return [web.post("/emails", send)]


def billing(desk: Desk) -> list[web.RouteDef]:
    """Charges an invoice.  It ignores idempotency keys, as many real APIs do."""

    async def charge(request: web.Request) -> web.Response:
        body = await request.json()
        invoice = body["invoice"]

        def apply() -> Answer:
            desk.ledger.once(invoice, "duplicate-charge", f"{invoice} charged again: ${body['amount']}")
            return {"invoice": invoice, "amount": body["amount"], "status": "paid"}

        return await desk.perform(request, invoice, apply)

    return [web.post("/charges", charge)]


TOOLS: dict[str, Callable[[Desk], list[web.RouteDef]]] = {"crm": crm, "email": email, "billing": billing}


def tell(**news: object) -> None:
    print(json.dumps(news), flush=True)


async def serve(name: str, slots: int, latency_s: float, quirks: list[Quirk]) -> None:
    """Serve on a free loopback port until stdin ends, so that a tool never outlives the demo."""
    desk = Desk(slots, latency_s, quirks)

    async def tally(_request: web.Request) -> web.Response:
        return web.json_response({"counts": desk.ledger.counts, "work": desk.ledger.work})

    app = web.Application()
    app.add_routes([*TOOLS[name](desk), web.get("/tally", tally)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    tell(event="ready", port=runner.addresses[0][1])
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    options = json.loads(sys.argv[2])
    asyncio.run(
        serve(sys.argv[1], options["slots"], options["latency_s"], [Quirk(**it) for it in options["quirks"]])
    )
