"""Start, reload, drain, stop: nothing is lost and nothing is granted on the way out."""

import asyncio
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.conftest import Start
from tests.e2e.harness import Tool, admin, ask, configure, later

RENAMED = """
  - name: {name}
    match: {{method: POST, path: /notes}}
    lane: write
"""


async def test_a_changed_file_is_taken_up_and_a_broken_one_leaves_the_last_good_one(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool, RENAMED.format(name="note.first")))
    first = await ask(sidecar, "POST", "http://crm.test/notes", {"n": 1})
    assert "route=note.first" in first.headers["Sidecar-Verdict"]

    configure(tmp_path, tool, RENAMED.format(name="note.second"))
    await sidecar.said("reloaded")
    second = await ask(sidecar, "POST", "http://crm.test/notes", {"n": 2})
    assert "route=note.second" in second.headers["Sidecar-Verdict"]

    configure(tmp_path, tool, RENAMED.format(name="note.third").replace("lane:", "lain:"))
    await sidecar.said("did you mean 'lane'?")
    third = await ask(sidecar, "POST", "http://crm.test/notes", {"n": 3})
    assert "route=note.second" in third.headers["Sidecar-Verdict"]


async def test_sighup_reloads(tool: Tool, start: Start, tmp_path: Path) -> None:
    sidecar = await start(configure(tmp_path, tool))
    sidecar.process.send_signal(signal.SIGHUP)
    await sidecar.said("reloaded")
    assert (await admin(sidecar, "/readyz")).status == 200


async def test_a_bad_config_does_not_start(tool: Tool, start: Start, tmp_path: Path) -> None:
    configure(tmp_path, tool, RENAMED.format(name="x").replace("lane:", "lain:"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "run", "--config", str(tmp_path)),
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert "crm.yaml:" in err.decode()
    assert "did you mean 'lane'?" in err.decode()


async def test_sigterm_finishes_what_is_in_flight_and_admits_nothing_new(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool))
    tool.hold()
    running = later(ask(sidecar, "POST", "http://crm.test/notes", {"n": 1}))
    await tool.got(1)
    sidecar.process.send_signal(signal.SIGTERM)
    await sidecar.said("draining")
    with pytest.raises(aiohttp.ClientConnectionError):
        await ask(sidecar, "POST", "http://crm.test/notes", {"n": 2})
    tool.release()
    assert (await running).status == 200
    assert len(tool.seen) == 1
    assert await asyncio.wait_for(sidecar.process.wait(), 20) == 0


async def test_a_call_that_outlasts_the_drain_is_broken_off_and_on_record_as_unknown(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, process="drain: 200ms\n")
    leaving, staying = await start(), await start()
    tool.hold()
    broken = later(ask(leaving, "POST", "http://crm.test/notes", {"n": 1}))
    await tool.got(1)
    assert await leaving.stop() == 0
    await asyncio.gather(broken, return_exceptions=True)
    tool.release()
    retry = await ask(staying, "POST", "http://crm.test/notes", {"n": 1})
    assert (retry.status, retry.json["code"]) == (409, "outcome-unknown")
    assert len(tool.seen) == 1


async def test_the_embedded_store_outlives_one_sidecar_and_ends_with_the_last(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool)
    one, two = await start(), await start()
    first = await ask(one, "POST", "http://crm.test/notes", {"n": 1})
    assert await one.stop() == 0
    again = await ask(two, "POST", "http://crm.test/notes", {"n": 1})
    assert (again.verdict, again.body) == ("replayed", first.body)
    assert await two.stop() == 0
    three = await start()
    later = await ask(three, "POST", "http://crm.test/notes", {"n": 1})
    assert (later.verdict, later.body) == ("replayed", first.body)  # from the append-only file


async def test_ready_and_healthy_are_said_apart(tool: Tool, start: Start, tmp_path: Path) -> None:
    sidecar = await start(configure(tmp_path, tool))
    assert (await admin(sidecar, "/healthz")).status == 200
    assert (await admin(sidecar, "/readyz")).status == 200
    metrics = (await admin(sidecar, "/metrics")).body.decode()
    assert "sidecar_store_up 1" in metrics
