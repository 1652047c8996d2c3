"""Stripe's own SDK against localstripe, a stateful fake that nobody here wrote and that knows no idempotency keys."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.e2e.conftest import Start
from tests.e2e.harness import CLEAN_ENV, Seen, Tool, drop
from tests.e2e.test_sdks import agent, configure, started

AUTH = {"Authorization": "Bearer sk_test_1"}
CARD = {
    "card[number]": "4242424242424242",
    "card[exp_month]": "12",
    "card[exp_year]": "2099",
    "card[cvc]": "123",
}
REFUND = """
import stripe, sys
stripe.api_key = "sk_test_1"
stripe.max_network_retries = 2
try:
    print(stripe.Refund.create(charge=sys.argv[1], amount=40).object)
except stripe.StripeError as error:
    print(error.json_body["code"], error.http_status)
"""


@pytest.fixture
async def localstripe() -> AsyncIterator[str]:
    """Its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = str(Path(sys.executable).with_name("localstripe"))
    process = await asyncio.create_subprocess_exec(
        *(program, "--port", str(port), "--from-scratch"),
        env=CLEAN_ENV,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    async with asyncio.timeout(30):
        while not await reachable(url):
            assert process.returncode is None, "localstripe did not start"
            await asyncio.sleep(0.1)
    yield url
    process.kill()
    await process.communicate()


async def reachable(url: str) -> bool:
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{url}/v1/refunds", headers=AUTH) as answer,
        ):
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def straight(method: str, url: str, fields: Mapping[str, str] | None = None) -> Any:
    """What localstripe says to somebody who asks it himself."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, data=fields, headers=AUTH) as answer,
    ):
        return await answer.json()


async def charged(localstripe: str) -> str:
    """The id of a charge of 100, to be refunded."""
    token = await straight("POST", f"{localstripe}/v1/tokens", CARD)
    customer = await straight("POST", f"{localstripe}/v1/customers", {"source": token["id"]})
    fields = {"amount": "100", "currency": "usd", "customer": customer["id"]}
    return str((await straight("POST", f"{localstripe}/v1/charges", fields))["id"])


async def test_a_refund_whose_response_was_lost_is_made_once_however_often_the_agent_runs(
    localstripe: str, tool: Tool, start: Start, tmp_path: Path
) -> None:
    charge = await charged(localstripe)

    async def lose(seen: Seen, request: web.Request) -> web.StreamResponse:
        kept = {
            name: value for name, value in seen.headers.items() if name in ("Authorization", "Content-Type")
        }
        async with aiohttp.ClientSession() as session:
            await session.request(seen.method, localstripe + seen.path, data=seen.body, headers=kept)
        return await drop(seen, request)

    tool.react = lose
    told = 'clients: [{user_agent: "Stripe/*", header: Stripe-Should-Retry}]'
    sidecar = await started(start, configure(tmp_path, tool, "api.stripe.com", told))
    said = []
    for _ in range(2):  # the agent's framework runs the tool again; the SDK mints a fresh key
        status, out, err = await agent(sidecar, sys.executable, "-c", REFUND, charge, shim=True)
        assert status == 0, err
        said.append(out.strip())
    assert said == ["upstream-failed 502", "outcome-unknown 409"]
    assert [refund["amount"] for refund in (await straight("GET", f"{localstripe}/v1/refunds"))["data"]] == [
        40
    ]


async def test_two_runs_that_refund_at_once_make_one_refund(
    localstripe: str, tool: Tool, start: Start, tmp_path: Path
) -> None:
    charge = await charged(localstripe)
    tool.port = int(localstripe.rpartition(":")[2])
    sidecar = await started(start, configure(tmp_path, tool, "api.stripe.com"))
    command = (sys.executable, "-c", REFUND, charge)
    both = await asyncio.gather(*(agent(sidecar, *command, shim=True) for _ in range(2)))
    assert [out for _, out, _ in both] == ["refund\n", "refund\n"], both
    assert len((await straight("GET", f"{localstripe}/v1/refunds"))["data"]) == 1
