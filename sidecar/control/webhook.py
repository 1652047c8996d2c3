"""The admission webhook's port: what the API server asks before a pod is stored.

What is decided is not decided here: a judge is handed the body and gives the answer.  Nothing is kept between two
reviews and nothing is changed anywhere, so a dry run needs no care but one: it is not counted.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter

from aiohttp import web

from sidecar import __version__
from sidecar.control.answers import MANUAL, Fault, problems, said
from sidecar.telemetry.reviews import Reviews
from sidecar.telemetry.scrape import CONTENT_TYPE, Scrape

LARGEST_BYTES = 8 << 20
"""The API server stores nothing larger than 1.5 MiB; a review has two of that, in JSON, which is longer."""
BODY_S = 10.0
"""How long a body may take to come; the API server itself gives up after 30 s at most."""
STOP_S = 5.0
"""How long reviews under way have once the port closes."""

log = logging.getLogger("sidecar.webhook")


@dataclass(frozen=True, slots=True)
class Reviewed:
    """One review, decided."""

    answer: object
    """As JSON can say it."""
    decision: str
    about: str
    """Namespace and name of the pod."""
    message: str = ""
    warnings: tuple[str, ...] = ()
    dry_run: bool = False


Judge = Callable[[bytes], Reviewed]
"""Raises ValueError for what is no review."""


class Webhook:
    """The port of one process."""

    def __init__(self, judges: Mapping[str, Judge], reviews: Reviews) -> None:
        """``judges``: by path."""
        self._reviews = reviews
        self._judges = judges
        app = web.Application(middlewares=[problems], client_max_size=LARGEST_BYTES)
        app[MANUAL] = "docs/webhook.md"
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/metrics", self._metrics)
        for path in judges:
            app.router.add_post(path, self._review)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=STOP_S)

    async def start(self, host: str, port: int, context: ssl.SSLContext) -> tuple[str, int]:
        """Listen, and say where: port 0 lets the system choose.  Raises OSError where the address is taken."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, ssl_context=context)
        await site.start()
        address = self._runner.addresses[0]
        return address[0], address[1]

    async def stop(self) -> None:
        """Close the port; reviews under way have ``STOP_S`` to end."""
        await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        return said({"alive": True, "version": __version__})

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=b"".join(Scrape(self._reviews).pieces()), headers={"Content-Type": CONTENT_TYPE}
        )

    async def _review(self, request: web.Request) -> web.Response:
        path = request.path
        body = await _body(request)
        began = perf_counter()
        try:
            reviewed = self._judges[path](body)
        except ValueError as error:
            log.warning("%s: what came is no review of a pod: %s", path, error)
            raise Fault(400, "bad-request", f"This is no review of a pod: {error}.") from None
        if not reviewed.dry_run:
            self._reviews.reviewed(path.strip("/"), reviewed.decision, perf_counter() - began)
        _tell(path, reviewed)
        return said(reviewed.answer)


async def _body(request: web.Request) -> bytes:
    if request.content_type != "application/json":
        raise Fault(415, "unsupported-media-type", "Send 'Content-Type: application/json'.")
    try:
        async with asyncio.timeout(BODY_S):
            return await request.read()
    except TimeoutError:
        raise Fault(408, "request-timeout", f"The body took longer than {BODY_S:g} s.") from None


def _tell(path: str, reviewed: Reviewed) -> None:
    level = logging.WARNING if reviewed.decision == "refused" else logging.INFO
    dry = " (dry run)" if reviewed.dry_run else ""
    why = f": {reviewed.message}" if reviewed.message else ""
    log.log(level, "%s %s: %s%s%s", path, reviewed.about, reviewed.decision, dry, why)
    for warning in reviewed.warnings:
        log.warning("%s %s: %s", path, reviewed.about, warning)
