"""Stripe's own SDK against localstripe, a stateful fake that nobody here wrote and that knows no idempotency keys."""

import asyncio
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web

from tests.e2e.conftest import Start
from tests.e2e.harness import CLEAN_ENV, Seen, Sidecar, Tool, admin, drop
from tests.e2e.harness import configure as configure_crm
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


async def charged(localstripe: str, count: int = 1) -> list[str]:
    """Ids of charges of 100, to be refunded."""
    token = await straight("POST", f"{localstripe}/v1/tokens", CARD)
    customer = await straight("POST", f"{localstripe}/v1/customers", {"source": token["id"]})
    fields = {"amount": "100", "currency": "usd", "customer": customer["id"]}
    made = [await straight("POST", f"{localstripe}/v1/charges", fields) for _ in range(count)]
    return [charge["id"] for charge in made]


async def test_a_refund_whose_response_was_lost_is_made_once_however_often_the_agent_runs(
    localstripe: str, tool: Tool, start: Start, tmp_path: Path
) -> None:
    (charge,) = await charged(localstripe)

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
    (charge,) = await charged(localstripe)
    tool.port = int(localstripe.rpartition(":")[2])
    sidecar = await started(start, configure(tmp_path, tool, "api.stripe.com"))
    command = (sys.executable, "-c", REFUND, charge)
    both = await asyncio.gather(*(agent(sidecar, *command, shim=True) for _ in range(2)))
    assert [out for _, out, _ in both] == ["refund\n", "refund\n"], both
    assert len((await straight("GET", f"{localstripe}/v1/refunds"))["data"]) == 1


class Losing:
    """localstripe behind a network that loses requests and responses: a third of them each."""

    def __init__(self, localstripe: str, session: aiohttp.ClientSession) -> None:
        self.localstripe = localstripe
        self.session = session
        self.random = Random(7)
        self.lost = Counter[str]()

    async def react(self, seen: Seen, request: web.Request) -> web.StreamResponse:
        fate = self.random.choice(["comes", "request", "response"])
        self.lost[f"{seen.method} {fate}"] += 1
        if fate == "request":
            return await drop(seen, request)
        kept = {
            name: value for name, value in seen.headers.items() if name in ("Authorization", "Content-Type")
        }
        url = self.localstripe + seen.path
        async with self.session.request(seen.method, url, data=seen.body, headers=kept) as answer:
            body = await answer.read()
        if fate == "response":
            return await drop(seen, request)
        return web.Response(status=answer.status, body=body, content_type="application/json")


def stripe_config(folder: Path, tool: Tool) -> Path:
    """The route file as it is shipped, at another address and with less patience."""
    configure_crm(folder, tool, process="lanes: {high_risk: {cap: 20, wait: 20s}}\ncaps: {global: 40}\n")
    (folder / "routes" / "crm.yaml").unlink()
    text = (Path(__file__).parents[2] / "config" / "routes" / "stripe.yaml").read_text()
    text = text.replace("upstream: https://api.stripe.com", f"upstream: {tool.url}")
    text = text.replace("timeout: 80s", "timeout: 3s")
    text = text.replace("lag: 5s", "lag: 0\n        backoff: 200ms\n        timeout: 1s")
    text = text.replace("high_risk: 4", "high_risk: 20")
    (folder / "routes" / "stripe.yaml").write_text(text)
    return folder


async def refunded(session: aiohttp.ClientSession, sidecar: Sidecar, run: str, charge: str) -> str:
    """One agent's refund, asked for until it gets an answer; each try has a key of its own, as SDKs mint them."""
    async with asyncio.timeout(600):
        while True:
            headers = AUTH | {"Idempotency-Key": str(uuid4()), "X-Agent-Run": run}
            fields = {"charge": charge, "amount": "40"}
            async with session.post(
                "http://api.stripe.com/v1/refunds", data=fields, headers=headers, proxy=sidecar.proxy
            ) as answer:
                said = await answer.json(content_type=None)
                if answer.status == 200:
                    assert said["charge"] == charge
                    return str(said["id"])
                assert said["code"] in ("upstream-failed", "outcome-unknown", "upstream-timeout"), said
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("count", [8, pytest.param(500, marks=pytest.mark.slow)])
async def test_of_refunds_whose_requests_and_responses_are_lost_at_random_each_is_made_once(
    localstripe: str, tool: Tool, start: Start, tmp_path: Path, count: int
) -> None:
    charges = await charged(localstripe, count)
    few = asyncio.Semaphore(20)
    async with aiohttp.ClientSession() as session, aiohttp.ClientSession() as network:
        losing = Losing(localstripe, network)
        tool.react = losing.react
        stripe_config(tmp_path, tool)
        sidecars = [await start(), await start()]

        async def both(charge: str) -> None:
            async with few:
                agents = zip(sidecars, ("r1", "r2"), strict=True)
                said = await asyncio.gather(
                    *(refunded(session, sidecar, run, charge) for sidecar, run in agents)
                )
                assert len(set(said)) == 1, "both agents hear of the same refund"

        await asyncio.gather(*map(both, charges))
        for charge in charges:
            found = await straight("GET", f"{localstripe}/v1/refunds?charge={charge}")
            assert [refund["amount"] for refund in found["data"]] == [40]
    assert min(losing.lost["POST request"], losing.lost["POST response"]) > 0, losing.lost
    for sidecar in sidecars:
        assert (await admin(sidecar, "/unknown")).json == {"items": []}
