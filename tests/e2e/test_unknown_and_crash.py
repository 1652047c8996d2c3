"""Promises 3 and 4: unknown is a state, and the dead keep nothing past their lease."""

import asyncio
import signal
from pathlib import Path

from tests.e2e.conftest import Start
from tests.e2e.harness import Tool, ask, configure, later

SHORT_LEASE = "store: {url: embedded, lease: 2s}\n"


async def test_a_killed_sidecar_leaves_unknown_frees_its_slots_and_nobody_sends_again(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, process=SHORT_LEASE + "caps: {global: 1}\n", tool_fields="timeout: 3s")
    victim, survivor = await start(), await start()
    tool.hold()
    doomed = later(ask(victim, "POST", "http://crm.test/charges", {"amount": 5}))
    await tool.got(1)
    await victim.kill()
    await asyncio.gather(doomed, return_exceptions=True)
    tool.release()

    other = await ask(survivor, "POST", "http://crm.test/notes", {"text": "hi"})  # waits for the only slot
    assert other.status == 200
    retry = await ask(survivor, "POST", "http://crm.test/charges", {"amount": 5})
    assert (retry.status, retry.json["code"]) == (409, "outcome-unknown")
    assert [seen.path for seen in tool.seen] == ["/charges", "/notes"]


async def test_the_record_a_dead_call_touched_is_quarantined_until_its_deadline(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(
        tmp_path, tool, process=SHORT_LEASE + "lanes: {write: {wait: 200ms}}\n", tool_fields="timeout: 6s"
    )
    victim, survivor = await start(), await start()
    tool.hold()
    doomed = later(ask(victim, "PATCH", "http://crm.test/deals/1", {"stage": "won"}))
    await tool.got(1)
    await victim.kill()
    await asyncio.gather(doomed, return_exceptions=True)
    tool.release()
    refused = await ask(survivor, "PATCH", "http://crm.test/deals/1", {"stage": "lost"})
    assert refused.json["code"] == "locked"
    async with asyncio.timeout(15):
        while (
            got := await ask(survivor, "PATCH", "http://crm.test/deals/1", {"stage": "lost"})
        ).status == 409:
            assert got.json["code"] == "locked"
    assert got.status == 200


async def test_a_paused_sidecar_does_not_disturb_who_came_after_it(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, process=SHORT_LEASE, tool_fields="timeout: 3s")
    paused, other = await start(), await start()
    tool.hold()
    stuck = later(ask(paused, "PATCH", "http://crm.test/deals/1", {"stage": "won"}))
    await tool.got(1)
    paused.process.send_signal(signal.SIGSTOP)
    second = later(ask(other, "PATCH", "http://crm.test/deals/1", {"stage": "lost"}))
    await tool.got(2)  # the lease lapsed, the quarantine ended, the next one went
    paused.process.send_signal(signal.SIGCONT)
    tool.release()
    assert (await second).status == 200
    await stuck
    third = await ask(other, "PATCH", "http://crm.test/deals/1", {"stage": "won"})
    assert (third.status, third.json["code"]) == (409, "outcome-unknown")
