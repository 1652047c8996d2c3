"""What was done by one door of a tool is not done again by another."""

import asyncio
from pathlib import Path

from tests.e2e.conftest import Start
from tests.e2e.harness import Tool, ask, configure, drop, later

ROUTES = """
  - name: contact.create
    match: {method: POST, path: /contacts}
    lane: write
    locks: ["contact:{body.email|lower}"]
    intent: {key: "{body.email|lower}", group: contact.add, window: 10m}
  - name: contact.upsert
    match: {method: PUT, path: "/contacts/{email}"}
    lane: write
    locks: ["contact:{path.email|lower}"]
    intent: {key: "{path.email|lower}", group: contact.add, window: 10m}
"""
CONTACTS = "http://crm.test/contacts"


async def test_a_replanned_agent_cannot_create_by_upsert_what_it_created_by_post(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, ROUTES)
    here, there = await start(), await start()
    first = await ask(here, "POST", CONTACTS, {"email": "Ada@x.test"})
    again = await ask(there, "PUT", f"{CONTACTS}/ada@x.test", {"name": "Ada"})
    assert (first.verdict, again.verdict) == ("executed", "replayed")
    assert again.body == first.body  # what the first door answered
    assert (await ask(there, "PUT", f"{CONTACTS}/bob@x.test", {})).verdict == "executed"
    assert (await ask(here, "POST", CONTACTS, {"email": "bob@x.test"})).verdict == "replayed"
    assert [seen.method for seen in tool.seen] == ["POST", "PUT"]


async def test_the_other_door_joins_a_running_call(tool: Tool, start: Start, tmp_path: Path) -> None:
    sidecar = await start(configure(tmp_path, tool, ROUTES))
    tool.hold()
    first = later(ask(sidecar, "POST", CONTACTS, {"email": "ada@x.test"}))
    await tool.got(1)
    twin = later(ask(sidecar, "PUT", f"{CONTACTS}/ada@x.test", {}))
    await asyncio.sleep(0.3)  # time in which it would arrive, if it did
    tool.release()
    assert ((await first).verdict, (await twin).verdict) == ("executed", "joined")
    assert len(tool.seen) == 1


async def test_what_one_door_may_have_done_is_not_tried_by_the_other_though_it_replaces(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool, ROUTES))
    tool.react = drop
    assert (await ask(sidecar, "POST", CONTACTS, {"email": "ada@x.test"})).status == 502
    got = await ask(sidecar, "PUT", f"{CONTACTS}/ada@x.test", {})
    assert (got.status, got.reason) == (409, "outcome-unknown")
    assert len(tool.seen) == 1
