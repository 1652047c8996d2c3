"""A route with a probe finds out what became of an attempt: one effect, whatever broke and where."""

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.e2e.conftest import Start
from tests.e2e.harness import Got, Seen, Sidecar, Tool, admin, ask, configure, drop, later
from tests.e2e.test_sdks import run
from tests.servers import Server

ROUTE = """
  - name: refund.create
    match: {method: POST, path: /refunds}
    lane: high_risk
    timeout: 2s
    locks: ["charge:{body.charge}"]
    intent: {key: "{body.charge} {body.amount}", explicit: ignore, window: 24h}
    unknown:
      probe: {path: "/refunds?charge={body.charge}", applied: "size(answer.body.data) > 0", PROBE}
"""
URL = "http://crm.test/refunds"
REFUND = {"charge": "ch_1", "amount": 40}
TOKEN = {"SIDECAR_ADMIN_TOKEN": "t"}

Fault = Callable[[Seen, web.Request], Awaitable[web.StreamResponse]]


class Refunds:
    """The tool's state: what was really done, and what a search shows."""

    def __init__(self, tool: Tool) -> None:
        self.tool = tool
        self.made: list[dict[str, Any]] = []
        self.shown = True
        self.fault: Fault | None = None
        self.asked: list[Seen] = []
        self.answers: Fault | None = None
        tool.react = self.react

    async def react(self, seen: Seen, request: web.Request) -> web.StreamResponse:
        if seen.method == "GET":
            self.asked.append(seen)
            if self.answers is not None:
                return await self.answers(seen, request)
            found = [made for made in self.made if self.shown and made["charge"] == request.query["charge"]]
            return web.json_response({"data": found})
        fault, self.fault = self.fault, None
        if fault is not None:
            return await fault(seen, request)
        return web.json_response(self.make(seen))

    def make(self, seen: Seen) -> dict[str, Any]:
        self.made.append({"id": f"re_{len(self.made) + 1}", **seen.json})
        return self.made[-1]

    async def before(self, seen: Seen, request: web.Request) -> web.StreamResponse:
        """The request arrived, and was lost before it did anything."""
        return await drop(seen, request)

    async def after(self, seen: Seen, request: web.Request) -> web.StreamResponse:
        """It was done, and no byte of the answer came."""
        self.make(seen)
        return await drop(seen, request)

    async def half(self, seen: Seen, request: web.Request) -> web.StreamResponse:
        """It was done, and the answer broke off after its first bytes."""
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(json.dumps(self.make(seen)).encode())
        return await drop(seen, request)

    async def failed(self, seen: Seen, request: web.Request) -> web.StreamResponse:
        """It was not done, and the answer does not say so."""
        return web.json_response({"error": "?"}, status=500)

    @property
    def posts(self) -> int:
        return sum(seen.method == "POST" for seen in self.tool.seen)


@pytest.fixture
def refunds(tool: Tool) -> Refunds:
    return Refunds(tool)


def set_up(
    folder: Path, tool: Tool, probe: str = "", process: str = "store: {url: embedded, lease: 2s}\n"
) -> None:
    probe = f"lag: 0, backoff: 100ms, timeout: 2s, answer: {{body: 'answer.body.data[0]'}}{probe}"
    configure(
        folder, tool, ROUTE.replace("PROBE", probe), process, "downstream_key: {header: Idempotency-Key}"
    )


async def refund(sidecar: Sidecar, **headers: str) -> Got:
    return await ask(sidecar, "POST", URL, REFUND, headers={"Authorization": "Bearer sk", **headers})


@pytest.mark.parametrize("fault", ["before", "after", "half", "failed"])
async def test_an_attempt_that_broke_is_made_once_whatever_it_did(
    refunds: Refunds, start: Start, tmp_path: Path, fault: str
) -> None:
    set_up(tmp_path, refunds.tool)
    sidecar = await start()
    refunds.fault = getattr(refunds, fault)
    await asyncio.gather(refund(sidecar), return_exceptions=True)
    retry = await refund(sidecar)
    applied = fault in ("after", "half")
    assert (retry.status, retry.json["id"]) == (200, "re_1")
    assert retry.verdict == ("replayed" if applied else "executed")
    line = await sidecar.decided(verdict=retry.verdict, route="refund.create", reply_status=200)
    assert line["probe"] == ("applied" if applied else "not_applied")
    again = await refund(sidecar)
    assert (again.verdict, again.body) == ("replayed", retry.body)
    assert (len(refunds.made), refunds.posts) == (1, 1 if applied else 2)
    assert (await admin(sidecar, "/unknown")).json == {"items": []}
    assert (await admin(sidecar, "/leases")).json == {"items": []}


async def test_a_probe_is_sent_as_the_agent_and_without_what_it_sent(
    refunds: Refunds, start: Start, tmp_path: Path
) -> None:
    set_up(tmp_path, refunds.tool)
    sidecar = await start()
    refunds.fault = refunds.after
    await refund(sidecar)
    await refund(sidecar, **{"Idempotency-Key": "fresh", "X-Agent-Run": "r2", "Stripe-Account": "acct_1"})
    asked = refunds.asked[0]
    assert (asked.path, asked.body) == ("/refunds?charge=ch_1", b"")
    assert (asked.headers["Authorization"], asked.headers["Stripe-Account"]) == ("Bearer sk", "acct_1")
    assert not {"Idempotency-Key", "X-Agent-Run", "Content-Type", "Content-Length"} & set(asked.headers)


async def test_a_search_that_lags_is_asked_again_and_not_believed_before_its_time(
    refunds: Refunds, start: Start, tmp_path: Path
) -> None:
    set_up(tmp_path, refunds.tool, ", attempts: 4")
    sidecar = await start()
    refunds.fault, refunds.shown = refunds.after, False
    await refund(sidecar)
    retry = later(refund(sidecar))
    await refunds.tool.got(4)  # the first call, and two looks that show nothing
    refunds.shown = True
    got = await retry
    assert (got.verdict, got.json["id"]) == ("replayed", "re_1")
    assert refunds.posts == 1


async def test_what_shows_nothing_too_early_stays_unknown_and_says_when_to_come_back(
    refunds: Refunds, start: Start, tmp_path: Path
) -> None:
    set_up(tmp_path, refunds.tool, ", attempts: 1")
    sidecar = await start()
    refunds.fault, refunds.shown = refunds.after, False
    await refund(sidecar)
    got = await refund(sidecar)
    assert (got.status, got.reason, got.json["retryable"]) == (409, "outcome-unknown", True)
    assert 0 < got.json["retry_after_ms"] <= 2_500
    assert "too early" in got.json["detail"]
    assert refunds.posts == 1


@pytest.mark.parametrize("status", [401, 404, 500])
async def test_what_cannot_tell_leaves_it_unknown_and_sends_nothing(
    refunds: Refunds, start: Start, tmp_path: Path, status: int
) -> None:
    set_up(tmp_path, refunds.tool, ", attempts: 2")
    sidecar = await start()

    async def cannot(_seen: Seen, _request: web.Request) -> web.Response:
        return web.json_response({"data": []}, status=status)

    refunds.fault, refunds.answers = refunds.failed, cannot
    await refund(sidecar)
    got = await refund(sidecar)
    assert (got.status, got.reason, got.json["retryable"]) == (409, "outcome-unknown", True)
    assert f"answered {status}" in got.json["detail"]
    await refund(sidecar)
    assert (refunds.posts, len(refunds.asked)) == (1, 2), "and nobody asks at once again"
    refunds.answers = None
    async with asyncio.timeout(10):
        while (got := await refund(sidecar)).status == 409:
            assert got.reason == "outcome-unknown"
    assert (got.verdict, len(refunds.made)) == ("executed", 1)


async def test_retries_on_every_sidecar_ask_once_together(
    refunds: Refunds, start: Start, tmp_path: Path
) -> None:
    set_up(tmp_path, refunds.tool)
    sidecars = [await start(), await start()]
    refunds.fault = refunds.after
    await refund(sidecars[0])
    refunds.tool.hold()
    retries = [later(refund(sidecar)) for sidecar in sidecars * 4]
    await refunds.tool.got(2)
    await asyncio.sleep(0.3)  # the others have come; more than one that asks would show
    assert len(refunds.tool.seen) == 2
    refunds.tool.release()
    got = await asyncio.gather(*retries)
    assert {(one.status, one.verdict, one.body) for one in got} == {(200, "replayed", got[0].body)}
    assert (len(refunds.asked), refunds.posts) == (1, 1)


async def test_a_sidecar_that_dies_asking_leaves_it_unknown_and_another_asks(
    refunds: Refunds, start: Start, tmp_path: Path, server: Server
) -> None:
    set_up(tmp_path, refunds.tool, process=f"store: {{url: '{server.url}', lease: 2s}}\n")
    victim, survivor = await start(), await start()
    refunds.fault = refunds.after
    await refund(survivor)
    refunds.tool.hold()
    doomed = later(refund(victim))
    await refunds.tool.got(2)
    await victim.kill()
    refunds.tool.release()
    await asyncio.gather(doomed, return_exceptions=True)
    got = await refund(survivor)
    assert (got.verdict, refunds.posts, len(refunds.made)) == ("replayed", 1, 1)


async def test_an_agent_that_hangs_up_while_it_is_asked_lets_the_next_one_ask(
    refunds: Refunds, start: Start, tmp_path: Path
) -> None:
    set_up(tmp_path, refunds.tool)
    sidecar = await start()
    refunds.fault = refunds.after
    await refund(sidecar)
    refunds.tool.hold()
    gone = later(refund(sidecar))
    await refunds.tool.got(2)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    refunds.tool.release()
    async with asyncio.timeout(1.9):  # the right to ask would have ended by itself after three seconds
        assert (await refund(sidecar)).verdict == "replayed"


async def test_a_sidecar_killed_between_the_answer_and_its_settle_is_found_out_about(
    refunds: Refunds, start: Start, tmp_path: Path, server: Server
) -> None:
    set_up(tmp_path, refunds.tool, process=f"store: {{url: '{server.url}', lease: 2s}}\n")
    victim, survivor = await start(), await start()
    refunds.tool.hold()
    doomed = later(refund(victim))
    await refunds.tool.got(1)
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)  # nothing can be settled
    refunds.tool.release()
    async with asyncio.timeout(10):
        while not refunds.made:
            await asyncio.sleep(0.01)
    await victim.kill()
    server.process.send_signal(signal.SIGCONT)
    await asyncio.gather(doomed, return_exceptions=True)
    async with asyncio.timeout(10):
        while (got := await refund(survivor)).status != 200:
            assert got.reason in ("store-unavailable", "in-progress", "outcome-unknown")
    assert (got.verdict, got.json["id"], refunds.posts) == ("replayed", "re_1", 1)


async def test_after_a_settle_nothing_has_to_be_asked(
    refunds: Refunds, start: Start, tmp_path: Path, server: Server
) -> None:
    set_up(tmp_path, refunds.tool, process=f"store: {{url: '{server.url}', lease: 2s}}\n")
    victim, survivor = await start(), await start()
    first = await refund(victim)
    await victim.kill()
    again = await refund(survivor)
    assert (again.verdict, again.body) == ("replayed", first.body)
    assert not refunds.asked


@pytest.mark.parametrize("applied", [True, False])
async def test_a_person_may_say_what_happened(
    refunds: Refunds, start: Start, tmp_path: Path, applied: bool
) -> None:
    route = ROUTE.partition("    unknown:")[0]
    configure(tmp_path, refunds.tool, route, "store: {url: embedded, lease: 2s}\n")
    sidecar = await start(env=TOKEN)
    refunds.fault = refunds.after if applied else refunds.before
    await refund(sidecar, **{"X-Agent-Run": "r1"})
    other = later(ask(sidecar, "POST", URL, {"charge": "ch_1", "amount": 1}))  # waits for the record
    assert (await refund(sidecar)).reason == "outcome-unknown"
    (tmp_path / "answer.json").write_text('{"status": 201, "body": {"id": "re_1"}}')

    async def says(*words: str) -> str:
        command = ("-m", "sidecar", "unknown", *words, "--admin", sidecar.admin)
        status, out, err = await run("env", "SIDECAR_ADMIN_TOKEN=t", sys.executable, *command)
        assert status == 0, err
        return out

    item = json.loads(await says("list", "--json"))["items"][0]
    assert (item["run"], item["why"], item["locks"]) == ("r1", "reset", ["charge:ch_1"])
    assert "charge:ch_1" in await says("show", item["id"])
    answer = ("--applied", "--answer", str(tmp_path / "answer.json")) if applied else ("--not-applied",)
    assert "resolved" in await says("resolve", item["id"], *answer, "--by", "ada", "--why", "looked")
    line = await sidecar.decided(decided="unknown.resolve", by="ada", why="looked", applied=applied)
    assert line["intent"] == item["id"][:12]
    retry = await refund(sidecar)
    assert (retry.status, retry.verdict) == ((201, "replayed") if applied else (200, "executed"))
    assert (await other).status == 200
    assert sum(made["amount"] == 40 for made in refunds.made) == 1
    assert refunds.tool.overlaps == 0
    assert "every outcome is known" in await says("list")
