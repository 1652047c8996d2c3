"""Runs that read, think and write one record: over sockets, on two sidecars, the effect counted at the upstream."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.e2e.conftest import Start
from tests.e2e.harness import CLEAN_ENV, Got, Seen, Sidecar, Tool, admin, ask, configure, drop, later

ROUTES = """
  - name: account.read
    match: {method: GET, path: "/accounts/{id}"}
    lane: read
    locks: [{key: "account:{path.id}", hold: run, idle: 30s}]
  - name: account.update
    match: {method: PATCH, path: "/accounts/{id}"}
    lane: write
    locks: [{key: "account:{path.id}", hold: run, idle: 30s}]
    intent: none
  - name: account.note
    match: {method: POST, path: "/accounts/{id}/notes"}
    lane: write
    locks: ["account:{path.id}"]
  - name: brief.update
    match: {method: PUT, path: "/accounts/{id}"}
    lane: write
    locks: [{key: "account:{path.id}", hold: run, idle: 1s}]
    intent: none
"""
FRESH = """
  - name: deal.read
    match: {method: GET, path: "/deals/{id}"}
    observes: ["deal:{path.id}"]
  - name: deal.update
    match: {method: PATCH, path: "/deals/{id}"}
    locks: ["deal:{path.id}"]
    fresh: ["deal:{path.id}"]
    intent: none
"""
TOKEN = {"SIDECAR_ADMIN_TOKEN": "secret"}
BEARER = {"Authorization": "Bearer secret"}
SHORT = "lanes: {write: {wait: 200ms}, read: {wait: 200ms}}\n"
ONE = "http://crm.test/accounts/1"


class Record:
    """A record that keeps what was last written to it: who writes on an old read loses somebody's update."""

    def __init__(self, tool: Tool) -> None:
        self.count = 0
        self.now = 0
        self.most = 0
        tool.react = self.react

    async def react(self, seen: Seen, _request: web.Request) -> web.Response:
        if seen.method != "GET":
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0)
            self.count = seen.json["count"]
            self.now -= 1
        return web.json_response({"count": self.count})


def run(name: str, **others: str) -> dict[str, Any]:
    return {
        "headers": {"X-Agent-Run": name, **{key.replace("_", "-"): value for key, value in others.items()}}
    }


async def bump(sidecar: Sidecar, name: str, url: str, end: bool) -> None:
    """Read, think, write; and begin again with the read where the write is refused."""
    for _ in range(60):
        got = await ask(sidecar, "GET", url, **run(name))
        if got.status == 200:
            await asyncio.sleep(0.01)  # the model thinks: nothing is waited for
            last = {"X_Agent_Run_End": "true"} if end else {}
            wrote = await ask(sidecar, "PATCH", url, {"count": got.json["count"] + 1}, **run(name, **last))
            if wrote.status == 200:
                return
            assert wrote.json["code"] in ("stale-read", "locked"), wrote.body
    raise AssertionError(f"{name} never got through")


async def refused(sidecar: Sidecar, method: str, url: str, name: str, body: Any = None) -> Got:
    got = await ask(sidecar, method, url, body, **run(name))
    assert got.status in (409, 412, 422), got.body
    return got


@pytest.mark.parametrize(
    ("routes", "url", "end"),
    [(ROUTES, ONE, True), (FRESH, "http://crm.test/deals/1", False)],
    ids=["held", "fresh"],
)
async def test_runs_that_each_read_think_and_write_one_record_lose_no_update(
    tool: Tool, start: Start, tmp_path: Path, routes: str, url: str, end: bool
) -> None:
    configure(tmp_path, tool, routes)
    record = Record(tool)
    sidecars = [await start(), await start()]
    await asyncio.gather(*(bump(sidecars[n % 2], f"run-{n}", url, end) for n in range(8)))
    assert (record.count, record.most) == (8, 1)
    held = [item for item in (await admin(sidecars[0], "/leases")).json["items"] if item["locks"]]
    assert held == []


async def test_what_a_run_holds_is_seen_and_named_and_taken_back_by_a_person(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, ROUTES, process=SHORT)
    here, there = await start(env=TOKEN), await start(env=TOKEN)
    assert (await ask(here, "GET", ONE, **run("A"))).status == 200
    no = await refused(there, "POST", ONE + "/notes", "B", {"text": "hi"})
    assert (no.json["code"], no.json["holder_run"], no.json["blocked_by"]) == (
        "locked",
        "A",
        "lock:account:1",
    )
    assert "run A" in no.json["detail"]
    assert (await ask(here, "POST", ONE + "/notes", {"text": "mine"}, **run("A"))).status == 200

    (item,) = (await admin(there, "/leases")).json["items"]
    assert (item["state"], item["locks"], item["run"], item["route"]) == (
        "held",
        ["account:1"],
        "A",
        "account.read",
    )
    assert {"id": "A", "locks": ["account:1"], "calls": 0}.items() <= (await admin(there, "/runs")).json[
        "items"
    ][0].items()
    assert (await admin(there, f"/leases/{item['id']}", "DELETE")).status == 401
    by = {"by": "ada", "why": "stuck"}
    assert (await admin(there, f"/leases/{item['id']}", "DELETE", headers=BEARER, json=by)).status == 200
    told = await there.decided(decided="lease.release")
    assert (told["by"], told["why"], told["locks"]) == ("ada", "stuck", ["account:1"])
    assert (await ask(there, "GET", ONE, **run("B"))).status == 200
    assert (await admin(here, "/runs/A", "DELETE", headers=BEARER)).status == 404
    assert (await admin(here, "/runs/B", "DELETE", headers=BEARER)).json["locks"] == ["account:1"]
    assert (await admin(here, "/leases")).json["items"] == []


async def leases(sidecar: Sidecar, *words: str) -> tuple[int, str]:
    """``sidecar leases``: its exit status and all it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "leases", *words, "--admin", sidecar.admin),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=CLEAN_ENV | TOKEN,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_an_operator_lists_and_releases_from_a_terminal(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, ROUTES)
    sidecar = await start(env=TOKEN)
    assert await leases(sidecar, "list") == (0, "nothing is held\n")
    await ask(sidecar, "GET", ONE, **run("A"))
    code, said = await leases(sidecar, "list", "--json")
    (item,) = json.loads(said)["items"]
    assert code == 0
    code, said = await leases(sidecar, "list")
    assert (code, all(word in said for word in (item["id"], "held", "account:1", "A"))) == (0, True)
    assert await leases(sidecar, "release", item["id"], "--by", "ada") == (
        0,
        f"{item['id']} released: account:1\n",
    )
    assert (await sidecar.decided(decided="lease.release"))["by"] == "ada"
    code, said = await leases(sidecar, "release", item["id"])
    assert (code, "GET /leases lists" in said) == (1, True)


async def test_a_waiting_call_is_handed_the_lock_when_the_run_ends(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, ROUTES)
    here, there = await start(env=TOKEN), await start()
    await ask(here, "GET", ONE, **run("A"))
    waiting = later(ask(there, "PATCH", ONE, {"count": 1}, **run("B")))
    async with asyncio.timeout(10):
        while not (await admin(here, "/queues")).json["items"]:
            pass
    (line,) = (await admin(here, "/queues")).json["items"]
    assert [holder["run"] for holder in line["holders"]] == ["A"]
    assert (await admin(here, "/runs/A", "DELETE", headers=BEARER)).status == 200
    assert (await waiting).status == 200


@pytest.mark.parametrize(
    "url", ["http://crm.test/reports", "http://{tool}/elsewhere"], ids=["free", "unmatched"]
)
async def test_the_last_call_of_a_run_ends_it_whatever_its_route_and_its_header_stays_here(
    tool: Tool, start: Start, tmp_path: Path, url: str
) -> None:
    configure(tmp_path, tool, ROUTES, process=SHORT)
    sidecar = await start()
    await ask(sidecar, "GET", ONE, **run("A"))
    goal = url.format(tool=f"127.0.0.1:{tool.port}")
    assert (await ask(sidecar, "GET", goal, **run("A"))).status == 200
    assert (await refused(sidecar, "GET", ONE, "B")).json["code"] == "locked"
    assert (await ask(sidecar, "GET", goal, **run("A", X_Agent_Run_End="true"))).status == 200
    assert not [name for name in tool.seen[-1].headers if name.lower().startswith("x-agent")]
    assert (await ask(sidecar, "GET", ONE, **run("B"))).status == 200
    no = await ask(sidecar, "GET", ONE, **run("B", X_Agent_Run_End="yes"))
    assert (no.status, no.json["code"]) == (400, "bad-request")


async def test_a_route_that_holds_by_run_refuses_a_call_that_names_none(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, ROUTES)
    no = await ask(await start(), "GET", ONE)
    assert (no.status, no.json["code"]) == (422, "key-underivable")
    assert "X-Agent-Run" in no.json["detail"]
    assert tool.seen == []


async def test_an_idle_run_lets_go_and_a_busy_one_does_not(tool: Tool, start: Start, tmp_path: Path) -> None:
    configure(tmp_path, tool, ROUTES, process="lanes: {write: {wait: 20s}}\n")
    here, there = await start(), await start()
    loop = asyncio.get_running_loop()
    await ask(here, "PUT", ONE, {"count": 1}, **run("A"))
    waiting = later(ask(there, "PUT", ONE, {"count": 2}, **run("B")))
    ends = loop.time() + 2.5
    while loop.time() < ends:  # free reads keep it alive, each shorter than the idle time
        await ask(here, "GET", "http://crm.test/reports", **run("A"))
        assert not waiting.done()
        await asyncio.sleep(0.2)
    assert (await asyncio.wait_for(waiting, 6)).status == 200


async def test_a_killed_sidecars_run_lets_go_after_one_lease(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(
        tmp_path, tool, ROUTES, process="store: {url: embedded, lease: 2s}\nlanes: {write: {wait: 20s}}\n"
    )
    other = await start()
    victim = await start()
    await ask(victim, "PATCH", ONE, {"count": 1}, **run("A"))
    await asyncio.sleep(2.5)  # longer than the lease: it is kept
    waiting = later(ask(other, "PATCH", ONE, {"count": 2}, **run("B")))
    async with asyncio.timeout(10):
        while not (await admin(other, "/queues")).json["items"]:
            pass
    await victim.kill()
    assert (await asyncio.wait_for(waiting, 8)).status == 200


async def test_runs_that_want_what_each_other_holds_are_told_so_at_once(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, ROUTES, process="lanes: {write: {wait: 30s}}\n")
    here, there = await start(), await start()
    two = "http://crm.test/accounts/2"
    await ask(here, "GET", ONE, **run("A"))
    await ask(there, "GET", two, **run("B"))
    waiting = later(ask(here, "PATCH", two, {"count": 1}, **run("A")))
    async with asyncio.timeout(10):
        while not (await admin(here, "/queues")).json["items"]:
            pass
    no = await asyncio.wait_for(refused(there, "PATCH", ONE, "B", {"count": 1}), 5)
    assert (no.json["code"], no.json["holder_run"], no.json["blocked_by"]) == (
        "locked",
        "A",
        "lock:account:1",
    )
    assert "run A of workflow default waits for account:2, which run B" in no.json["detail"]
    assert (
        await ask(there, "GET", "http://crm.test/reports", **run("B", X_Agent_Run_End="true"))
    ).status == 200
    assert (await waiting).status == 200


async def test_a_write_on_a_stale_read_is_refused_with_who_and_when(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    configure(tmp_path, tool, FRESH)
    here, there = await start(), await start()
    deal = "http://crm.test/deals/1"
    await ask(here, "GET", deal, **run("A"))
    assert (await ask(there, "PATCH", deal, {"n": 1}, **run("B"))).status == 200
    no = await refused(here, "PATCH", deal, "A", {"n": 2})
    assert (no.status, no.json["code"], no.json["holder_run"]) == (412, "stale-read", "B")
    assert "run B of workflow default" in no.json["detail"]
    assert json.loads(tool.seen[-1].body) == {"n": 1}
    await ask(here, "GET", deal, **run("A"))
    assert (await ask(here, "PATCH", deal, {"n": 2}, **run("A"))).status == 200


async def digest(sidecar: Sidecar) -> object:
    """Of the configuration that it serves by."""
    return (await admin(sidecar, "/config")).json["digest"]


@pytest.mark.parametrize("fault", ["before connect", "after the request", "killed"])
async def test_a_fault_inside_a_held_run_leaves_one_effect_and_nobody_stuck(
    tool: Tool, start: Start, tmp_path: Path, fault: str
) -> None:
    """The record is with the run, then with the call that may still be running, and then with whoever waits."""
    process = "store: {url: embedded, lease: 1s}\nlanes: {write: {wait: 20s}}\n"
    configure(tmp_path, tool, ROUTES, process=process, tool_fields="timeout: 3s")
    other = await start()
    victim = await start()
    await ask(victim, "GET", ONE, **run("A"))
    if fault == "before connect":
        url = tool.url
        configure(tmp_path, "http://127.0.0.1:1", ROUTES, process=process, tool_fields="timeout: 3s")
        await victim.said("reloaded")
        got = await ask(victim, "PATCH", ONE, {"count": 1}, **run("A"))
        assert got.json["code"] == "upstream-unreachable"
        configure(tmp_path, url, ROUTES, process=process, tool_fields="timeout: 3s")
        async with victim.news:
            await victim.news.wait_for(lambda: sum("reloaded" in line for line in victim.stderr) == 2)
        while await digest(other) != await digest(victim):
            await asyncio.sleep(0.05)
        assert (
            await ask(victim, "PATCH", ONE, {"count": 1}, **run("A", X_Agent_Run_End="true"))
        ).status == 200
    elif fault == "after the request":
        tool.react = drop
        got = await ask(victim, "PATCH", ONE, {"count": 1}, **run("A", X_Agent_Run_End="true"))
        assert got.json["outcome"] == "unknown"
        tool.react = None
    else:
        tool.hold()
        doomed = later(ask(victim, "PATCH", ONE, {"count": 1}, **run("A")))
        await tool.got(2)
        await victim.kill()
        await asyncio.gather(doomed, return_exceptions=True)
        tool.release()
    assert (await asyncio.wait_for(ask(other, "PATCH", ONE, {"count": 2}, **run("B")), 10)).status == 200
    assert [seen.json["count"] for seen in tool.seen if seen.method == "PATCH"] == [1, 2]
    assert tool.overlaps == 0
