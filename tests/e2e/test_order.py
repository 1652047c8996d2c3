"""Order over sockets: what comes too early is refused, in words, and a step is done once, whatever breaks."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.e2e.conftest import Start
from tests.e2e.harness import Got, Seen, Sidecar, Tool, admin, ask, configure, drop, later

ROUTES = """
  - name: invoice.validate
    match: {method: POST, path: "/invoices/{id}/validate"}
    intent: {key: "{path.id} {body}", window: 1s}
    order: {entity: "invoice:{path.id}", sets: validated}
  - name: invoice.pay
    match: {method: POST, path: "/invoices/{id}/pay"}
    intent: {key: "{path.id}", window: 24h}
    order: {entity: "invoice:{path.id}", requires: validated, max_age: 1h, wait: 10s, sets: paid}
  - name: invoice.remind
    match: {method: POST, path: "/invoices/{id}/remind"}
    intent: none
    order: {entity: "invoice:{path.id}", requires: validated, wait: 0}
"""
SHORT_LEASE = "store: {url: embedded, lease: 2s}\n"


async def do(sidecar: Sidecar, what: str, body: Any = None, run: str = "r1") -> Got:
    url = f"http://crm.test/invoices/7/{what}"
    return await ask(sidecar, "POST", url, body or {}, headers={"X-Agent-Run": run})


def effects(tool: Tool, what: str) -> int:
    return sum(seen.path.endswith(what) for seen in tool.seen)


async def waits(sidecar: Sidecar) -> None:
    """Until a call waits there."""
    async with asyncio.timeout(10):
        while b'sidecar_queue_depth{tenant="default"} 1' not in (await admin(sidecar, "/metrics")).body:
            await asyncio.sleep(0.01)


async def test_what_comes_too_early_is_refused_with_the_step_that_comes_before(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, ROUTES)
    here, there = await start(), await start()
    early = await do(here, "pay")
    assert (early.status, early.json["code"], early.json["retryable"]) == (409, "prior-step-missing", False)
    assert early.json["blocked_by"] == "order:invoice:7"
    assert "invoice.validate" in early.json["detail"]
    assert "Nothing was sent" in early.json["detail"]
    assert tool.seen == []

    assert (await do(there, "validate", run="r2")).status == 200
    assert (await do(here, "pay")).status == 200
    assert (await do(there, "pay")).verdict == "replayed"
    twice = await do(there, "remind")
    assert (twice.json["code"], twice.json["holder_run"]) == ("prior-step-missing", "r1")
    assert "invoice:7 is 'paid' (just now, by invoice.pay of run r1)" in twice.json["detail"]
    assert [seen.path for seen in tool.seen] == ["/invoices/7/validate", "/invoices/7/pay"]


async def test_a_call_waits_for_the_step_that_is_on_its_way_on_another_sidecar(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, ROUTES)
    here, there = await start(), await start()
    tool.hold()
    validating = later(do(here, "validate"))
    await tool.got(1)
    at_once = await do(there, "remind", run="r2")
    assert (at_once.status, at_once.json["code"]) == (409, "prior-step-running")
    assert (at_once.json["retryable"], at_once.json["holder_run"]) == (True, "r1")
    assert at_once.json["retry_after_ms"] > 0
    paying = later(do(there, "pay", run="r2"))
    await waits(there)
    tool.release()
    assert (await validating).status == (await paying).status == 200
    line = await there.decided(route="invoice.pay")
    assert (line["blocked_by"], line["verdict"]) == ("order:invoice:7", "executed")
    assert [seen.path for seen in tool.seen] == ["/invoices/7/validate", "/invoices/7/pay"]


async def test_a_step_that_fails_lets_nobody_through_and_who_waits_hears_it_at_once(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, ROUTES)
    sidecar = await start()

    async def refuse(_seen: Seen, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": "no such invoice"}, status=404)

    tool.react = refuse
    tool.hold()
    validating = later(do(sidecar, "validate"))
    await tool.got(1)
    paying = later(do(sidecar, "pay"))
    await waits(sidecar)
    async with asyncio.timeout(8):  # less than its patience
        tool.release()
        assert (await validating).status == 404
        assert (await paying).json["code"] == "prior-step-missing"
    assert effects(tool, "pay") == 0


async def test_two_runs_that_take_one_step_at_once_take_it_once(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    routes = ROUTES.replace('intent: {key: "{path.id}", window: 24h}', "intent: none")
    configure(tmp_path, tool, routes)
    sidecars = [await start(), await start()]
    await do(sidecars[0], "validate")
    got = await asyncio.gather(*(do(sidecars[n % 2], "pay", {"n": n}, f"r{n}") for n in range(8)))
    assert sorted(it.status for it in got) == [200] + [409] * 7
    assert {it.json["code"] for it in got if it.status == 409} == {"prior-step-missing"}
    assert effects(tool, "pay") == 1


async def cut(_seen: Seen, request: web.Request) -> web.StreamResponse:
    """The work is done, and its answer breaks off after the first bytes."""
    answer = web.StreamResponse(headers={"Content-Length": "100"})
    await answer.prepare(request)
    await answer.write(b"{")
    assert request.transport is not None
    request.transport.abort()
    return answer


async def fail(_seen: Seen, _request: web.Request) -> web.StreamResponse:
    return web.json_response({}, status=500)


@pytest.mark.parametrize("react", [drop, cut, fail])
async def test_a_step_whose_answer_was_lost_blocks_the_next_until_it_is_taken_again(
    tool: Tool, start: Start, tmp_path: Path, react: Any
) -> None:
    configure(tmp_path, tool, ROUTES, tool_fields="timeout: 2s")
    sidecar = await start()
    tool.react = react
    with suppress(aiohttp.ClientPayloadError):  # what broke off there breaks off here
        assert (await do(sidecar, "validate", {"n": 1})).status in (500, 502)
    tool.react = None
    for what in ("pay", "remind"):
        blocked = await do(sidecar, what, run="r2")
        assert (blocked.status, blocked.json["code"]) == (409, "outcome-unknown")
        assert blocked.json["blocked_by"] == "order:invoice:7"
        assert "invoice.validate of run r1" in blocked.json["detail"]
    async with asyncio.timeout(15):  # another validation, once the first one's request must be over
        while (await do(sidecar, "validate", {"n": 2})).status != 200:
            await asyncio.sleep(0.1)
    assert (await do(sidecar, "pay")).status == 200
    assert (effects(tool, "validate"), effects(tool, "pay")) == (2, 1)


async def test_a_step_that_never_reached_the_tool_leaves_the_state_as_it_was(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, ROUTES)
    away = ROUTES.replace("invoice.", "away.")
    (tmp_path / "routes" / "away.yaml").write_text(
        f"version: 1\ntool: away\nhosts: [away.test]\nupstream: http://127.0.0.1:1\nroutes:\n{away}"
    )
    sidecar = await start()
    await do(sidecar, "validate")
    lost = await ask(sidecar, "POST", "http://away.test/invoices/7/pay", {})
    assert (lost.status, lost.json["code"]) == (502, "upstream-unreachable")
    assert (await do(sidecar, "pay")).status == 200
    assert effects(tool, "pay") == 1


async def test_a_step_whose_sidecar_was_killed_blocks_the_next_and_is_never_taken_for_done(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, ROUTES, process=SHORT_LEASE, tool_fields="timeout: 4s")
    victim, survivor = await start(), await start()
    tool.hold()
    doomed = later(do(victim, "validate"))
    await tool.got(1)
    await victim.kill()
    await asyncio.gather(doomed, return_exceptions=True)
    tool.release()
    blocked = await do(survivor, "pay", run="r2")  # waits, until the lease has lapsed
    assert (blocked.status, blocked.json["code"]) == (409, "outcome-unknown")
    async with asyncio.timeout(15):
        while (await do(survivor, "validate", {"n": 2})).status != 200:
            await asyncio.sleep(0.1)
    assert (await do(survivor, "pay")).status == 200
    assert effects(tool, "pay") == 1


async def test_a_state_outlives_the_sidecar_that_set_it(tool: Tool, start: Start, tmp_path: Path) -> None:
    configure(tmp_path, tool, ROUTES)
    first, second = await start(), await start()
    await do(second, "validate")
    await second.kill()  # after its settle
    assert (await do(first, "pay")).status == 200


PROBED = """
  - name: invoice.pay
    match: {method: POST, path: "/invoices/{id}/pay"}
    order:
      entity: "invoice:{path.id}"
      requires: validated
      sets: paid
      unseen: {probe: {path: "/invoices/{path.id}?full={body.full}", state: answer.body.status, ttl: 1s, timeout: 1s}}
"""


async def test_a_state_that_nobody_has_seen_is_asked_of_the_tool_as_whoever_calls(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool, PROBED))
    status, now = 200, "draft"

    async def react(seen: Seen, _request: web.Request) -> web.StreamResponse:
        if seen.method == "GET":
            return web.json_response({"status": now}, status=status)
        return web.json_response({})

    tool.react = react
    url = "http://crm.test/invoices/7/pay"
    said = {"Authorization": "Bearer mine", "Idempotency-Key": "k", "X-Agent-Run": "r1"}
    early = await ask(sidecar, "POST", url, {"full": "a b"}, headers=said)
    assert early.json["code"] == "prior-step-missing"
    assert "invoice:7 is 'draft' (as its tool says)" in early.json["detail"]
    (asked,) = tool.seen
    assert (asked.method, asked.path, asked.body) == ("GET", "/invoices/7?full=a%20b", b"")
    assert asked.headers["Authorization"] == "Bearer mine"
    assert not {"Idempotency-Key", "X-Agent-Run", "Content-Type"} & set(asked.headers)

    now, status = "validated", 503
    async with asyncio.timeout(10):  # what it said counts for a second
        while "its answer (503) tells no state" not in early.json["detail"]:
            early = await ask(sidecar, "POST", url, {"full": 1}, headers=said)
    assert (early.status, early.json["code"]) == (409, "prior-step-missing")
    status = 200
    paid = await ask(sidecar, "POST", url, {"full": 1}, headers=said)
    assert (paid.status, effects(tool, "pay")) == (200, 1)
    again = await ask(sidecar, "POST", url, {"full": 2}, headers=said | {"Idempotency-Key": "l"})
    assert "'paid' (just now" in again.json["detail"]
    assert effects(tool, "pay") == 1


async def test_a_tool_that_does_not_answer_leaves_the_call_refused_and_worth_a_retry(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool, PROBED))
    tool.hold()
    got = await ask(sidecar, "POST", "http://crm.test/invoices/7/pay", {"full": 1})
    assert (got.status, got.json["code"], got.json["retryable"]) == (409, "prior-step-missing", True)
    assert "gave no answer" in got.json["detail"]
    assert effects(tool, "pay") == 0


async def test_an_observed_order_is_told_and_not_kept(tool: Tool, start: Start, tmp_path: Path) -> None:
    sidecar = await start(configure(tmp_path, tool, ROUTES, process="mode: observe\n"))
    assert (await do(sidecar, "pay")).status == 200
    assert (await sidecar.decided(route="invoice.pay"))["would"] == "prior-step-missing"


async def test_a_file_of_states_is_obeyed_and_heeded_when_it_changes(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, ROUTES)
    states = tmp_path / "states"
    states.mkdir()
    machine = "version: 1\nentity: invoice\nstates: [draft, validated, paid]\ninitial: draft\ntransitions:\n"
    (states / "invoice.yaml").write_text(f"{machine}  draft: [validated]\n  validated: [paid]\n")
    sidecar = await start()
    assert "invoice:7 is 'draft' (where it begins)" in (await do(sidecar, "pay")).json["detail"]
    assert (await do(sidecar, "validate", {"n": 1})).status == 200
    again = await do(sidecar, "validate", {"n": 2})
    assert (again.status, again.json["code"]) == (409, "prior-step-missing")
    (states / "invoice.yaml").write_text(f"{machine}  draft: [validated]\n  validated: [validated, paid]\n")
    await sidecar.said("config reloaded")
    assert (await do(sidecar, "validate", {"n": 3})).status == 200
