"""The gate's face, on real servers: grants, waits, replays, refusals, and a store that goes away."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from sidecar.core.call import Answer
from sidecar.core.claim import Claim, Replay
from sidecar.core.outcome import NOT_SENT, Outcome
from sidecar.core.refusal import Refusal
from sidecar.gate.gate import Gate
from sidecar.gate.lease import Lease, Ungated
from sidecar.gate.observer import Nobody
from sidecar.tasks import spawn
from tests.gate.conftest import Open
from tests.gate.scripts import claim

T = TypeVar("T")

OK = Answer(200, [(b"Content-Type", b"text/plain"), (b"X-Twice", b"1"), (b"X-Twice", b" 2: ")], b"a\n\nb\x00")
DONE = Outcome("completed", "answer", 200, OK, changed=True)


def soon(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start it and go on."""
    return spawn(work, "test")


async def held(gate: Gate, asked: Claim) -> Lease:
    lease = await gate.admit(asked)
    assert isinstance(lease, Lease)
    return lease


async def refused(gate: Gate, asked: Claim) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await gate.admit(asked)
    return caught.value


async def waiting(gate: Gate, count: int) -> None:
    """Until that many tickets wait."""
    async with asyncio.timeout(10):
        while sum(int(str(line["waiting"])) for line in await gate.people.queues()) < count:
            await asyncio.sleep(0)


async def test_a_claim_that_asks_for_nothing_never_touches_the_store() -> None:
    gate = Gate("redis://127.0.0.1:1")  # nobody is there, and it was not started
    first, second = await gate.admit(claim("c1")), await gate.admit(claim("c2"))
    assert first is second

    async def work() -> str:
        first.sending()
        return "done"

    assert await first.during(work()) == "done"
    assert (first.fence, first.wait_ms, first.ungated) == (0, 0, "")


async def test_a_twin_gets_the_answer_byte_for_byte_on_another_sidecar(open_gate: Open) -> None:
    here, there = await open_gate(), await open_gate()
    async with await held(here, claim("c1", "x", ("deal:42",))) as lease:
        lease.sending()
        await lease.settle(DONE)
    replay = await there.admit(claim("c2", "x", ("deal:42",)))
    assert replay == Replay(OK, joined=False, wait_ms=0)


async def test_a_twin_that_comes_while_the_first_runs_joins_it(open_gate: Open) -> None:
    here, there = await open_gate(), await open_gate()
    lease = await held(here, claim("c1", "x"))
    twin = soon(there.admit(claim("c2", "x", wait_ms=10_000)))
    await waiting(there, 1)
    await lease.settle(DONE)
    replay = await twin
    assert isinstance(replay, Replay)
    assert (replay.answer, replay.joined) == (OK, True)


async def test_a_wait_ends_with_the_lock_handed_over(open_gate: Open) -> None:
    here, there = await open_gate(), await open_gate()
    lease = await held(here, claim("c1", None, ("a",)))
    asked = soon(there.admit(claim("c2", None, ("a",), wait_ms=10_000)))
    await waiting(there, 1)
    await lease.settle(NOT_SENT)
    second = await asked
    assert isinstance(second, Lease)
    assert second.fence > lease.fence
    await second.settle(NOT_SENT)


@pytest.mark.parametrize(
    ("first", "second", "code", "blocked_by"),
    [
        ({"locks": ("deal:42",)}, {"locks": ("deal:42",)}, "locked", "lock:deal:42"),
        ({"caps": {"tenant:acme": 1}}, {"caps": {"tenant:acme": 1}}, "cap-timeout", "cap:tenant:acme"),
        ({"intent": "x"}, {"intent": "x"}, "in-progress", "intent"),
    ],
)
async def test_a_wait_that_ends_says_what_blocks_who_holds_it_and_when_to_retry(
    open_gate: Open, first: dict[str, Any], second: dict[str, Any], code: str, blocked_by: str
) -> None:
    gate = await open_gate()
    await held(gate, claim("c1", **first, run="run-7"))
    no = await refused(gate, claim("c2", **second, wait_ms=60))
    assert (no.code, no.blocked_by, no.holder_run) == (code, blocked_by, "run-7")
    assert no.retry_after_ms is not None
    assert 0 < no.retry_after_ms <= 5000
    assert no.wait_ms >= 60
    assert await gate.people.queues() == []


async def test_a_full_waiting_room_refuses_at_once(open_gate: Open) -> None:
    gate = await open_gate()
    await held(gate, claim("c1", None, ("a",)))
    asked = soon(gate.admit(claim("c2", None, ("a",), depth=(1, 10), wait_ms=10_000)))
    await waiting(gate, 1)
    no = await refused(gate, claim("c3", None, ("a",), depth=(1, 10), wait_ms=10_000))
    assert (no.code, no.blocked_by, no.retry_after_ms) == ("queue-full", "queue:tenant:acme", 1000)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)


async def test_every_end_of_a_record_has_its_refusal(open_gate: Open) -> None:
    gate = await open_gate()
    await (await held(gate, claim("c1", "done"))).settle(Outcome("completed", "done", 201))
    await (await held(gate, claim("c2", "unknown"))).settle(Outcome("unknown", why="timeout"))
    await (await held(gate, claim("c3", "key", fingerprint="f1"))).settle(DONE)
    assert (await refused(gate, claim("c4", "done"))).code == "answer-not-kept"
    unknown = await refused(gate, claim("c5", "unknown"))
    assert (unknown.code, unknown.holder_run, unknown.retryable) == ("outcome-unknown", "run-c2", False)
    assert (await refused(gate, claim("c6", "key", fingerprint="f2"))).code == "key-reused"


@pytest.mark.parametrize(
    ("error", "sent", "becomes"),
    [
        (None, False, "free"),
        (Refusal("upstream-unreachable", "", outcome="not_sent"), False, "free"),
        (Refusal("upstream-unreachable", "", outcome="not_sent"), True, "free"),
        (Refusal("upstream-timeout", "", outcome="unknown"), True, "timeout"),
        (Refusal("upstream-failed", "", outcome="unknown"), True, "reset"),
        (RuntimeError("bug"), True, "failed"),
        (asyncio.CancelledError(), True, "cancelled"),
        (asyncio.CancelledError(), False, "free"),
        (None, True, "failed"),
    ],
)
async def test_leaving_a_lease_settles_what_nobody_settled(
    open_gate: Open, error: BaseException | None, sent: bool, becomes: str
) -> None:
    gate = await open_gate()
    lease = await held(gate, claim("c1", "x"))
    if sent:
        lease.sending()
    await lease.__aexit__(type(error) if error else None, error, None)
    unknown = await gate.people.unknown()
    assert [item["why"] for item in unknown] == ([] if becomes == "free" else [becomes])
    assert await gate.people.leases() == [] or becomes != "free"


class Counting(Nobody):
    def __init__(self) -> None:
        self.scripts: list[str] = []

    def store_seconds(self, script: str, seconds: float) -> None:
        self.scripts.append(script)


async def test_a_lease_is_settled_exactly_once(open_gate: Open) -> None:
    observer = Counting()
    gate = await open_gate(observer=observer)
    async with await held(gate, claim("c1", "x")) as lease:
        lease.sending()
        await lease.settle(DONE)
        await lease.settle(Outcome("unknown"))
    assert observer.scripts.count("settle") == 1
    assert isinstance(await gate.admit(claim("c2", "x")), Replay)


async def test_a_lease_that_is_not_provably_held_sends_nothing(open_gate: Open) -> None:
    gate = await open_gate(lease_ms=200)
    lease = await held(gate, claim("c1", "x"))
    lease.ends_s = 0  # as after a pause past the lease
    with pytest.raises(Refusal) as caught:
        lease.sending()
    assert (caught.value.code, caught.value.outcome) == ("store-unavailable", "not_sent")
    await lease.__aexit__(Refusal, caught.value, None)
    assert isinstance(await gate.admit(claim("c2", "x")), Lease)


async def test_a_lease_is_renewed_while_its_call_runs(open_gate: Open) -> None:
    gate, other = await open_gate(lease_ms=600), await open_gate(lease_ms=600)
    lease = await held(gate, claim("c1", "x", (), {"global": 1}))
    no = await refused(other, claim("c2", "y", (), {"global": 1}, wait_ms=1500))
    assert no.code == "cap-timeout"
    lease.sending()
    await lease.settle(DONE)


async def test_the_proof_of_a_lease_ends_before_its_request_must_be_over(open_gate: Open) -> None:
    gate = await open_gate()
    lease = await held(gate, claim("c1", "x", timeout_ms=1000))
    assert lease.ends_s < lease.gone_s
    lease.held(lease.gone_s - 0.1, 15_000)  # renewed shortly before
    assert lease.ends_s < lease.gone_s
    await lease.settle(NOT_SENT)


async def test_a_dead_sidecar_leaves_unknown_and_its_slots(open_gate: Open) -> None:
    dead, alive = await open_gate(lease_ms=400), await open_gate(lease_ms=400)
    await held(dead, claim("c1", "x", (), {"global": 1}))
    await dead.stop()
    lease = await held(alive, claim("c2", "y", (), {"global": 1}, wait_ms=5000))
    assert lease.wait_ms > 100
    assert (await refused(alive, claim("c3", "x"))).code == "outcome-unknown"
    await lease.settle(NOT_SENT)


async def test_a_lost_wake_up_costs_a_moment_and_nothing_else(open_gate: Open) -> None:
    here, there = await open_gate(), await open_gate()
    there._store.on_wake = lambda _call: None  # every message is lost
    lease = await held(here, claim("c1", None, ("a",)))
    asked = soon(there.admit(claim("c2", None, ("a",), wait_ms=10_000)))
    await waiting(there, 1)
    await lease.settle(NOT_SENT)
    second = await asked
    assert isinstance(second, Lease)
    assert second.wait_ms < 2500
    await second.settle(NOT_SENT)


async def test_calls_on_many_sidecars_take_turns_and_none_is_lost(open_gate: Open) -> None:
    gates = [await open_gate() for _ in range(3)]
    inside, most = 0, 0

    async def call(number: int) -> None:
        nonlocal inside, most
        asked = claim(f"c{number}", f"x{number}", ("hot",), wait_ms=30_000, depth=(1000, 1000))
        async with await held(gates[number % 3], asked) as lease:
            inside += 1
            most = max(most, inside)
            lease.sending()
            await asyncio.sleep(0)
            inside -= 1
            await lease.settle(DONE)

    await asyncio.gather(*(call(number) for number in range(200)))
    assert most == 1
    assert await gates[0].people.leases() == await gates[0].people.queues() == []


async def test_the_admin_lists_name_runs_places_and_states(open_gate: Open) -> None:
    gate = await open_gate()
    lease = await held(gate, claim("c1", "k" * 32, ("deal:1",), {"global": 9}, run="run-7"))
    asked = soon(gate.admit(claim("c2", None, ("deal:1",), run="run-8", wait_ms=10_000)))
    await waiting(gate, 1)
    (item,) = await gate.people.leases()
    assert (item["id"], item["run"], item["locks"], item["caps"]) == ("c1", "run-7", ["deal:1"], ["global"])
    (line,) = await gate.people.queues()
    assert (line["id"], line["waiting"], line["head_run"], line["tenants"]) == (
        "lock:deal:1",
        1,
        "run-8",
        {"acme": 1},
    )
    assert line["holders"] == [{"call": "c1", "run": "run-7", "workflow": "dunning"}]
    lease.sending()
    await lease.settle(Outcome("unknown", why="timeout", over=True))
    (unknown,) = await gate.people.unknown()
    assert (unknown["id"], unknown["why"], unknown["run"]) == ("k" * 32, "timeout", "run-7")
    second = await asked
    assert isinstance(second, Lease)
    await second.settle(NOT_SENT)


async def test_an_ungated_lease_says_why(open_gate: Open) -> None:
    gate = await open_gate()
    lease = gate.ungated(claim("c1", "x"), "observe")
    assert isinstance(lease, Ungated)
    assert (lease.ungated, lease.origin, lease.fence) == ("observe", "c1", 0)


async def test_a_settle_that_left_work_over_sees_it_done(open_gate: Open) -> None:
    observer = Counting()
    gate, other = await open_gate(observer=observer), await open_gate()
    lease = await held(gate, claim("c0", "x"))
    twins = [soon(other.admit(claim(f"c{n}", "x", wait_ms=10_000))) for n in range(1, 60)]
    await waiting(other, 59)
    await lease.settle(DONE)
    await gate.drain(5)
    assert "sweep" in observer.scripts
    assert all(isinstance(answer, Replay) for answer in await asyncio.gather(*twins))
