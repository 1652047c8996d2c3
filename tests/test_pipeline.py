"""The street as transcripts: what happens to whom, in which order, for each way a call can go."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from sidecar.core.call import AgentGone, Answer, Call, Headers
from sidecar.core.claim import Claim, Flow, Replay
from sidecar.core.outbound import Outbound
from sidecar.core.outcome import NOT_SENT, Outcome
from sidecar.core.refusal import Refusal
from sidecar.core.table import Table
from sidecar.pipeline import Pipeline
from sidecar.settings import load
from sidecar.telemetry.meters import Meters
from sidecar.telemetry.story import Story

T = TypeVar("T")

ROUTES = """
version: 1
tool: crm
hosts: [crm.test]
clients:
  - {user_agent: "Eager/*", statuses: {400: 422, 409: 422}}
routes:
  - name: deal.update
    match: {method: PATCH, path: "/deals/{id}"}
    lane: write
    locks: ["deal:{path.id}"]
  - name: watched
    match: {method: POST, path: /watched}
    lane: write
    mode: observe
"""


NOTHING = Claim("c1", "crm", "default", "read", "", "", Flow("default", "interactive"))


class Street:
    """A pipeline whose gate, upstream and agent write down what is asked of them."""

    def __init__(self, folder: Path) -> None:
        (folder / "routes").mkdir()
        (folder / "sidecar.yaml").write_text("version: 1\n")
        (folder / "routes" / "crm.yaml").write_text(ROUTES)
        self.log: list[str] = []
        self.stories: list[Story] = []
        self.admits: Callable[[Claim], Any] = lambda claim: FakeLease(self, claim)
        self.sends: Callable[[], Any] = lambda: FakeAnswer(200)
        self.relays: Callable[[], bytes | None] = lambda: b"{}"
        self.stops_at = 0
        self.paused: set[str] = set()
        self.stopped: set[str] = set()
        self.held: set[str] = set()
        self._pauses = 0
        self.pipeline = Pipeline(load(folder, {}), self, self, Meters(), self.stories.append)

    async def pause(self, name: str) -> None:
        """Every await of the street; ``stops_at`` picks the one at which the call is cancelled."""
        self._pauses += 1
        if self._pauses == self.stops_at:
            self.log.append(f"cancelled at {name}")
            raise asyncio.CancelledError
        await asyncio.sleep(0)

    async def walk(self, method: str, url: str, body: bytes = b'{"n": 1}', **headers: str) -> list[str]:
        host, _, path = url.removeprefix("http://").partition("/")
        raw = [(b"Host", host.encode()), (b"Content-Type", b"application/json")]
        raw += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        call = Call("c1", method, "http", host, 80, "/" + path, "", Headers(raw), "forward")
        try:
            await self.pipeline(FakeAgent(self, call, body))
        except asyncio.CancelledError:
            self.log.append("cancelled")
        return self.log

    async def admit(self, claim: Claim) -> Any:
        intent = "intent" if claim.intent else "no intent"
        self.log.append(f"admit   {claim.route} {','.join(claim.locks) or 'no locks'} {intent}")
        await self.pause("admit")
        return self.admits(claim)

    async def turned_away(self, claim: Claim, away_ms: int) -> None:
        self.log.append(f"away    {claim.tool} {away_ms}")
        await self.pause("away")

    def heed(self, tool: str, tenant: str, workflow: str, lane: str) -> None:
        """Nobody paused anything, but for what ``stopped`` names."""
        if {tool, tenant, workflow, lane} & self.stopped:
            raise Refusal("tool-paused", "", blocked_by="pause:")

    @property
    def free(self) -> "FakeLease":
        return FakeLease(self, NOTHING)

    @property
    def holding(self) -> set[str]:
        return self.held

    def passing(self, claim: Claim) -> "FakeLease":
        self.log.append(f"passing {claim.run}")
        return FakeLease(self, claim)

    def ungated(self, claim: Claim, why: str) -> "FakeLease":
        return FakeLease(self, claim, why)

    async def send(self, request: Outbound, body: Any, lease: "FakeLease", inform: Any) -> "FakeAnswer":
        await self.pause("connect")
        lease.sending()
        self.log.append(f"send    {request.method} {request.target.decode()} {len(body)} bytes")
        await self.pause("answer")
        return self.sends()

    async def connect(self, host: str, port: int, timeout_ms: int, address: str) -> object:
        self.log.append(f"connect {host}:{port}")
        return object()


class FakeLease:
    """Settles as the real one promises to, and writes it down."""

    def __init__(self, street: Street, claim: Claim, ungated: str = "") -> None:
        self.street = street
        self.fence, self.wait_ms, self.ungated, self.origin = (
            (0 if ungated or claim.empty else 7),
            3,
            ungated,
            claim.call,
        )
        self.blocked_by = "lock:deal:7" if self.fence else ""
        self.sent = self.settled = False

    def sending(self) -> None:
        self.sent = True

    async def settle(self, outcome: Outcome) -> None:
        assert not self.settled, "settled twice"
        self.settled = True
        self.street.log.append(f"settle  {outcome.kind} {outcome.record} {outcome.status}")
        await self.street.pause("settle")

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        except BaseException as error:
            if not self.settled:
                outcome = Outcome("unknown", why=repr(error)) if self.sent else NOT_SENT
                await asyncio.shield(self.settle(outcome))
            raise


class FakeAnswer:
    def __init__(self, status: int) -> None:
        self.status, self.reason, self.headers, self.body, self.upgraded = (
            status,
            b"",
            Headers([]),
            None,
            None,
        )


class FakeAgent:
    def __init__(self, street: Street, call: Call, body: bytes) -> None:
        self.street, self.call, self.body, self.waiting = street, call, body, True

    async def read(self, limit: int) -> bytes:
        self.street.log.append("read")
        await self.street.pause("read")
        return self.body

    def inform(self, status: int, headers: Headers) -> None: ...

    def reply(self, answer: Answer) -> None:
        verdict = dict(answer.headers)[b"Sidecar-Verdict"].decode().split(";")[0]
        self.street.log.append(f"reply   {answer.status} {verdict}")

    async def relay(self, answer: FakeAnswer, verdict: bytes, keep: int, finish: bool) -> bytes | None:
        assert not self.waiting, "a hang-up would cancel a call in flight"
        self.street.log.append(f"relay   {answer.status} {verdict.decode()}")
        await self.street.pause("relay")
        return self.street.relays()

    def finish(self) -> None:
        self.street.log.append("finish")

    async def tunnel(self, upstream: object) -> None:
        self.street.log.append("tunnel")

    def intercept(self) -> None:
        self.street.log.append("intercept")


@pytest.fixture
def street(tmp_path: Path) -> Street:
    return Street(tmp_path)


async def test_the_end_of_the_reply_leaves_after_the_record_is_written(street: Street) -> None:
    assert await street.walk("PATCH", "http://crm.test/deals/7") == [
        "read",
        "admit   deal.update deal:7 intent",
        "send    PATCH /deals/7 8 bytes",
        "relay   200 executed; call=c1; route=deal.update; wait=3; fence=7",
        "settle  completed answer 200",
        "finish",
    ]


async def test_a_call_that_waited_says_for_what(street: Street) -> None:
    await street.walk("PATCH", "http://crm.test/deals/7")
    assert (street.stories[0].blocked_by, street.stories[0].wait_ms) == ("lock:deal:7", 3)


async def test_a_replay_sends_no_byte_upstream(street: Street) -> None:
    street.admits = lambda claim: Replay(Answer(201, [], b"first"), joined=False, wait_ms=0)
    assert await street.walk("PATCH", "http://crm.test/deals/7") == [
        "read",
        "admit   deal.update deal:7 intent",
        "reply   201 replayed",
    ]


async def test_a_refusal_of_the_gate_sends_no_byte_upstream(street: Street) -> None:
    def refuse(claim: Claim) -> None:
        raise Refusal("locked", "held", blocked_by="lock:deal:7")

    street.admits = refuse
    assert (await street.walk("PATCH", "http://crm.test/deals/7"))[-1] == "reply   409 refused"
    assert street.stories[0].code == "locked"


async def test_an_upstream_that_fails_is_settled_before_the_agent_hears_of_it(street: Street) -> None:
    def fail() -> None:
        raise Refusal("upstream-failed", "reset", outcome="unknown")

    street.sends = fail
    assert (await street.walk("PATCH", "http://crm.test/deals/7"))[-2:] == [
        "settle  unknown free 0",
        "reply   502 refused",
    ]


async def test_an_upstream_that_turns_a_call_away_is_told_of_before_the_settle(street: Street) -> None:
    street.sends = lambda: FakeAnswer(429)
    assert (await street.walk("PATCH", "http://crm.test/deals/7"))[-3:] == [
        "away    crm 0",
        "settle  completed free 429",
        "finish",
    ]


async def test_a_read_that_is_turned_away_is_told_of_too(street: Street) -> None:
    street.sends = lambda: FakeAnswer(429)
    assert "away    crm 0" in await street.walk("GET", "http://crm.test/deals/7", b"")


async def test_a_read_of_a_tool_that_is_paused_asks_the_gate(street: Street) -> None:
    street.paused.add("pause:crm")
    log = await street.walk("GET", "http://crm.test/deals/7", b"")
    assert log[0] == "admit   default no locks no intent"


async def test_a_read_of_a_tool_asks_the_gate_for_nothing(street: Street) -> None:
    log = await street.walk("GET", "http://crm.test/deals/7", b"")
    assert not [line for line in log if line.startswith("admit")]
    assert log[-1] == "finish"


async def test_an_unmatched_host_passes_without_a_verdict(street: Street) -> None:
    log = await street.walk("POST", "http://other.test/x")
    assert [line for line in log if line.startswith("relay")] == ["relay   200 "]
    assert street.stories == []


async def test_observe_never_refuses_and_says_what_it_would_have_done(street: Street) -> None:
    def refuse(claim: Claim) -> None:
        assert claim.wait_ms == 0
        raise Refusal("locked", "held")

    street.admits = refuse
    assert (await street.walk("POST", "http://crm.test/watched"))[-1] == "finish"
    assert (street.stories[0].would, street.stories[0].ungated) == ("locked", "observe")


async def test_a_refusal_is_told_in_the_clients_own_signs(street: Street) -> None:
    def refuse(claim: Claim) -> None:
        raise Refusal("outcome-unknown", "An earlier attempt may have been applied.")

    street.admits = refuse
    assert (await street.walk("PATCH", "http://crm.test/deals/7"))[-1] == "reply   409 refused"
    eager = await street.walk("PATCH", "http://crm.test/deals/7", User_Agent="Eager/1.0")
    assert eager[-1] == "reply   422 refused"
    assert [story.reply_status for story in street.stories] == [409, 422]


async def test_a_refusal_before_any_route_is_picked_is_told_in_the_clients_own_signs_too(
    street: Street,
) -> None:
    agent = {"User_Agent": "Eager/1.0", "X_HTTP_Method_Override": "DELETE", "X_Agent_Tenant": "\x01"}
    await street.walk("PATCH", "http://crm.test/deals/7", **agent)
    assert street.stories[0].code == "bad-request"
    assert street.stories[0].reply_status == 422


async def test_draining_refuses_side_effects_and_lets_reads_pass(street: Street) -> None:
    street.pipeline.draining = True
    assert await street.walk("PATCH", "http://crm.test/deals/7") == ["read", "reply   503 refused"]
    street.log.clear()
    assert (await street.walk("GET", "http://crm.test/deals/7", b""))[-1] == "finish"


async def test_a_bug_is_answered_as_one_and_the_call_is_settled(
    street: Street, caplog: pytest.LogCaptureFixture
) -> None:
    def bug() -> None:
        raise KeyError("oops")

    street.relays = bug
    assert (await street.walk("PATCH", "http://crm.test/deals/7"))[-2:] == [
        "settle  unknown free 0",
        "reply   500 refused",
    ]
    assert "bug of ours" in caplog.text


async def test_while_a_run_holds_something_a_free_call_is_told_of_and_asks_for_nothing(
    street: Street,
) -> None:
    street.held = {"run-7"}
    log = await street.walk("GET", "http://crm.test/deals/7", b"", X_Agent_Run="run-7")
    assert log[0] == "passing run-7"
    assert not [line for line in log if line.startswith("admit")]


async def test_an_agent_that_left_an_ungated_read_gets_nothing_more(street: Street) -> None:
    def gone() -> None:
        raise AgentGone

    street.relays = gone
    assert (await street.walk("GET", "http://crm.test/deals/7", b""))[-1].startswith("settle")
    assert street.stories[0].verdict == "gone"


async def test_connect_is_checked_and_then_blind(street: Street) -> None:
    assert await street.walk("CONNECT", "http://crm.test/") == ["connect crm.test:80", "tunnel"]
    assert street.stories == []


async def test_connect_to_a_tool_is_opened_where_there_is_an_authority(street: Street) -> None:
    plan = street.pipeline.plan
    street.pipeline.obey(replace(plan, table=Table(plan.sites, plan.process.fleet, intercepts=True)))
    assert await street.walk("CONNECT", "http://crm.test/") == ["intercept"]
    street.log.clear()
    assert await street.walk("CONNECT", "http://elsewhere.test/") == ["connect elsewhere.test:80", "tunnel"]
    assert street.stories == [], "neither is a call"


@pytest.mark.parametrize(
    ("stop", "where", "settled"),
    [
        (1, "read", []),
        (2, "admit", []),  # nothing was granted; the gate's own tests see that it leaves its place
        (3, "connect", ["settle  not_sent free 0"]),
        (4, "answer", ["settle  unknown free 0"]),
        (5, "relay", ["settle  unknown free 0"]),
        (6, "settle", ["settle  completed answer 200"]),
    ],
)
async def test_cancelled_at_any_await_a_grant_is_settled_exactly_once(
    street: Street, stop: int, where: str, settled: list[str]
) -> None:
    street.stops_at = stop
    log = await street.walk("PATCH", "http://crm.test/deals/7")
    assert f"cancelled at {where}" in log
    assert [line for line in log if line.startswith("settle")] == settled
    assert "finish" not in log
