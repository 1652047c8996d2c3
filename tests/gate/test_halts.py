"""What a person paused: every sidecar of the cell refuses it, and nothing that was granted after it is used."""

import asyncio
from math import inf

import pytest

from sidecar.core.refusal import Refusal
from sidecar.gate.gate import Gate
from sidecar.gate.lease import FREE, Ungated
from sidecar.gate.pauses import Pauses, packed
from tests.conftest import Serve
from tests.gate.conftest import Gates, Open
from tests.gate.scripts import Scripts, claim
from tests.gate.test_gate import DONE, held, refused, soon, waiting


async def until(gate: Gate, place: str, known: bool = True) -> None:
    async with asyncio.timeout(10):
        while (place in gate.paused) != known:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("kind", "name"), [("tool", "crm"), ("tenant", "acme"), ("workflow", "dunning"), ("lane", "write")]
)
async def test_what_is_paused_is_refused_by_every_sidecar_until_it_is_resumed(
    open_gate: Open, kind: str, name: str
) -> None:
    here, there = await open_gate(), await open_gate()
    await here.people.halt(kind, name, "ada", "duplicate refunds.", 0)
    await until(there, f"{kind}:{name}")
    for gate in (here, there):
        no = await refused(gate, claim("c1", "x", wait_ms=10_000))
        assert (no.code, no.blocked_by, no.wait_ms) == ("tool-paused", f"pause:{kind}:{name}", 0)
        assert no.retry_after_ms == 60_000
        assert (
            f"{kind.capitalize()} {name} is paused until a person resumes it, by ada: duplicate refunds."
            in no.detail
        )
        assert (await refused(gate, claim("free"))).code == "tool-paused"
    assert await there.people.resume(kind, name)
    await until(here, f"{kind}:{name}", False)
    assert await here.admit(claim("free")) is FREE
    await (await held(there, claim("c2", "x"))).settle(DONE)
    assert not await there.people.resume(kind, name)


async def test_others_go_on(open_gate: Open) -> None:
    gate = await open_gate()
    await gate.people.halt("tenant", "other", "ada", "", 0)
    assert await gate.admit(claim("free")) is FREE
    await (await held(gate, claim("c1", "x"))).settle(DONE)


async def test_a_sidecar_that_starts_later_knows(open_gate: Open) -> None:
    await (await open_gate()).people.halt("tool", "crm", "ada", "why", 0)
    assert (await refused(await open_gate(), claim("free"))).code == "tool-paused"


async def test_calls_in_flight_go_on_and_those_in_line_are_refused_within_a_second(open_gate: Open) -> None:
    gate, other = await open_gate(), await open_gate()
    running = await held(gate, claim("c1", "x", ("a",)))
    waits = [soon(refused(gate, claim(f"w{n}", None, ("a",)))) for n in range(3)]
    await waiting(gate, 3)
    await other.people.halt("tenant", "acme", "ada", "", 0)
    async with asyncio.timeout(1):
        assert {(await no).blocked_by for no in waits} == {"pause:tenant:acme"}
    running.sending()
    await running.settle(DONE)
    async with asyncio.timeout(5):
        while await gate.people.queues():
            await asyncio.sleep(0.01)
    await other.people.resume("tenant", "acme")
    await until(gate, "tenant:acme", False)
    await (await held(gate, claim("c2", "y", ("a",)))).settle(DONE)


async def test_a_pause_that_ends_within_the_callers_patience_is_waited_out(open_gate: Open) -> None:
    gate = await open_gate()
    await gate.people.halt("lane", "write", "ada", "", 300)
    assert (await refused(gate, claim("c1", "x", wait_ms=100))).retry_after_ms in range(1, 301)
    lease = await held(gate, claim("c2", "x", wait_ms=5_000))
    assert 100 < lease.wait_ms < 2_000
    await lease.settle(DONE)
    assert not gate.paused


async def test_who_waits_a_pause_out_goes_when_it_is_resumed(open_gate: Open) -> None:
    gate = await open_gate()
    await gate.people.halt("lane", "write", "ada", "", 60_000)
    call = soon(held(gate, claim("c1", "x", wait_ms=600_000)))
    await asyncio.sleep(0)
    await gate.people.resume("lane", "write")
    async with asyncio.timeout(5):
        await (await call).settle(DONE)


async def test_an_upstreams_own_pause_is_another_and_outlives_a_persons(open_gate: Open) -> None:
    gate = await open_gate()
    await gate.turned_away(claim("c1"), 60_000)
    await gate.people.halt("tool", "crm", "ada", "", 0)
    assert (await refused(gate, claim("c2", "x"))).blocked_by == "pause:tool:crm"
    assert gate.paused_tools() == {"crm"}
    assert gate.paused_by_people() == {"tool": 1, "tenant": 0, "workflow": 0, "lane": 0}
    items = {str(item["id"]): item for item in await gate.people.pauses()}
    assert set(items) == {"tool:crm", "pause:crm"}
    assert items["pause:crm"]["by"] == "upstream"
    await gate.people.resume("tool", "crm")
    await until(gate, "tool:crm", False)
    assert (await refused(gate, claim("c3", "x", wait_ms=10))).blocked_by == "pause:crm"


async def test_a_grant_that_was_given_after_a_pause_is_given_back_unused(open_gate: Open) -> None:
    gate = await open_gate()
    pausing = soon(gate.people.halt("tool", "crm", "ada", "", 0))
    asking = soon(
        refused(gate, claim("c1", "x", ("a",)))
    )  # it leaves with the pause, and nobody has heard of it yet
    await pausing
    assert (await asking).blocked_by == "pause:tool:crm"
    assert await gate.drain(5)
    assert await gate.people.leases() == []
    assert gate._store.fence_seen == 0
    await gate.people.resume("tool", "crm")
    await until(gate, "tool:crm", False)
    assert (await held(gate, claim("c2", "x", ("a",)))).fence > 1  # so it was granted


async def test_the_last_known_pauses_hold_while_the_store_is_away(serve: Serve) -> None:
    server = serve(None)
    await server.start()
    async with Gates(server) as opened:
        gate = await opened()
        await gate.people.halt("tool", "crm", "ada", "", 0)
        await server.kill()
        async with asyncio.timeout(5):
            while gate.up:
                await asyncio.sleep(0.01)
        away = claim("c1", "x")._replace(store_down="allow")
        assert (await refused(gate, away)).code == "tool-paused"
        assert (await refused(gate, claim("free"))).code == "tool-paused"
        other = await gate.admit(away._replace(tool="email"))
        assert isinstance(other, Ungated)
        assert other.ungated == "store-down"


async def test_a_message_that_was_lost_is_made_up_for(open_gate: Open) -> None:
    gate = await open_gate(lease_ms=300)
    gate._pauses.hear = lambda _message: False  # type: ignore[method-assign]
    first = await held(gate, claim("c1", None, ("a",)))
    waits = soon(refused(gate, claim("c2", None, ("a",), wait_ms=20_000)))
    await waiting(gate, 1)
    await gate.people.halt("tool", "crm", "ada", "", 0)
    async with asyncio.timeout(5):
        assert (await waits).code == "tool-paused"
    await first.settle(DONE)


async def test_what_was_read_before_a_message_does_not_undo_it(open_gate: Open) -> None:
    gate = await open_gate()
    looking = soon(gate._store.learn_pauses())
    pausing = soon(
        gate.people.halt("tool", "crm", "ada", "", 0)
    )  # its message comes right behind what is read
    await asyncio.gather(looking, pausing)
    assert gate.paused == {"tool:crm"}


def test_of_several_pauses_the_one_that_ends_last_is_told() -> None:
    pauses = Pauses()
    assert pauses.hear(b"halt:60000 0 " + packed("tool", "crm", "ada", ""))
    assert pauses.hear(b"halt:-1 0 " + packed("tenant", "a:b \n", "bob", "x"))
    halt = pauses.halt_of("crm", "a:b \n", "", "")
    assert halt is not None
    assert (halt.kind, halt.by, halt.ends_s) == ("tenant", "bob", inf)
    assert pauses.halt_of("email", "acme", "", "") is None


def test_calls_without_a_tool_or_a_workflow_are_not_those_of_an_empty_name() -> None:
    pauses = Pauses()
    pauses.hear(b"halt:-1 0 " + packed("tool", "", "ada", ""))
    assert pauses.halt_of("", "", "", "") is None


def test_a_pause_that_has_ended_is_forgotten_by_the_store_and_with_the_last_one_the_key(
    scripts: Scripts,
) -> None:
    key = scripts.prefix + b"halts"
    scripts.run("halt", "tool:crm", 1000, packed("tool", "crm", "ada", ""))
    assert 0 < scripts.client.pttl(key) <= 1000
    scripts.run("halt", "lane:write", 0, packed("lane", "write", "ada", ""))
    assert scripts.client.pttl(key) == -1
    scripts.advance(1000)
    assert [item[:3] for item in scripts.run("pauses")[1:]] == [[b"lane:write", -1, 1000]]
    assert scripts.run("resume", "tool:crm") == ["open"]
    assert scripts.client.hlen(key) == 1
    assert scripts.run("resume", "lane:write") == ["resumed"]
    assert not scripts.client.exists(key)


def test_a_second_word_replaces_the_first(scripts: Scripts) -> None:
    assert scripts.run("halt", "tool:crm", 0, packed("tool", "crm", "ada", "")) == ["halted", -1]
    assert scripts.run("halt", "tool:crm", 500, packed("tool", "crm", "bob", "")) == ["halted", 500]
    ((_, left_ms, _, said),) = scripts.run("pauses")[1:]
    assert (left_ms, said) == (500, packed("tool", "crm", "bob", ""))


async def test_a_refusal_is_one_of_the_contract() -> None:
    gate = Gate("redis://127.0.0.1:1")
    gate._pauses.hear(b"halt:5000 0 " + packed("tool", "crm", "ada", "x"))
    with pytest.raises(Refusal) as caught:
        gate.heed("crm", "", "", "")
    assert (caught.value.status, caught.value.retryable) == (429, True)
    assert 4000 < (caught.value.retry_after_ms or 0) <= 5000
