"""Promise 6: with the store away, side effects are refused at once and reads go on; and it comes back by itself."""

import asyncio
import time
from pathlib import Path

from tests.e2e.conftest import Start
from tests.e2e.harness import Tool, admin, ask, configure, later
from tests.servers import Server

COUNTED = (
    "lanes: {{read: {{counted: true, on_store_down: allow}}, write: {{wait: 8s}}}}\nstore: {{url: '{url}'}}\n"
)


async def test_with_the_store_away_writes_are_refused_at_once_and_reads_go_on(
    tool: Tool, start: Start, tmp_path: Path, server: Server
) -> None:
    sidecar = await start(configure(tmp_path, tool, process=COUNTED.format(url=server.url)))
    assert (await ask(sidecar, "POST", "http://crm.test/notes", {"n": 1})).status == 200
    await server.kill()
    await sidecar.said("store")
    began = time.monotonic()
    got = await ask(sidecar, "POST", "http://crm.test/notes", {"n": 2})
    assert time.monotonic() - began < 2
    assert (got.status, got.json["code"], got.json["retryable"]) == (503, "store-unavailable", True)
    assert int(got.headers["Retry-After"]) >= 1
    assert (await ask(sidecar, "GET", "http://crm.test/deals/1")).status == 200
    assert (await admin(sidecar, "/readyz")).status == 503
    assert (await admin(sidecar, "/healthz")).status == 200

    await server.start()
    async with asyncio.timeout(20):
        while (await admin(sidecar, "/readyz")).status != 200:
            await asyncio.sleep(0.01)
    assert (await ask(sidecar, "POST", "http://crm.test/notes", {"n": 1})).verdict == "replayed"


async def test_redis_killed_and_restarted_under_load_grants_nothing_twice(
    tool: Tool, start: Start, tmp_path: Path, server: Server
) -> None:
    sidecar = await start(configure(tmp_path, tool, process=COUNTED.format(url=server.url)))
    stop = asyncio.Event()
    statuses: set[int] = set()

    async def agent(number: int) -> None:
        step = 0
        while not stop.is_set():
            step += 1
            got = await ask(
                sidecar, "PATCH", f"http://crm.test/deals/{number % 3}", {"by": number, "step": step}
            )
            statuses.add(got.status)

    agents = [later(agent(number)) for number in range(6)]
    await tool.got(30)
    await server.kill()
    await sidecar.said("store")
    await server.start()
    await tool.got(len(tool.seen) + 30)
    stop.set()
    await asyncio.gather(*agents)
    assert tool.overlaps == 0
    bodies = [(seen.path, seen.body) for seen in tool.seen]
    assert len(bodies) == len(set(bodies))
    assert statuses <= {200, 409, 503}


async def test_scripts_are_loaded_again_after_a_flush(
    tool: Tool, start: Start, tmp_path: Path, server: Server
) -> None:
    sidecar = await start(configure(tmp_path, tool, process=COUNTED.format(url=server.url)))
    assert (await ask(sidecar, "POST", "http://crm.test/notes", {"n": 1})).status == 200
    await server.command("SCRIPT", "FLUSH")
    assert (await ask(sidecar, "POST", "http://crm.test/notes", {"n": 2})).status == 200
    assert (await ask(sidecar, "POST", "http://crm.test/notes", {"n": 1})).verdict == "replayed"
