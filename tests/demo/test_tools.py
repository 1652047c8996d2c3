"""The sample tools as real processes: what they count is what reached them."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from sidecar.demo.child import Child
from sidecar.tasks import spawn

Start = Any


class Tool:
    """A running tool and a client for it."""

    def __init__(self, child: Child, url: str, session: aiohttp.ClientSession) -> None:
        self.child, self.url, self.session = child, url, session

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        async with self.session.request(method, self.url + path, json=body) as answer:
            return await answer.json()

    async def counts(self) -> Any:
        return (await self.ask("GET", "/tally"))["counts"]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    children = []
    async with aiohttp.ClientSession() as session:

        async def start(name: str, *quirks: dict[str, Any], slots: int = 4) -> Tool:
            options = json.dumps({"slots": slots, "latency_s": 0.0, "quirks": quirks})
            command = (sys.executable, "-m", "sidecar.demo.tools", name, options)
            child = await Child.start(name, *command, env={}, heard=lambda _: None)
            children.append(child)
            port = (await child.first(event="ready"))["port"]
            return Tool(child, f"http://127.0.0.1:{port}", session)

        yield start
    for child in children:
        await child.stop(2)


async def test_the_crm_counts_a_lost_update_and_lets_it_happen(start: Start) -> None:
    crm = await start("crm")
    seen = await crm.ask("GET", "/leads/lead-1")
    assert (seen["version"], seen["stage"]) == (1, "new")
    for stage in ("won", "qualified"):
        await crm.ask("PATCH", "/leads/lead-1", {"based_on": 1, "properties": {"stage": stage}})
    assert (await crm.ask("GET", "/leads/lead-1"))["stage"] == "qualified"
    assert await crm.counts() == {"lost-update": 1}


async def test_the_crm_counts_writes_of_any_kind_that_overlap_on_one_lead(start: Start) -> None:
    crm = await start("crm", {"record": "lead-1", "latency_s": 30, "nth": 1})
    slow = spawn(crm.ask("POST", "/leads/lead-1/notes", {"text": "hi"}), "a call")
    await crm.child.first(event="arrived", record="lead-1", nth=1)
    await crm.ask("PATCH", "/leads/lead-1", {"based_on": 1, "properties": {"stage": "won"}})
    await crm.ask("PATCH", "/leads/lead-2", {"based_on": 1, "properties": {"stage": "won"}})
    assert await crm.counts() == {"overlap": 1}
    slow.cancel()


async def test_a_lost_response_is_work_done(start: Start) -> None:
    billing = await start("billing", {"record": "inv-1", "latency_s": 0, "nth": 1, "lose": True})
    with pytest.raises(aiohttp.ClientError):
        await billing.ask("POST", "/charges", {"invoice": "inv-1", "amount": 5})
    assert (await billing.ask("GET", "/tally"))["work"] == 1
    await billing.ask("POST", "/charges", {"invoice": "inv-1", "amount": 5})
    assert await billing.counts() == {"duplicate-charge": 1}


async def test_a_client_that_hung_up_stops_no_work(start: Start) -> None:
    billing = await start("billing", {"record": "inv-1", "latency_s": 0.3})
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(billing.ask("POST", "/charges", {"invoice": "inv-1", "amount": 5}), 0.1)
    await billing.child.first(event="applied", record="inv-1")
    assert (await billing.ask("GET", "/tally"))["work"] == 1


async def test_the_same_mail_to_the_same_person_is_a_duplicate_and_another_subject_is_not(
    start: Start,
) -> None:
    email = await start("email")
    for subject in ("Hello", "Hello", "Goodbye"):
        await email.ask("POST", "/emails", {"to": "ada@example.com", "subject": subject, "text": "x"})
    assert await email.counts() == {"duplicate-email": 1}


async def test_a_tool_serves_only_so_many_calls_at_once(start: Start) -> None:
    crm = await start("crm", {"record": "lead-1", "latency_s": 30}, slots=1)
    body = {"based_on": 1, "properties": {"stage": "won"}}
    first = spawn(crm.ask("PATCH", "/leads/lead-1", body), "a call")
    await crm.child.first(event="arrived", record="lead-1")
    second = spawn(crm.ask("PATCH", "/leads/lead-2", body), "a call")
    await crm.child.first(event="arrived", record="lead-2")
    assert (await crm.ask("GET", "/tally"))["work"] == 0
    assert not second.done()
    first.cancel()
    second.cancel()


async def test_a_tool_does_not_outlive_the_demo(start: Start) -> None:
    crm = await start("crm")
    crm.child._process.stdin.close()
    assert await asyncio.wait_for(crm.child.ended(), 10) == 0
