"""Promise 1: two calls that derive the same lock never have upstream requests in flight together."""

import asyncio
from pathlib import Path

from tests.e2e.conftest import Start
from tests.e2e.harness import Tool, ask, configure, later

DEALS = """
  - name: deal.update
    match: {method: PATCH, path: "/deals/{id}"}
    lane: write
    locks: ["deal:{path.id}"]
    intent: {key: "{path.id} {body}", window: 10m, until: change}
  - name: deals.batch
    match: {method: POST, path: /deals/batch}
    lane: write
    locks: ["deal:{body.inputs[*].id}"]
"""


async def test_writers_of_one_record_take_turns_across_sidecars(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, DEALS)
    sidecars = [await start(), await start()]
    got = await asyncio.gather(
        *(ask(sidecars[n % 2], "PATCH", "http://crm.test/deals/1", {"stage": n}) for n in range(12))
    )
    assert [it.status for it in got] == [200] * 12
    waited = [line for sidecar in sidecars for line in sidecar.decisions if line.get("blocked_by")]
    assert all(line["blocked_by"] == f"lock:{line['locks'][0]}" for line in waited)
    assert len(tool.seen) == 12
    assert tool.overlaps == 0


async def test_writers_of_two_records_do_not_wait_for_each_other(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, DEALS)
    sidecar = await start()
    tool.hold()
    asked = [later(ask(sidecar, "PATCH", f"http://crm.test/deals/{n}", {"stage": 1})) for n in (1, 2)]
    await tool.got(2)
    tool.release()
    assert {it.status for it in await asyncio.gather(*asked)} == {200}


async def test_a_batch_call_locks_every_record_it_names(tool: Tool, start: Start, tmp_path: Path) -> None:
    configure(tmp_path, tool, DEALS, process="lanes: {write: {wait: 100ms}}\n")
    sidecar = await start()
    tool.hold()
    batch = {"inputs": [{"id": "1"}, {"id": "2"}]}
    running = later(ask(sidecar, "POST", "http://crm.test/deals/batch", batch))
    await tool.got(1)
    for record in (1, 2):
        refused = await ask(sidecar, "PATCH", f"http://crm.test/deals/{record}", {"stage": 1})
        assert (refused.status, refused.json["code"]) == (409, "locked")
        assert refused.json["blocked_by"] == f"lock:deal:{record}"
    tool.release()
    assert (await running).status == 200
    assert (await ask(sidecar, "PATCH", "http://crm.test/deals/2", {"stage": 1})).status == 200
