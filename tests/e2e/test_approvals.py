"""Nothing goes before a person agreed, what was agreed to goes once, and no fault opens a door."""

import asyncio
import hashlib
import hmac
import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.e2e import harness
from tests.e2e.conftest import Start
from tests.e2e.harness import CLEAN_ENV, Got, Seen, Sidecar, Tool, admin, ask, configure, drop, later
from tests.servers import Server

TOKEN = {"SIDECAR_ADMIN_TOKEN": "correct-horse"}
BEARER = {"Authorization": "Bearer correct-horse"}
ROUTE = """
  - name: refund
    match: {method: POST, path: /refunds}
    lane: LANE
    approval: {when: "body.amount > 100", hold: HOLD, ttl: 1h, show: {amount: "{body.amount}"}}
"""
URL = "http://crm.test/refunds"
LARGE = {"charge": "ch_1", "amount": 500}
RESEND = Path(__file__).parents[2] / "config" / "routes" / "resend.yaml"


def waiting(hold: str = "30s", lane: str = "write") -> str:
    return ROUTE.replace("HOLD", hold).replace("LANE", lane)


async def question(sidecar: Sidecar, state: str = "pending") -> dict[str, Any]:
    """The question in that state, once there is one."""
    async with asyncio.timeout(15):
        while True:
            for item in (await admin(sidecar, "/approvals")).json["items"]:
                if item["state"] == state:
                    found: dict[str, Any] = item
                    return found
            await asyncio.sleep(0.01)


async def decide(
    sidecar: Sidecar, asked: str, verdict: str = "approve", by: str = "grace", why: str = "fine"
) -> Got:
    path = f"/approvals/{asked}/{verdict}"
    return await admin(sidecar, path, "POST", json={"by": by, "why": why}, headers=BEARER)


async def refund(sidecar: Sidecar, body: object = LARGE, run: str = "run-7") -> Got:
    return await ask(sidecar, "POST", URL, body, headers={"X-Agent-Run": run})


async def approved(sidecar: Sidecar) -> str:
    """Ask in vain, and let a person agree; the question's id."""
    assert (await refund(sidecar)).reason == "approval-pending"
    asked = str((await question(sidecar))["id"])
    assert (await decide(sidecar, asked)).status == 200
    return asked


async def test_approve_before_send(tool: Tool, start: Start, tmp_path: Path) -> None:
    """The example in config/, with an upstream that counts."""
    configure(tmp_path, tool)
    text = RESEND.read_text().replace("upstream: https://api.resend.com", f"upstream: {tool.url}")
    (tmp_path / "routes" / "crm.yaml").write_text(text)
    sidecar = await start(env=TOKEN)
    mail = {"from": "us@example.com", "to": ["ada@example.com"], "subject": "Your invoice", "html": "<p>Pay"}
    sending = later(ask(sidecar, "POST", "http://api.resend.com/emails", mail))
    item = await question(sidecar)
    assert (item["tool"], item["route"], item["show"]["subject"]) == ("resend", "email.send", "Your invoice")
    assert tool.seen == []
    shown = await command(sidecar, "show", item["id"])
    assert "Your invoice" in shown
    assert item["id"] in await command(sidecar, "list")
    assert "approved" in await command(sidecar, "approve", item["id"], "--by", "grace", "--why", "ok")
    assert (await sending).verdict == "executed"
    assert (await ask(sidecar, "POST", "http://api.resend.com/emails", mail)).verdict == "replayed"
    assert [seen.json["subject"] for seen in tool.seen] == ["Your invoice"]
    entry = await sidecar.decided(decided="approval.approve")
    assert (entry["by"], entry["why"]) == ("grace", "ok")
    assert (entry["approval"], entry["result"], entry["route"]) == (item["id"], "approved", "email.send")
    went = await sidecar.decided(verdict="executed")
    assert went["blocked_by"] == f"approval:{item['id']}"


async def command(sidecar: Sidecar, *words: str) -> str:
    """What ``sidecar approvals`` prints, which must succeed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "approvals", *words, "--admin", sidecar.admin),
        stdout=asyncio.subprocess.PIPE,
        env=CLEAN_ENV | TOKEN,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    return out.decode()


async def test_a_call_that_is_held_long_enough_is_told_where_to_ask_and_goes_when_it_comes_again(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool, waiting("200ms")), env=TOKEN)
    assert (await refund(sidecar, {"charge": "ch_1", "amount": 5})).status == 200
    first = await refund(sidecar)
    item = await question(sidecar)
    assert (first.status, first.json["code"], first.json["retryable"]) == (409, "approval-pending", True)
    assert first.json["approval"] == f"/approvals/{item['id']}"
    assert (await refund(sidecar, run="run-8")).json["approval"] == first.json["approval"]
    await decide(sidecar, item["id"])
    changed = await refund(sidecar, LARGE | {"amount": 501})
    assert changed.json["code"] == "approval-pending"
    assert changed.json["approval"] != first.json["approval"]
    assert (await refund(sidecar)).verdict == "executed"
    assert (await refund(sidecar)).verdict == "replayed"
    assert [seen.json["amount"] for seen in tool.seen] == [5, 500]


async def test_a_denied_call_is_told_who_and_why(tool: Tool, start: Start, tmp_path: Path) -> None:
    sidecar = await start(configure(tmp_path, tool, waiting()), env=TOKEN)
    asking = later(refund(sidecar))
    await decide(sidecar, (await question(sidecar))["id"], "deny", why="not this customer")
    for got in (await asking, await refund(sidecar)):
        assert (got.status, got.json["code"], got.json["retryable"]) == (403, "approval-denied", False)
        assert "grace denied this call: not this customer" in got.json["detail"]
    assert tool.seen == []


async def test_a_sidecar_that_dies_with_the_agent_it_held_takes_nothing_with_it(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, waiting())
    victim, survivor = await start(env=TOKEN), await start(env=TOKEN)
    held = later(refund(victim))
    item = await question(survivor)
    await victim.kill()
    await asyncio.gather(held, return_exceptions=True)
    assert (await decide(survivor, item["id"])).json["result"] == "approved"  # while nobody waits
    assert (await refund(survivor)).verdict == "executed"
    assert len(tool.seen) == 1


async def test_two_agents_that_wait_for_one_approval_make_one_call(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, waiting())
    here, there = await start(env=TOKEN), await start(env=TOKEN)
    both = [later(refund(here)), later(refund(there, run="run-8"))]
    item = await question(here)
    await decide(there, item["id"])
    assert "executed" in [(await got).verdict for got in both]
    assert len({(await got).body for got in both}) == len(tool.seen) == 1


async def test_of_yes_and_no_at_once_one_counts_everywhere(tool: Tool, start: Start, tmp_path: Path) -> None:
    configure(tmp_path, tool, waiting("0"))
    here, there = await start(env=TOKEN), await start(env=TOKEN)
    for amount in range(200, 205):
        await refund(here, {"charge": "ch_1", "amount": amount})
        asked = (await question(here))["id"]
        answers = await asyncio.gather(
            decide(here, asked, by="grace"),
            decide(there, asked, "deny", by="ada"),
            decide(there, asked, by="ada"),
        )
        results = {got.json["result"] for got in answers if got.status == 200}
        assert len(results) == 1
        again = await refund(there, {"charge": "ch_1", "amount": amount})
        assert again.status == (200 if results == {"approved"} else 403)


async def test_questions_and_answers_outlive_the_store(
    tool: Tool, start: Start, tmp_path: Path, server: Server
) -> None:
    process = f"store: {{url: '{server.url}', lease: 2s}}\n"
    sidecar = await start(configure(tmp_path, tool, waiting("100ms"), process), env=TOKEN)
    assert (await refund(sidecar)).reason == "approval-pending"
    asked = (await question(sidecar))["id"]
    await server.kill()
    assert (await refund(sidecar)).reason == "store-unavailable"
    assert (await decide(sidecar, asked)).status == 503
    await server.start()
    await sidecar.said(f"{server.url} is back")
    assert (await decide(sidecar, asked)).status == 200
    async with asyncio.timeout(20):
        while (got := await refund(sidecar)).reason == "store-unavailable":  # older leases run out first
            await asyncio.sleep(0.05)
    assert got.verdict == "executed"
    assert len(tool.seen) == 1


async def test_without_the_store_nothing_goes_that_a_person_must_see_whatever_its_lane_says(
    tool: Tool, start: Start, tmp_path: Path, server: Server
) -> None:
    process = f"store: {{url: '{server.url}'}}\nlanes: {{draft: {{on_store_down: allow}}}}\n"
    sidecar = await start(configure(tmp_path, tool, waiting("0", "draft"), process), env=TOKEN)
    await server.kill()
    await sidecar.said("cannot be reached")
    assert (await refund(sidecar)).reason == "store-unavailable"
    assert tool.seen == []


async def test_an_upstream_that_cannot_be_reached_uses_up_no_approval(start: Start, tmp_path: Path) -> None:
    async with harness.tool() as gone:
        port = gone.port
    sidecar = await start(configure(tmp_path, f"http://127.0.0.1:{port}", waiting("0")), env=TOKEN)
    asked = await approved(sidecar)
    assert (await refund(sidecar)).json["code"] == "upstream-unreachable"
    assert (await refund(sidecar)).json["code"] == "upstream-unreachable"
    assert (await question(sidecar, "approved"))["id"] == asked


async def half(_seen: Seen, request: web.Request) -> web.StreamResponse:
    """A reaction: the work is done, and the answer breaks off in its middle."""
    answer = web.StreamResponse(headers={"Content-Length": "100"})
    await answer.prepare(request)
    await answer.write(b"{")
    assert request.transport is not None
    request.transport.abort()
    return answer


@pytest.mark.parametrize("fault", [drop, half], ids=["after the last byte", "within the answer"])
async def test_a_lost_answer_leaves_the_approval_used_and_sends_nothing_twice(
    tool: Tool, start: Start, tmp_path: Path, fault: harness.Reaction
) -> None:
    sidecar = await start(configure(tmp_path, tool, waiting("0")), env=TOKEN)
    asked = await approved(sidecar)
    tool.react = fault
    try:
        assert (await refund(sidecar)).status >= 500
    except Exception:  # the answer had begun, so it breaks off for the agent as well
        assert fault is half
    assert (await question(sidecar, "used"))["id"] == asked
    assert (await refund(sidecar)).json["code"] == "outcome-unknown"
    assert len(tool.seen) == 1


@pytest.mark.parametrize("when", ["before settle", "after settle"])
async def test_a_sidecar_that_dies_over_an_approved_call_lets_nobody_do_it_again(
    tool: Tool, start: Start, tmp_path: Path, when: str
) -> None:
    process = "store: {url: embedded, lease: 2s}\n"
    configure(tmp_path, tool, waiting("0"), process, "timeout: 3s")
    victim, survivor = await start(env=TOKEN), await start(env=TOKEN)
    await approved(victim)
    if when == "before settle":
        tool.hold()
    doomed = later(refund(victim))
    await tool.got(1)
    if when == "after settle":
        await doomed
    await victim.kill()
    await asyncio.gather(doomed, return_exceptions=True)
    tool.release()
    async with asyncio.timeout(15):
        while (got := await refund(survivor)).reason == "in-progress":
            pass
    if when == "after settle":
        assert got.verdict == "replayed"
    else:
        assert got.json["code"] == "outcome-unknown"
    assert len(tool.seen) == 1


async def test_who_observes_asks_nobody_and_delays_nothing(tool: Tool, start: Start, tmp_path: Path) -> None:
    sidecar = await start(configure(tmp_path, tool, waiting() + "    mode: observe\n"), env=TOKEN)
    assert (await refund(sidecar)).status == 200
    assert (await sidecar.decided(route="refund"))["would"] == "approval-pending"
    assert (await admin(sidecar, "/approvals")).json == {"items": []}


@pytest.fixture
async def chat() -> AsyncIterator[Tool]:
    """Where questions are announced."""
    async with harness.tool() as it:
        yield it


async def test_a_chat_tool_hears_of_a_question_once_and_people_answer_with_tokens_of_their_own(
    tool: Tool, chat: Tool, start: Start, tmp_path: Path
) -> None:
    approvers = ", ".join(
        f"{{name: {name}, token_sha256: {hashlib.sha256(f'{name}-token'.encode()).hexdigest()}}}"
        for name in ("ada", "grace")
    )
    process = (
        f"approvals: {{approvers: [{approvers}], webhook: {{url: '{chat.url}/hook', secret: '${{HOOK}}'}}}}\n"
    )
    configure(tmp_path, tool, waiting("20s").replace("ttl: 1h", "ttl: 1h, approvers: 2"), process)
    env = TOKEN | {"HOOK": "0123456789abcdef"}
    here, there = await start(env=env), await start(env=env)
    held = later(refund(here))
    await chat.got(1)
    (told,) = chat.seen
    at, given = re.fullmatch(r"t=(\d+),v1=(\w+)", told.headers["Sidecar-Signature"]).groups()  # type: ignore[union-attr]
    expected = hmac.new(env["HOOK"].encode(), at.encode() + b"." + told.body, "sha256").hexdigest()
    assert given == expected
    item = told.json["approval"]
    assert (item["show"], item["run"], item["needs"]) == ({"amount": "500"}, "run-7", 2)

    async def answer(token: str) -> Got:
        headers = {"Authorization": f"Bearer {token}"}
        return await admin(there, f"/approvals/{item['id']}/approve", "POST", json={}, headers=headers)

    assert (await answer("correct-horse")).json["code"] == "approver-needed"
    assert (await answer("ada-token")).json["result"] == "pending"
    assert (await answer("ada-token")).json["result"] == "pending"
    assert tool.seen == []
    assert (await answer("grace-token")).json["result"] == "approved"
    assert (await held).verdict == "executed"
    assert [one["by"] for one in (await question(here, "used"))["decisions"]] == ["ada", "grace"]
    assert len(chat.seen) == 1
    said = json.dumps([here.decisions, there.decisions, here.stderr, there.stderr])
    assert "token" not in said
    assert env["HOOK"] not in said
