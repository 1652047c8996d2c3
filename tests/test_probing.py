"""A retry that asks the upstream, as transcripts: what is asked of whom, in which order, for each way it can go."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from sidecar.ask import LARGEST_BYTES
from sidecar.core.call import Answer, Headers
from sidecar.core.claim import Claim
from sidecar.core.condition import Condition
from sidecar.core.derive import derive
from sidecar.core.headers import Departures
from sidecar.core.identity import Strip
from sidecar.core.outbound import Outbound
from sidecar.core.probe import PROBE_NAMES, ProbeSpec, Turn
from sidecar.core.refusal import Refusal
from sidecar.core.route import IntentSpec
from sidecar.core.table import Matched
from sidecar.core.template import Template
from sidecar.probing import Prober
from sidecar.telemetry.story import Story
from tests.core import calls

NO = Refusal("outcome-unknown", "It was sent, and no answer says whether it took effect.", holder_run="r1")
AWAY = Refusal("store-unavailable", "away")
MINE, EARLY = Turn("mine", 7, 0), Turn("mine", 7, 60_000)
FOUND, NOTHING = {"data": [1]}, {"data": []}


class Body:
    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    async def read(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


class Heard:
    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        self.headers = Headers([(b"Content-Type", b"application/json"), (b"Set-Cookie", b"s=1")])
        self.body = Body(body if isinstance(body, list) else [orjson.dumps(body)])

    def abandon(self) -> None: ...


class Street:
    """A gate and an upstream that write down what is asked of them."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.paused: set[str] = set()
        self.turns: list[Turn | Exception] = []
        self.answers: list[Any] = []
        self.resolves: Callable[[], bool] = lambda: True
        self.stops_at = 0
        self._pauses = 0
        self.story = Story(calls.call(), 0.0)

    @property
    def unknowns(self) -> "Street":
        return self

    def ungated(self, claim: Claim, why: str) -> str:
        return why

    async def pause(self, name: str) -> None:
        self._pauses += 1
        if self._pauses == self.stops_at:
            self.log.append(f"cancelled at {name}")
            raise asyncio.CancelledError
        await asyncio.sleep(0)

    async def probe(self, claim: Claim, hold_ms: int, lag_ms: int) -> Turn:
        turn = self.turns.pop(0) if self.turns else MINE
        if isinstance(turn, Exception):
            raise turn
        self.log.append(f"probe   {turn.word}")
        await self.pause("probe")
        return turn

    async def heard(self, claim: Claim, longest_s: float) -> None:
        self.log.append("wait")
        await self.pause("wait")

    async def unprobe(self, claim: Claim, rest_ms: int) -> None:
        self.log.append(f"unprobe {rest_ms}")

    async def resolve(self, intent: str, applied: bool, answer: Answer | None, fence: int = 0) -> bool:
        kept = b"" if answer is None else answer.body
        fields = [] if answer is None else [name.decode() for name, _ in answer.headers]
        self.log.append(f"resolve {'applied' if applied else 'not applied'} {fence} {kept.decode()} {fields}")
        await self.pause("resolve")
        return self.resolves()

    async def send(self, request: Outbound, body: bytes, lease: str, inform: object) -> Heard:
        self.log.append(f"send    {request.method} {request.target.decode()}")
        await self.pause("send")
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Heard(*answer)

    async def look(self, wait_ms: int = 100, **fields: Any) -> list[str]:
        """What happened, and the refusal if there was one."""
        path = Template.parse("/refunds/{body.id}")
        applied = Condition.parse("size(answer.body.data) > 0", PROBE_NAMES)
        spec = ProbeSpec(path, applied, **{"backoff_ms": 1, "attempts": 2} | fields)
        taken = calls.route(calls.tool(), "refund", "POST", intent=IntentSpec(), resolve="probe", probe=spec)
        matched = Matched(taken, calls.view(calls.call(headers=calls.JSON), b'{"id": "ch_1"}'))
        claim = derive(matched)._replace(wait_ms=wait_ms)
        prober = Prober(self, self)  # type: ignore[arg-type]
        try:
            await prober.look(matched, claim, Departures(Strip()), NO, self.story)
        except Refusal as no:
            self.log.append(f"no      {no.code} {no.retryable} {no.retry_after_ms}")
            self.detail = no.detail
        except asyncio.CancelledError:
            self.log.append("cancelled")
        await asyncio.sleep(0.01)  # what is done in the background
        return self.log


@pytest.fixture
def street() -> Street:
    return Street()


async def test_what_is_found_is_resolved_for_the_very_attempt(street: Street) -> None:
    street.answers = [(200, FOUND)]
    assert await street.look() == [
        "probe   mine",
        "send    GET /refunds/ch_1",
        "resolve applied 7 {\"data\":[1]} ['Content-Type']",
    ]
    assert street.story.probe == "applied"


async def test_what_is_not_there_is_freed(street: Street) -> None:
    street.answers = [(200, NOTHING)]
    assert (await street.look())[-1] == "resolve not applied 7  []"


async def test_not_applied_too_early_is_asked_again_and_never_resolved(street: Street) -> None:
    street.turns = [EARLY] * 3
    street.answers = [(200, NOTHING)] * 2
    log = await street.look()
    assert [line for line in log if line.startswith("resolve")] == []
    assert log[-2:] == ["no      outcome-unknown True 60000", "unprobe 1"]
    assert (street.story.probe, "too early" in street.detail) == ("cannot_tell", True)


async def test_the_last_attempt_waits_until_not_applied_counts(street: Street) -> None:
    street.turns = [Turn("mine", 7, 50), Turn("mine", 7, 50), MINE]
    street.answers = [(200, NOTHING)] * 2
    assert (await street.look(wait_ms=5_000))[-1] == "resolve not applied 7  []"


@pytest.mark.parametrize(
    "answer",
    [
        (500, FOUND),
        (200, [b"x" * (LARGEST_BYTES // 2)] * 3),
        Refusal("upstream-timeout", "It took too long.", outcome="unknown"),
        Refusal("egress-denied", "That address is private."),
    ],
)
async def test_what_tells_nothing_changes_nothing(street: Street, answer: Any) -> None:
    street.answers = [answer, answer]
    log = await street.look()
    assert [line for line in log if line.startswith("resolve")] == []
    assert log[-2:] == ["no      outcome-unknown True 1", "unprobe 1"]


async def test_a_target_that_cannot_be_made_is_not_sent(street: Street) -> None:
    street.answers = []
    spec = Template.parse("/refunds/{body.other}")
    path = ProbeSpec(spec, Condition.parse("answer.status == 200", PROBE_NAMES), attempts=1)
    taken = calls.route(calls.tool(), "r", "POST", intent=IntentSpec(), resolve="probe", probe=path)
    matched = Matched(taken, calls.view(calls.call(headers=calls.JSON), b"{}"))
    with pytest.raises(Refusal) as no:
        await Prober(street, street).look(matched, derive(matched), Departures(Strip()), NO, street.story)  # type: ignore[arg-type]
    assert no.value.code == "outcome-unknown"
    assert not [line for line in street.log if line.startswith("send")]


async def test_who_comes_second_waits_and_asks_the_gate_when_it_is_known(street: Street) -> None:
    street.turns = [Turn("theirs", 7, 5_000), Turn("theirs", 7, 4_000), Turn("known")]
    assert await street.look() == ["probe   theirs", "wait", "probe   theirs", "wait", "probe   known"]


async def test_who_comes_second_waits_no_longer_than_its_lane_says(street: Street) -> None:
    street.turns = [Turn("theirs", 7, 5_000)]
    assert await street.look(wait_ms=0) == ["probe   theirs", "no      outcome-unknown True 5000"]


async def test_what_could_not_be_told_a_moment_ago_is_not_asked_again(street: Street) -> None:
    street.turns = [Turn("lately", 7, 900)]
    assert await street.look() == ["probe   lately", "no      outcome-unknown True 900"]


async def test_a_tool_that_is_left_alone_is_not_asked(street: Street) -> None:
    street.paused = {"pause:crm"}
    assert await street.look() == ["no      outcome-unknown True 1000"]


async def test_a_right_to_ask_that_went_to_another_is_not_used(street: Street) -> None:
    street.turns = [MINE, Turn("theirs", 7, 5_000)]
    street.answers = [(500, FOUND)]
    assert (await street.look())[-1] == "probe   theirs"


async def test_a_store_that_goes_away_meanwhile_is_told_as_that(street: Street) -> None:
    street.turns = [MINE, AWAY]
    street.answers = [(500, FOUND)]
    assert (await street.look())[-2:] == ["no      store-unavailable True None", "unprobe 0"]


@pytest.mark.parametrize(("stop", "where"), [(1, "probe"), (2, "send"), (3, "resolve")])
async def test_cancelled_at_any_await_another_may_ask_at_once(street: Street, stop: int, where: str) -> None:
    street.stops_at = stop
    street.answers = [(200, FOUND)]
    log = await street.look()
    assert f"cancelled at {where}" in log
    assert log[-2:] == ["cancelled", "unprobe 0"], "it may have got the right to ask and not heard of it"
