"""A tool in a process of its own, which takes its time and remembers from when to when: ``python -m tests.e2e.timed``.

It prints its port.  ``POST ...?ms=40`` takes 40 ms; ``GET /spans`` tells what began and ended when, on the clock that
all processes share.
"""

import asyncio
from time import monotonic

from aiohttp import web

SPANS = web.AppKey("spans", list[tuple[str, float, float]])


async def work(request: web.Request) -> web.Response:
    """Busy for as long as the caller says."""
    began_s = monotonic()
    await asyncio.sleep(int(request.query["ms"]) / 1000)
    request.app[SPANS].append((request.path_qs, began_s, monotonic()))
    return web.Response()


async def spans(request: web.Request) -> web.Response:
    return web.json_response(request.app[SPANS])


async def main() -> None:
    """Until it is killed."""
    app = web.Application()
    app[SPANS] = []
    app.router.add_get("/spans", spans)
    app.router.add_post("/{tail:.*}", work)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
