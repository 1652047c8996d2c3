"""What calls sum up to stays within the budget, whichever sidecar they go by and wherever they fail."""

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.e2e.conftest import Start
from tests.e2e.harness import Got, Seen, Sidecar, Tool, admin, ask, configure, drop, later
from tests.e2e.test_says_why import is_problem

BUDGETS = 'budgets:\n  refunds: {amount: "{body.amount}", limit: 100, window: 24h}\n'
ROUTES = """
  - name: refund.create
    match: {method: POST, path: /refunds}
    lane: write
    locks: ["charge:{body.charge}"]
    intent: {key: "{body.charge} {body.amount}", window: 24h}
    budgets: [refunds]
"""
REFUNDS = "http://crm.test/refunds"
SHORT_LEASE = "store: {url: embedded, lease: 2s}\n"


async def refund(sidecar: Sidecar, charge: str, amount: Any, tenant: str = "acme") -> Got:
    return await ask(
        sidecar, "POST", REFUNDS, {"charge": charge, "amount": amount}, headers={"X-Agent-Tenant": tenant}
    )


async def budget(sidecar: Sidecar, tenant: str = "acme") -> tuple[int, int, int]:
    """Used, reserved, left."""
    items = (await admin(sidecar, "/budgets")).json["items"]
    found = {item["scope"][-1]: (item["used"], item["reserved"], item["left"]) for item in items}
    return found.get(tenant, (0, 0, 100))


async def spends(sidecar: Sidecar, *sums: int) -> None:
    async with asyncio.timeout(15):
        while await budget(sidecar) != sums:
            await asyncio.sleep(0.02)


class Ledger:
    """Applies every refund that arrives, and answers as a test tells it to."""

    def __init__(self, tool: Tool) -> None:
        self.applied: list[int] = []
        self.lost: set[str] = set()
        tool.react = self.react

    async def react(self, seen: Seen, request: web.Request) -> web.StreamResponse:
        self.applied.append(seen.json["amount"])
        if seen.json["charge"] in self.lost:
            return await drop(seen, request)
        return web.json_response({"refunded": seen.json["amount"]})


async def test_two_sidecars_never_refund_more_than_the_budget_however_many_answers_are_lost(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, ROUTES, tool_fields=BUDGETS)
    sidecars = [await start(), await start()]
    ledger = Ledger(tool)
    ledger.lost = {f"ch_{n}" for n in range(0, 30, 3)}
    got = await asyncio.gather(*(refund(sidecars[n % 2], f"ch_{n}", 7) for n in range(30)))
    assert sum(ledger.applied) == 98
    refused = [it for it in got if it.reason == "rate-limited"]
    assert len(refused) == 30 - 14
    used, reserved, left = await budget(sidecars[0])
    assert (used + reserved, left) == (98, 2)
    is_problem(refused[0], 429, "rate-limited", "refund.create")
    assert refused[0].json["blocked_by"] == "budget:refunds"
    assert "and 2 are left" in refused[0].json["detail"]
    assert 86_400_000 < refused[0].json["retry_after_ms"] <= 86_400_000 * 61 // 60
    again = await asyncio.gather(*(refund(sidecars[(n + 1) % 2], f"ch_{n}", 7) for n in range(30)))
    assert sum(ledger.applied) == 98  # answered, unknown or refused: nothing is refunded twice
    assert {it.verdict if it.status == 200 else it.reason for it in again} == {
        *("replayed", "outcome-unknown", "rate-limited")
    }
    assert await budget(sidecars[1]) == (used, reserved, left)


async def test_what_never_left_and_what_the_tool_turned_down_is_given_back(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    gone = ROUTES + ROUTES.replace("refund.create", "elsewhere").replace("/refunds", "/elsewhere")
    configure(tmp_path, tool, gone, tool_fields=BUDGETS)
    sidecar = await start()

    async def turn_down(_seen: Seen, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": "charge is disputed"}, status=422)

    tool.react = turn_down
    assert (await refund(sidecar, "ch_1", 60)).status == 422
    assert await budget(sidecar) == (0, 0, 100)
    port = tool.port
    (tmp_path / "routes" / "crm.yaml").write_text(
        (tmp_path / "routes" / "crm.yaml").read_text().replace(f":{port}", ":1")
    )
    await sidecar.said("config reloaded")
    assert (await refund(sidecar, "ch_2", 60)).json["outcome"] == "not_sent"
    assert await budget(sidecar) == (0, 0, 100)


async def test_a_sidecar_killed_before_its_settle_leaves_the_amount_reserved_and_one_killed_after_it_used(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, ROUTES, process=SHORT_LEASE, tool_fields="timeout: 3s\n" + BUDGETS)
    victim, survivor = await start(), await start()
    ledger = Ledger(tool)
    assert (await refund(victim, "ch_1", 30)).status == 200
    tool.hold()
    doomed = later(refund(victim, "ch_2", 40))
    await tool.got(2)
    await victim.kill()
    await asyncio.gather(doomed, return_exceptions=True)
    tool.release()
    await spends(survivor, 30, 40, 30)
    await asyncio.sleep(2.5)  # until the lease has run out, and nobody is there to renew it
    assert await budget(survivor) == (30, 40, 30)
    assert (await refund(survivor, "ch_2", 40)).reason == "outcome-unknown"
    assert (await refund(survivor, "ch_3", 31)).reason == "rate-limited"
    assert (await refund(survivor, "ch_1", 30)).verdict == "replayed"
    assert (await refund(survivor, "ch_3", 30)).status == 200
    assert sum(ledger.applied) == 100


async def test_an_answer_that_breaks_off_keeps_the_amount_reserved(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool, ROUTES, tool_fields=BUDGETS))

    async def break_off(_seen: Seen, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "100"})
        await answer.prepare(request)
        await answer.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return answer

    tool.react = break_off
    await asyncio.gather(refund(sidecar, "ch_1", 60), return_exceptions=True)
    await spends(sidecar, 0, 60, 40)
    assert (await refund(sidecar, "ch_2", 41)).reason == "rate-limited"
    assert len(tool.seen) == 1


async def test_an_agent_that_hangs_up_has_spent_all_the_same(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool, ROUTES, tool_fields=BUDGETS))
    tool.hold()
    gone = later(refund(sidecar, "ch_1", 60))
    await tool.got(1)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert await budget(sidecar) == (0, 60, 40)
    tool.release()
    await spends(sidecar, 60, 0, 40)


async def test_tenants_have_sums_of_their_own_and_bad_amounts_are_not_nothing(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool, ROUTES, tool_fields=BUDGETS))
    assert (await refund(sidecar, "ch_1", 100)).status == 200
    assert (await refund(sidecar, "ch_2", 1)).reason == "rate-limited"
    assert (await refund(sidecar, "ch_2", 1, "other")).status == 200
    for amount in (-5, "NaN", 1.5, None, True, "1e2"):
        assert (await refund(sidecar, "ch_3", amount)).reason == "key-underivable"
    got = await refund(sidecar, "ch_4", 101, "other")
    is_problem(got, 429, "rate-limited", "refund.create")
    assert (got.json["retryable"], "Retry-After" in got.headers) == (False, False)
    assert len(tool.seen) == 2


async def test_a_limit_that_a_reload_changes_counts_at_once(tool: Tool, start: Start, tmp_path: Path) -> None:
    sidecar = await start(configure(tmp_path, tool, ROUTES, tool_fields=BUDGETS))
    assert (await refund(sidecar, "ch_1", 80)).status == 200
    assert (await refund(sidecar, "ch_2", 80)).reason == "rate-limited"
    configure(tmp_path, tool, ROUTES, tool_fields=BUDGETS.replace("limit: 100", "limit: 200"))
    await sidecar.said("config reloaded")
    assert (await refund(sidecar, "ch_2", 80)).status == 200
    assert len(tool.seen) == 2
