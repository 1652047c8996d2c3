"""The endpoints of the admin port, in one table."""

import asyncio
from importlib import import_module

import orjson
from aiohttp import web

from sidecar import __version__
from sidecar.control.answers import MANUAL, Fault, listed, problems, said
from sidecar.control.answers import patiently as _patiently
from sidecar.control.approvals import ApprovalRooms
from sidecar.control.asked import body_of, decision
from sidecar.control.auth import changing, guard
from sidecar.control.holds import Holds, runs_of
from sidecar.control.status import Item, Loaded, People, Reload, Status, instant
from sidecar.control.switch import Switch
from sidecar.control.unknowns import id_of, missing, verdict_of
from sidecar.core.call import RawHeaders
from sidecar.core.refusal import Refusal
from sidecar.telemetry.meters import Meters

LARGEST_BYTES = 1 << 20
"""Of a request's body; the largest is a call to explain."""


def runner(status: Status, people: People, meters: Meters, token: str, stop_s: float) -> web.AppRunner:
    """The port's application, not listening yet."""
    rooms = _Endpoints(status, people, meters)
    app = web.Application(middlewares=[problems, guard], client_max_size=LARGEST_BYTES)
    app[MANUAL] = "docs/admin.md"
    for path, read in rooms.reads.items():
        app.router.add_get(path, read)
    app.router.add_post("/explain", rooms.explain_sent)  # looks like a change and is none
    for (method, path), change in rooms.changes.items():
        app.router.add_route(method, path, changing(token, change))
    ApprovalRooms(status, people, token).open(app.router)
    return web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=stop_s)


class _Endpoints:
    def __init__(self, status: Status, people: People, meters: Meters) -> None:
        self._status = status
        self._people = people
        self._meters = meters
        self.reads = {
            "/healthz": self.healthz,
            "/readyz": self.readyz,
            "/metrics": self.metrics,
            "/config": self.config,
            "/explain": self.explain_asked,
            "/leases": self.leases,
            "/queues": self.queues,
            "/unknown": self.unknown,
            "/unknown/{id}": self.unknown_one,
            "/runs": self.runs,
            "/pauses": self.pauses,
            "/budgets": self.budgets,
        }
        switch = Switch(status, people)
        holds = Holds(status, people, meters.runs)
        self.changes = {
            ("POST", "/reload"): self.reload,
            ("POST", "/pause"): switch.pause,
            ("POST", "/resume"): switch.resume,
            ("POST", "/unknown/{id}/resolve"): self.resolve,
            ("DELETE", "/runs/{id}"): holds.end_run,
            ("DELETE", "/leases/{id}"): holds.release,
        }

    async def healthz(self, _request: web.Request) -> web.Response:
        return said({"alive": True, "version": __version__})

    async def readyz(self, _request: web.Request) -> web.Response:
        reasons = self._status.not_ready()
        return said({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    async def metrics(self, _request: web.Request) -> web.Response:
        await asyncio.to_thread(import_module, "sidecar.telemetry.scrape")  # 70 ms, the first time
        from sidecar.telemetry import scrape

        pieces = []
        for piece in scrape.Scrape(self._meters).pieces():
            pieces.append(piece)
            await asyncio.sleep(0)  # calls are served in between
        return web.Response(body=b"".join(pieces), headers={"Content-Type": scrape.CONTENT_TYPE})

    async def config(self, _request: web.Request) -> web.Response:
        return said(_loaded(self._status.config()))

    async def explain_asked(self, request: web.Request) -> web.Response:
        return self._explain(dict(request.query))

    async def explain_sent(self, request: web.Request) -> web.Response:
        try:
            return self._explain(orjson.loads(await request.read()))
        except orjson.JSONDecodeError as error:
            raise Fault(400, "bad-request", f"The body is not JSON: {error}.") from None

    def _explain(self, ask: object) -> web.Response:
        method, url, headers, body = _asked(ask)
        try:
            return said(self._status.explain(method, url, headers, body))
        except Refusal as no:  # an explanation as well, in the words of `sidecar explain --json`
            return said({"refused": no.code, "status": no.status, "detail": no.detail})
        except ValueError as error:
            raise Fault(400, "bad-request", f"{error}.") from None

    async def leases(self, _request: web.Request) -> web.Response:
        return listed(await _patiently(self._people.leases()))

    async def queues(self, _request: web.Request) -> web.Response:
        return listed(await _patiently(self._people.queues()))

    async def unknown(self, _request: web.Request) -> web.Response:
        return listed(await _patiently(self._people.unknown()))

    async def pauses(self, _request: web.Request) -> web.Response:
        return listed(await _patiently(self._people.pauses()))

    async def budgets(self, _request: web.Request) -> web.Response:
        return listed(await _patiently(self._people.budgets()))

    async def unknown_one(self, request: web.Request) -> web.Response:
        return said(await self._unknown(request))

    async def _unknown(self, request: web.Request) -> Item:
        text = request.match_info["id"]
        item = await _patiently(self._people.unknowns.one(id_of(text)))
        if item is None:
            raise missing(text)
        return item

    async def resolve(self, request: web.Request) -> web.Response:
        item = await self._unknown(request)
        body = await body_of(request)
        applied, answer = verdict_of(body)
        by, why = decision(body)
        name = str(item["id"])
        if not await _patiently(self._people.unknowns.resolve(name, applied, answer)):
            raise missing(name)
        about = {key: item.get(key, "") for key in ("tool", "route", "tenant", "workflow", "run", "call")}
        about |= {"intent": name[:12], "applied": applied, "answer": answer is not None}
        self._status.decided("unknown.resolve", by, why, about)
        return said({"id": name, "applied": applied})

    async def runs(self, _request: web.Request) -> web.Response:
        return listed(runs_of(self._meters.runs, await _patiently(self._people.runs())))

    async def reload(self, _request: web.Request) -> web.Response:
        result = await self._status.reload()
        return said(_reload(result), 200 if result.result == "loaded" else 422)


def _asked(ask: object) -> tuple[str, str, RawHeaders, bytes]:
    """The call that somebody asks about; its parts may come in any order and all but the URL may be left out."""
    if not isinstance(ask, dict) or not isinstance(url := ask.get("url"), str):
        raise Fault(400, "bad-request", _EXPLAIN_HINT)
    method, headers, body = ask.get("method", "GET"), ask.get("headers", {}), ask.get("body", "")
    texts = [method, *headers, *headers.values()] if isinstance(headers, dict) else [None]
    if not all(isinstance(text, str) for text in texts):
        raise Fault(400, "bad-request", _EXPLAIN_HINT)
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    if isinstance(body, str):
        return method.upper(), url, raw, body.encode()
    if not any(name.lower() == b"content-type" for name, _ in raw):
        raw.append((b"Content-Type", b"application/json"))
    return method.upper(), url, raw, orjson.dumps(body)


_EXPLAIN_HINT = (
    "Ask with ?method=PATCH&url=https://host/path, or POST "
    '{"method": "PATCH", "url": "https://host/path", "headers": {"Name": "value"}, "body": {}}.'
)


def _loaded(loaded: Loaded) -> dict[str, object]:
    return {
        "digest": loaded.digest,
        "loaded_at": instant(loaded.at_s),
        "last_reload": None if loaded.last_reload is None else _reload(loaded.last_reload),
        "config": loaded.written,
    }


def _reload(reload: Reload) -> dict[str, object]:
    return {"result": reload.result, "at": instant(reload.at_s), "problems": list(reload.problems)}
