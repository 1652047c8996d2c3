"""Promise 2: calls of one intent reach the upstream at most once per known outcome."""

import asyncio
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.e2e.conftest import Start
from tests.e2e.harness import Seen, Sidecar, Tool, admin, ask, configure, drop, later

STAGE = {"properties": {"stage": "won"}}


async def test_a_twin_gets_the_first_answer_byte_for_byte(tool: Tool, start: Start, tmp_path: Path) -> None:
    sidecar = await start(configure(tmp_path, tool))
    first = await ask(sidecar, "POST", "http://crm.test/notes", {"a": 1, "b": 2})
    again = await ask(sidecar, "POST", "http://crm.test/notes", {"b": 2, "a": 1})
    assert (first.verdict, again.verdict) == ("executed", "replayed")
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["Content-Type"] == first.headers["Content-Type"]
    assert len(tool.seen) == 1


async def test_a_twin_of_a_running_call_joins_it(tool: Tool, start: Start, tmp_path: Path) -> None:
    configure(tmp_path, tool)
    here, there = await start(), await start()
    tool.hold()
    first = later(ask(here, "POST", "http://crm.test/notes", {"text": "hi"}))
    await tool.got(1)
    twin = later(ask(there, "POST", "http://crm.test/notes", {"text": "hi"}))
    await joined(here)
    tool.release()
    assert (await first).body == (await twin).body
    assert ((await first).verdict, (await twin).verdict) == ("executed", "joined")
    assert len(tool.seen) == 1


async def joined(sidecar: Sidecar) -> None:
    """Wait until a twin stands in line."""
    async with asyncio.timeout(10):
        while not (await admin(sidecar, "/queues")).json["items"]:
            await asyncio.sleep(0)


async def test_a_b_a_on_one_record_are_three_writes_and_a_a_is_one(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool))
    for stage in ("a", "b", "a", "a"):
        assert (await ask(sidecar, "PATCH", "http://crm.test/deals/1", {"stage": stage})).status == 200
    assert [seen.json["stage"] for seen in tool.seen] == ["a", "b", "a"]


async def test_a_note_sent_again_after_other_writes_is_still_one_note(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool))
    for body in ({"note": "x"}, {"note": "y"}, {"note": "x"}):
        await ask(sidecar, "POST", "http://crm.test/notes", body)
    assert [seen.json["note"] for seen in tool.seen] == ["x", "y"]


@pytest.mark.parametrize("difference", [{"X-Agent-Tenant": "other"}, {"Authorization": "Bearer other"}])
async def test_a_replay_never_crosses_tenants_or_credentials(
    tool: Tool, start: Start, tmp_path: Path, difference: dict[str, str]
) -> None:
    sidecar = await start(configure(tmp_path, tool, tool_fields='credential: "header:Authorization"'))
    mine = {"X-Agent-Tenant": "mine", "Authorization": "Bearer mine"}
    for headers in (mine, mine | difference, mine):
        await ask(sidecar, "POST", "http://crm.test/notes", {"text": "hi"}, headers=headers)
    assert len(tool.seen) == 2


async def test_a_server_error_is_never_replayed_as_a_success(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    async def fail(_seen: Seen, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": "boom"}, status=500)

    sidecar = await start(configure(tmp_path, tool))
    tool.react = fail
    first = await ask(sidecar, "POST", "http://crm.test/notes", {"text": "hi"})
    again = await ask(sidecar, "POST", "http://crm.test/notes", {"text": "hi"})
    assert (first.status, first.verdict) == (500, "executed")
    assert (again.status, again.json["code"]) == (409, "outcome-unknown")
    assert len(tool.seen) == 1


@pytest.mark.parametrize("status", [401, 408, 425, 429])
async def test_an_answer_that_changed_nothing_lets_the_same_call_run_again(
    tool: Tool, start: Start, tmp_path: Path, status: int
) -> None:
    async def refuse(_seen: Seen, _request: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=status)

    sidecar = await start(configure(tmp_path, tool))
    tool.react = refuse
    await ask(sidecar, "POST", "http://crm.test/notes", {"text": "hi"})
    tool.react = None
    assert (await ask(sidecar, "POST", "http://crm.test/notes", {"text": "hi"})).status == 200
    assert len(tool.seen) == 2


async def test_the_same_explicit_key_with_another_request_is_refused(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool))
    key = {"Idempotency-Key": "k-1"}
    first = await ask(sidecar, "POST", "http://crm.test/notes", {"text": "hi"}, headers=key)
    other = await ask(sidecar, "POST", "http://crm.test/notes", {"text": "ho"}, headers=key)
    again = await ask(sidecar, "POST", "http://crm.test/notes", {"text": "hi"}, headers=key)
    assert (other.status, other.json["code"], other.reason) == (422, "key-reused", "key-reused")
    assert again.body == first.body
    assert len(tool.seen) == 1


async def test_an_agent_that_hung_up_finds_the_answer_on_its_retry(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool))
    tool.hold()
    impatient = later(ask(sidecar, "POST", "http://crm.test/notes", {"text": "hi"}))
    await tool.got(1)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    tool.release()
    await sidecar.decided(outcome="completed")
    retry = await ask(sidecar, "POST", "http://crm.test/notes", {"text": "hi"})
    assert (retry.status, retry.verdict) == (200, "replayed")
    assert len(tool.seen) == 1


async def test_an_answer_too_large_to_keep_passes_and_is_not_run_again(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    async def large(_seen: Seen, _request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * 300_000)

    sidecar = await start(configure(tmp_path, tool))
    tool.react = large
    first = await ask(sidecar, "POST", "http://crm.test/export", {"q": 1})
    again = await ask(sidecar, "POST", "http://crm.test/export", {"q": 1})
    assert (first.status, len(first.body)) == (200, 300_000)
    assert (again.status, again.json["code"]) == (409, "answer-not-kept")
    assert len(tool.seen) == 1


async def test_an_event_stream_passes_event_by_event_and_is_recorded_as_done(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    proceed = asyncio.Event()

    async def stream(_seen: Seen, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b"data: 1\n\n")
        await proceed.wait()
        await answer.write(b"data: 2\n\n")
        return answer

    sidecar = await start(configure(tmp_path, tool))
    tool.react = stream
    async with (
        aiohttp.ClientSession() as session,
        session.post("http://crm.test/chat", json={"q": 1}, proxy=sidecar.proxy) as answer,
    ):
        assert await answer.content.readany() == b"data: 1\n\n"  # arrives although the stream has not ended
        proceed.set()
        assert await answer.content.read() == b"data: 2\n\n"
    again = await ask(sidecar, "POST", "http://crm.test/chat", {"q": 1})
    assert again.json["code"] == "answer-not-kept"


async def test_a_lost_response_is_unknown_and_nobody_sends_it_again(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool))
    tool.react = drop
    first = await ask(sidecar, "POST", "http://crm.test/charges", {"amount": 5})
    again = await ask(sidecar, "POST", "http://crm.test/charges", {"amount": 5})
    assert (first.status, first.json["code"], first.json["outcome"]) == (502, "upstream-failed", "unknown")
    assert (again.status, again.json["code"], again.json["retryable"]) == (409, "outcome-unknown", False)
    assert len(tool.seen) == 1


async def test_a_put_with_a_lost_response_may_be_sent_again(tool: Tool, start: Start, tmp_path: Path) -> None:
    sidecar = await start(configure(tmp_path, tool, tool_fields="timeout: 1s"))
    tool.react = drop
    first = await ask(sidecar, "PUT", "http://crm.test/deals/1", {"stage": "won"})
    tool.react = None
    again = await ask(sidecar, "PUT", "http://crm.test/deals/1", {"stage": "won"})
    assert (first.json["outcome"], again.status, again.verdict) == ("unknown", 200, "executed")
    assert len(tool.seen) == 2


async def test_an_upstream_that_cannot_be_reached_was_not_sent_and_may_be_tried_again(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, "http://127.0.0.1:9"))
    for _ in range(2):
        got = await ask(sidecar, "POST", "http://crm.test/notes", {"text": "hi"})
        assert (got.status, got.json["code"], got.json["outcome"]) == (
            502,
            "upstream-unreachable",
            "not_sent",
        )
