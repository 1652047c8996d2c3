"""An upstream is asked no faster than it allows, and left alone by the whole fleet when it says so."""

import asyncio
from pathlib import Path
from time import monotonic

from aiohttp import web

from tests.e2e.conftest import Start
from tests.e2e.harness import Seen, Tool, ask, configure, later
from tests.e2e.test_says_why import is_problem

ROUTES = """
  - name: note.create
    match: {method: POST, path: /notes}
    lane: write
    locks: []
    intent: none
  - name: notes.batch
    match: {method: POST, path: /notes/batch}
    lane: write
    locks: []
    intent: none
    cost: "{body.inputs}"
"""
NOTES = "http://crm.test/notes"


async def test_no_period_sees_more_calls_than_the_rate_from_all_sidecars_together(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    came: list[float] = []

    async def note(_seen: Seen, _request: web.Request) -> web.StreamResponse:
        came.append(monotonic())
        return web.json_response({})

    tool.react = note
    configure(tmp_path, tool, ROUTES, tool_fields="rate: 3 per 1s")
    sidecars = [await start(), await start()]
    got = await asyncio.gather(*(ask(sidecars[n % 2], "POST", NOTES, {"n": n}) for n in range(8)))
    assert [it.status for it in got] == [200] * 8
    came.sort()
    assert came[-1] - came[0] < 6  # and no token is left unused
    for first, fourth in zip(came, came[3:], strict=False):
        assert fourth - first > 0.6  # a second between grants, less what the ways to the tool differ


async def test_a_used_up_rate_says_when_to_come_back_to_reads_too(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool, ROUTES, tool_fields="rate: 2 per 1h"))
    assert (await ask(sidecar, "POST", NOTES, {})).status == 200
    assert (await ask(sidecar, "GET", NOTES)).status == 200
    got = await ask(sidecar, "GET", NOTES)  # at once: it would not go within the lane's wait
    is_problem(got, 429, "rate-limited", "default")
    assert (got.json["blocked_by"], got.json["retryable"]) == ("rate:tool:crm", True)
    assert 3500 < int(got.headers["Retry-After"]) <= 3600
    line = await sidecar.decided(code="rate-limited")
    assert line["blocked_by"] == "rate:tool:crm"
    assert line["wait_ms"] < 1000
    assert len(tool.seen) == 2


async def test_a_batch_counts_as_many_times_as_it_has_elements(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool, ROUTES, tool_fields="rate: 10 per 1h"))
    batch = NOTES + "/batch"
    assert (await ask(sidecar, "POST", batch, {"inputs": [1] * 7})).status == 200
    assert (await ask(sidecar, "POST", batch, {"inputs": [1] * 4})).status == 429
    assert (await ask(sidecar, "POST", batch, {"inputs": [1] * 3})).status == 200
    never = await ask(sidecar, "POST", batch, {"inputs": [1] * 11})
    is_problem(never, 429, "rate-limited", "notes.batch")
    assert not never.json["retryable"]


class Busy:
    """Turns away so many calls, and serves the others."""

    def __init__(self, seconds: int, times: int) -> None:
        self.seconds, self.times = seconds, times

    async def __call__(self, _seen: Seen, _request: web.Request) -> web.StreamResponse:
        self.times -= 1
        if self.times >= 0:
            return web.json_response({}, status=429, headers={"Retry-After": str(self.seconds)})
        return web.json_response({"ok": True})


async def test_a_fleet_waits_out_a_pause_and_sends_one_probe_before_the_others(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, ROUTES)
    sidecars = [await start(), await start()]
    tool.react = Busy(1, 1)
    turned_away = await ask(sidecars[0], "POST", NOTES, {"n": 0})
    assert (turned_away.status, turned_away.verdict) == (429, "executed")
    asked_s = monotonic()
    tool.hold()
    waiting = [later(ask(sidecars[n % 2], "POST", NOTES, {"n": n})) for n in range(1, 6)]
    await tool.got(2)
    assert monotonic() - asked_s > 0.7
    await sidecars[0].decided(status=429)
    await asyncio.sleep(0.2)  # time in which others would come, if they did
    assert len(tool.seen) == 2
    tool.release()
    assert [it.status for it in await asyncio.gather(*waiting)] == [200] * 5
    assert len(tool.seen) == 6


async def test_who_will_not_wait_for_a_pause_is_told_how_long_it_is_reads_included(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, ROUTES)
    here, there = await start(), await start()
    tool.react = Busy(600, 1)
    assert (await ask(here, "GET", NOTES)).status == 429
    for sidecar, method in ((here, "GET"), (there, "POST"), (there, "GET")):
        got = await ask(sidecar, method, NOTES, {} if method == "POST" else None)
        assert (got.status, got.reason) == (429, "tool-paused")
        assert got.json["blocked_by"] == "pause:crm"
        assert 590 < int(got.headers["Retry-After"]) <= 600
    assert len(tool.seen) == 1


async def test_an_adaptive_cap_gates_and_lets_calls_through(tool: Tool, start: Start, tmp_path: Path) -> None:
    configure(tmp_path, tool, ROUTES, tool_fields="caps: {write: auto 2..2}")
    sidecar = await start()
    tool.hold()
    asked = [later(ask(sidecar, "POST", NOTES, {"n": n})) for n in range(4)]
    await tool.got(2)
    await asyncio.sleep(0.2)
    assert len(tool.seen) == 2
    tool.release()
    assert [it.status for it in await asyncio.gather(*asked)] == [200] * 4
