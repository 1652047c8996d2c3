"""The kill switch: what a person pauses on one sidecar is stopped on all, at once, and goes on when it is resumed."""

import asyncio
from pathlib import Path
from time import monotonic
from typing import Any

from tests.e2e.conftest import Start
from tests.e2e.harness import Got, Sidecar, Tool, admin, ask, configure, drop, later
from tests.e2e.test_says_why import is_problem
from tests.servers import Server

ROUTES = """
  - name: deal.update
    match: {method: PATCH, path: "/deals/{id}"}
    lane: write
    locks: ["deal:{path.id}"]
  - name: watched
    match: {method: POST, path: /watched}
    lane: write
    mode: observe
"""
TOKEN = {"SIDECAR_ADMIN_TOKEN": "t"}
AUTH = {"Authorization": "Bearer t"}
WHO = {"X-Agent-Tenant": "acme", "X-Agent-Workflow": "dunning", "X-Agent-Run": "run-7"}
DEAL = "http://crm.test/deals/"


async def change(sidecar: Sidecar, path: str, **said: Any) -> Got:
    got = await admin(sidecar, path, "POST", headers=AUTH, json={"by": "ada", "why": "loops"} | said)
    assert got.status == 200, got.json
    return got


async def write(sidecar: Sidecar, deal: int, stage: str = "won") -> Got:
    return await ask(sidecar, "PATCH", f"{DEAL}{deal}", {"stage": stage}, headers=WHO)


async def read(sidecar: Sidecar) -> Got:
    return await ask(sidecar, "GET", f"{DEAL}1", headers=WHO)


async def refused(sidecar: Sidecar, name: str) -> None:
    """Reads and writes are, from the moment on when the sidecar heard."""
    async with asyncio.timeout(5):
        while (await read(sidecar)).status == 200:
            await asyncio.sleep(0.01)
    for got in (await read(sidecar), await write(sidecar, 1)):
        assert (got.status, got.reason, got.json["blocked_by"]) == (429, "tool-paused", f"pause:{name}")


async def test_reads_and_writes_stop_on_every_sidecar_until_somebody_resumes(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, ROUTES)
    here, there = await start(env=TOKEN), await start(env=TOKEN)
    for kind, name in (("tool", "crm"), ("tenant", "acme"), ("workflow", "dunning")):
        assert (await read(there)).status == 200
        await change(here, "/pause", **{kind: name})
        await refused(here, f"{kind}:{name}")
        await refused(there, f"{kind}:{name}")
        got = await write(there, 1)
        is_problem(got, 429, "tool-paused", "deal.update")
        assert "by ada: loops" in got.json["detail"]
        assert (got.json["retryable"], got.headers["Retry-After"]) == (True, "60")
        seen = len(tool.seen)
        (item,) = (await admin(there, "/pauses")).json["items"]
        assert (item["id"], item["by"], item["why"]) == (f"{kind}:{name}", "ada", "loops")
        assert (await here.decided(decided="pause", **{kind: name}))["by"] == "ada"
        await change(there, "/resume", **{kind: name})
        async with asyncio.timeout(5):
            while (await write(here, 1, kind)).status != 200:
                await asyncio.sleep(0.01)
        assert len(tool.seen) == seen + 1
        assert (await there.decided(decided="resume", **{kind: name}))["by"] == "ada"


async def test_a_lane_stops_and_the_others_go_on(tool: Tool, start: Start, tmp_path: Path) -> None:
    sidecar = await start(configure(tmp_path, tool, ROUTES), env=TOKEN)
    await change(sidecar, "/pause", lane="write")
    assert (await write(sidecar, 1)).reason == "tool-paused"
    assert (await read(sidecar)).status == 200
    assert [seen.method for seen in tool.seen] == ["GET"]


async def test_a_call_in_flight_ends_as_it_would_and_those_in_line_are_refused_within_a_second(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, ROUTES)
    here, there = await start(env=TOKEN), await start(env=TOKEN)
    tool.hold()
    running = later(write(here, 1, "a"))
    await tool.got(1)
    waiting = [later(write(sidecar, 1, stage)) for sidecar in (here, there) for stage in ("b", "c")]
    async with asyncio.timeout(10):
        while sum(line["waiting"] for line in (await admin(here, "/queues")).json["items"]) < 4:
            await asyncio.sleep(0.01)
    await change(here, "/pause", tool="crm")
    paused_s = monotonic()
    assert {(await got).reason for got in waiting} == {"tool-paused"}
    assert monotonic() - paused_s < 1
    tool.release()
    assert (await running).status == 200
    assert len(tool.seen) == 1
    await change(there, "/resume", tool="crm")
    async with asyncio.timeout(5):
        while (await write(here, 1, "b")).status != 200:
            await asyncio.sleep(0.01)
    assert len(tool.seen) == 2  # and the record was free


async def test_a_pause_that_ends_in_time_is_waited_out_and_another_says_when_it_ends(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool, ROUTES), env=TOKEN)
    await change(sidecar, "/pause", tool="crm", for_ms=700)
    got = await write(sidecar, 1)
    assert (got.status, got.verdict) == (200, "executed")
    assert (await sidecar.decided(verdict="executed"))["wait_ms"] > 300
    await change(sidecar, "/pause", tool="crm", for_ms=600_000)
    assert 590 < int((await write(sidecar, 2)).headers["Retry-After"]) <= 600


async def test_a_route_under_observation_and_a_blind_tunnel_stop_too(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool, ROUTES), env=TOKEN)
    await change(sidecar, "/pause", tool="crm")
    got = await ask(sidecar, "POST", "http://crm.test/watched", {}, headers=WHO)
    assert (got.status, got.reason) == (429, "tool-paused")
    reader, writer = await asyncio.open_connection(*sidecar.proxy.removeprefix("http://").split(":"))
    writer.write(b"CONNECT crm.test:443 HTTP/1.1\r\nHost: crm.test:443\r\n\r\n")
    assert b" 429 " in await reader.readline()
    writer.close()
    assert tool.seen == []


async def test_pauses_outlive_a_sidecar_that_dies_and_a_store_that_restarts(
    tool: Tool, start: Start, tmp_path: Path, server: Server
) -> None:
    configure(tmp_path, tool, ROUTES, process=f"store: {{url: {server.url}}}\n")
    here, there = await start(env=TOKEN), await start(env=TOKEN)
    await change(here, "/pause", tenant="acme")
    await refused(there, "tenant:acme")
    await here.kill()
    await server.kill()
    await there.said("cannot be reached")
    assert (await read(there)).reason == "tool-paused"  # reads go on without a store, but not what is paused
    assert (await ask(there, "GET", f"{DEAL}1")).status == 200
    await server.start()
    await there.said("is back")
    await refused(there, "tenant:acme")
    await refused(await start(env=TOKEN), "tenant:acme")
    assert len(tool.seen) == 1


async def test_a_lost_response_in_the_pause_stays_unknown_after_it(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool, ROUTES), env=TOKEN)
    tool.hold()
    tool.react = drop
    lost = later(ask(sidecar, "POST", "http://crm.test/notes", {"n": 1}, headers=WHO))
    await tool.got(1)
    await change(sidecar, "/pause", tool="crm")
    tool.release()
    assert (await lost).status == 502
    assert (
        await ask(sidecar, "POST", "http://crm.test/notes", {"n": 1}, headers=WHO)
    ).reason == "tool-paused"
    await change(sidecar, "/resume", tool="crm")
    assert (
        await ask(sidecar, "POST", "http://crm.test/notes", {"n": 1}, headers=WHO)
    ).reason == "outcome-unknown"
    assert len(tool.seen) == 1
