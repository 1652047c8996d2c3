"""Promise 7: every refusal names the rule, the key, the holder and the way out, exactly as the contract says."""

import asyncio
import io
from pathlib import Path

from tests.e2e.conftest import Start
from tests.e2e.harness import Got, Tool, ask, configure, later

ROUTES = """
  - name: deal.update
    match: {method: PATCH, path: "/deals/{id}"}
    lane: write
    locks: ["deal:{path.id}"]
  - name: refund.create
    match: {method: POST, path: /refunds}
    lane: high_risk
    locks: ["charge:{body.charge}"]
    intent: {key: "{body.charge} {body.amount}", explicit: ignore, window: 24h}
  - name: payout.create
    match: {method: POST, path: /payouts}
    lane: write
    intent: {explicit: require}
"""
RUN = {"X-Agent-Run": "run-7", "X-Agent-Workflow": "dunning"}


def is_problem(got: Got, status: int, code: str, route: str) -> None:
    assert got.status == status
    assert got.headers["Content-Type"] == "application/problem+json"
    problem = got.json
    assert problem["type"] == f"urn:sidecar:{code}"
    assert (problem["code"], problem["status"], problem["route"]) == (code, status, route)
    assert problem["title"]
    assert len(problem["detail"]) > 40
    assert isinstance(problem["retryable"], bool)
    assert got.headers["Sidecar-Verdict"].startswith("refused; call=")
    assert f"; route={route}" in got.headers["Sidecar-Verdict"]
    assert f"; reason={code}" in got.headers["Sidecar-Verdict"]
    assert "agent-sidecar; error=" in got.headers["Proxy-Status"]


async def test_a_locked_record_names_its_holder_and_when_to_come_back(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool, ROUTES, "lanes: {write: {wait: 100ms}}\n"))
    tool.hold()
    holder = later(ask(sidecar, "PATCH", "http://crm.test/deals/1", {"n": 1}, headers=RUN))
    await tool.got(1)
    got = await ask(sidecar, "PATCH", "http://crm.test/deals/1", {"n": 2})
    is_problem(got, 409, "locked", "deal.update")
    assert got.json["holder_run"] == "run-7"
    assert got.json["blocked_by"] == "lock:deal:1"
    assert got.json["retry_after_ms"] > 0
    assert int(got.headers["Retry-After"]) >= 1
    assert "run-7" in got.json["detail"]
    tool.release()
    await holder


async def test_a_running_twin_is_named_when_the_wait_ends(tool: Tool, start: Start, tmp_path: Path) -> None:
    sidecar = await start(configure(tmp_path, tool, ROUTES, "lanes: {high_risk: {wait: 100ms}}\n"))
    tool.hold()
    refund = {"charge": "ch_1", "amount": 5}
    first = later(ask(sidecar, "POST", "http://crm.test/refunds", refund, headers=RUN))
    await tool.got(1)
    got = await ask(sidecar, "POST", "http://crm.test/refunds", refund)
    is_problem(got, 409, "in-progress", "refund.create")
    assert got.json["holder_run"] == "run-7"
    tool.release()
    await first


async def test_a_full_cap_is_named_when_the_wait_ends(tool: Tool, start: Start, tmp_path: Path) -> None:
    process = "caps: {per_tenant: 1}\nlanes: {write: {wait: 100ms}}\n"
    sidecar = await start(configure(tmp_path, tool, ROUTES, process))
    tool.hold()
    tenant = {"X-Agent-Tenant": "acme"}
    first = later(ask(sidecar, "PATCH", "http://crm.test/deals/1", {"n": 1}, headers=tenant))
    await tool.got(1)
    got = await ask(sidecar, "PATCH", "http://crm.test/deals/2", {"n": 1}, headers=tenant)
    is_problem(got, 429, "cap-timeout", "deal.update")
    assert got.json["blocked_by"] == "cap:tenant:acme"
    assert int(got.headers["Retry-After"]) >= 1
    tool.release()
    await first


async def test_a_full_waiting_room_refuses_at_once(tool: Tool, start: Start, tmp_path: Path) -> None:
    sidecar = await start(
        configure(tmp_path, tool, ROUTES, "caps: {global: 1}\nqueue: {per_tenant: 1, total: 10}\n")
    )
    tool.hold()
    calls = [later(ask(sidecar, "PATCH", f"http://crm.test/deals/{n}", {"n": 1})) for n in range(3)]
    done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED, timeout=10)
    (full,) = done
    is_problem(full.result(), 429, "queue-full", "deal.update")
    tool.release()
    assert sorted(call.status for call in await asyncio.gather(*calls)) == [200, 200, 429]


async def test_a_key_that_cannot_be_derived_is_refused_and_never_guessed(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool, ROUTES))
    got = await ask(sidecar, "POST", "http://crm.test/refunds", {"amount": 5})
    is_problem(got, 422, "key-underivable", "refund.create")
    assert "body.charge" in got.json["detail"]
    assert tool.seen == []


async def test_a_required_key_that_is_missing_is_a_bad_request(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool, ROUTES))
    got = await ask(sidecar, "POST", "http://crm.test/payouts", {"amount": 5})
    is_problem(got, 400, "bad-request", "payout.create")
    with_key = await ask(
        sidecar, "POST", "http://crm.test/payouts", {"amount": 5}, headers={"Idempotency-Key": "k"}
    )
    assert with_key.status == 200


async def test_a_body_past_what_a_route_may_look_into_is_refused(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool, ROUTES))
    large = io.BytesIO(b'{"charge": "' + b"x" * (1 << 21) + b'"}')
    got = await ask(sidecar, "POST", "http://crm.test/refunds", data=large)
    assert (got.status, got.json["code"]) == (413, "body-too-large")
    assert tool.seen == []


async def test_a_destination_that_is_not_allowed_is_named(tool: Tool, start: Start, tmp_path: Path) -> None:
    sidecar = await start(configure(tmp_path, tool, ROUTES))
    for url in (
        "http://169.254.169.254/latest",
        "http://[::ffff:169.254.169.254]/",
        "http://2852039166/",
        "http://10.0.0.1/",
    ):
        got = await ask(sidecar, "GET", url)
        assert (got.status, got.json["code"]) == (403, "egress-denied")


async def test_a_granted_call_says_so(tool: Tool, start: Start, tmp_path: Path) -> None:
    sidecar = await start(configure(tmp_path, tool, ROUTES))
    got = await ask(sidecar, "PATCH", "http://crm.test/deals/1", {"n": 1})
    verdict = got.headers["Sidecar-Verdict"]
    assert verdict.startswith("executed; call=c")
    assert "; route=deal.update; wait=" in verdict
    assert "; fence=" in verdict
