"""A retry that meets an unknown outcome of a route with a ``probe`` asks the upstream first.

One call asks at a time, across the fleet; who comes meanwhile waits for what that one hears, as long as its lane has it
wait.  What the upstream says is judged by the route (``core/probe.py``) and told to the store, and then the gate is
asked again: it replays the answer, or grants a fresh execution, or says unknown as before.  So nothing is decided here,
and whoever dies asking leaves the outcome as unknown as it was.

"Not applied" counts only if it was asked for when the attempt must be over and its effect would show; the store says
when that is, with every right to ask.
"""

import asyncio
from contextlib import suppress
from time import monotonic
from typing import Final

from sidecar.ask import ask
from sidecar.core.call import Answer, Headers
from sidecar.core.claim import Claim
from sidecar.core.headers import Departures, stored
from sidecar.core.probe import Found, ProbeSpec, Turn
from sidecar.core.refusal import Refusal
from sidecar.core.table import Matched
from sidecar.ports import Gate, Upstream
from sidecar.tasks import spawn
from sidecar.telemetry.story import Story

SOON_MS: Final = 1000
LATE_S: Final = 0.05
"""After another's right to ask has ended."""


class Unclear(Exception):
    """What was heard does not tell, and why."""


class Prober:
    """Asks upstreams about unknown outcomes."""

    def __init__(self, gate: Gate, upstream: Upstream) -> None:
        self.gate = gate
        self.upstream = upstream

    async def look(
        self, matched: Matched, claim: Claim, departures: Departures, no: Refusal, story: Story
    ) -> None:
        """Until it is worth asking the gate again.  Raises Refusal: ``no`` with what was heard, where it stays so."""
        probe = matched.route.probe
        assert probe is not None
        began_s = monotonic()
        try:
            if f"pause:{claim.tool}" in self.gate.paused:
                raise _still(no, "The upstream asked to be left alone, so it could not be asked.", SOON_MS)
            await self._take_turn(_Asking(self, matched, probe, claim, departures, no, story))
        finally:
            story.probe_s += monotonic() - began_s

    async def _take_turn(self, asking: "_Asking") -> None:
        try:
            await self._await_turn(asking)
        except _Unresolved as unresolved:
            asking.let_go(asking.probe.backoff_ms)
            raise unresolved.no from None
        except BaseException:  # the agent hung up, or the store is away
            asking.let_go(0)
            raise

    async def _await_turn(self, asking: "_Asking") -> None:
        claim = asking.claim
        ends_s = monotonic() + claim.wait_ms / 1000
        while (turn := await asking.turn()).word != "known":
            if turn.word == "mine":
                await asking.ask(turn, ends_s)
                return
            left_s = ends_s - monotonic()
            if turn.word == "lately" or left_s <= 0:
                asked = (
                    "was asked a moment ago and could not tell" if turn.word == "lately" else "is being asked"
                )
                raise _still(asking.no, f"The upstream {asked} whether it took effect.", turn.ms)
            await self.gate.unknowns.heard(claim, min(left_s, turn.ms / 1000 + LATE_S))


class _Asking:
    """One call's asking."""

    def __init__(
        self,
        prober: Prober,
        matched: Matched,
        probe: ProbeSpec,
        claim: Claim,
        departures: Departures,
        no: Refusal,
        story: Story,
    ) -> None:
        self.claim = claim
        self.no = no
        self._unknowns = prober.gate.unknowns
        self._lease = prober.gate.ungated(claim, "probe")
        self._upstream = prober.upstream
        self._matched = matched
        self.probe = probe
        self._holds = False
        """It has the right to ask, or may have."""
        self._departures = departures
        self._story = story

    async def turn(self, pause_ms: int = 0) -> Turn:
        """The right to ask, for as long as an attempt after ``pause_ms`` takes."""
        self._holds = True
        turn = await self._unknowns.probe(self.claim, pause_ms + self.probe.hold_ms, self.probe.lag_ms)
        self._holds = turn.word == "mine"
        return turn

    def let_go(self, rest_ms: int) -> None:
        """Another may ask, after ``rest_ms``."""
        if self._holds:
            spawn(self._let_go(rest_ms), "let another ask")

    async def _let_go(self, rest_ms: int) -> None:
        with suppress(Refusal):  # the store is away: the right to ask ends with its time
            await self._unknowns.unprobe(self.claim, rest_ms)

    async def ask(self, turn: Turn, ends_s: float) -> None:
        """Ask until it can be told, a bounded number of times."""
        probe = self.probe
        for attempt in range(1, probe.attempts + 1):
            try:
                found, answer = await self._heard()
                said = _SAID[found]
            except Unclear as unclear:
                found, answer, said = "cannot_tell", None, str(unclear)
            if found == "applied" or (found == "not_applied" and not turn.ms):
                self._story.probe = found
                await self._resolve(turn, found == "applied", answer)
                return
            self._story.probe = "cannot_tell"
            pause_ms = self._pause_ms(attempt, turn, found, ends_s)
            if not pause_ms:
                early_ms = turn.ms if found == "not_applied" else 0
                raise _Unresolved(_still(self.no, said, max(early_ms, probe.backoff_ms)))
            if (await self.turn(pause_ms)).word != "mine":
                return
            await asyncio.sleep(pause_ms / 1000)
            turn = await self.turn()
            if turn.word != "mine":
                return

    def _pause_ms(self, attempt: int, turn: Turn, found: Found, ends_s: float) -> int:
        """Before the next attempt; zero where there is none.  The last one waits until "not applied" would count, if
        the caller has the patience."""
        left = self.probe.attempts - attempt
        if not left:
            return 0
        pause_ms = self.probe.pause_ms(attempt)
        early_ms = turn.ms if found == "not_applied" else 0
        if left == 1 and pause_ms < early_ms <= (ends_s - monotonic()) * 1000:
            return early_ms
        return pause_ms

    async def _resolve(self, turn: Turn, applied: bool, answer: Answer | None) -> None:
        intent = self.claim.intent
        assert intent is not None
        if answer is not None:
            answer = answer._replace(headers=stored(Headers(answer.headers)))
            if len(answer.body) > self._matched.route.store.keep_bytes:
                answer = None
        await self._unknowns.resolve(intent.key, applied, answer, turn.fence)

    async def _heard(self) -> tuple[Found, Answer | None]:
        """What one attempt finds.  Raises Unclear where there is no answer to judge."""
        probe, view = self.probe, self._matched.view
        try:
            target = probe.path.target(view)
            heard = await ask(
                self._upstream,
                self._departures,
                self._matched,
                probe.method,
                target,
                probe.timeout_ms,
                self._lease,
            )
        except Refusal as no:
            raise Unclear(f"It gave no answer that tells: {no.detail}") from None
        found, made = probe.found(view, heard.status, heard.headers, heard.body)
        if found == "cannot_tell":
            raise Unclear(f"It answered {heard.status}, and that does not tell.")
        return found, made


class _Unresolved(Exception):
    """Asked to the end, and it stays unknown."""

    def __init__(self, no: Refusal) -> None:
        super().__init__(no)
        self.no = no


_SAID: Final[dict[Found, str]] = {
    "applied": "It took effect.",
    "not_applied": "It shows no effect, but it is too early to be sure of that.",
    "cannot_tell": "",
}


def _still(no: Refusal, said: str, retry_after_ms: int) -> Refusal:
    """It stays unknown for now, and a later retry asks again."""
    if not said.startswith("The upstream"):
        said = f"The upstream was asked whether it took effect. {said}"
    return Refusal(
        "outcome-unknown",
        f"{no.detail} {said} The same call again after the time given asks once more.",
        retry_after_ms=max(retry_after_ms, 1),
        holder_run=no.holder_run,
        blocked_by=no.blocked_by,
        wait_ms=no.wait_ms,
        retryable=True,
    )
