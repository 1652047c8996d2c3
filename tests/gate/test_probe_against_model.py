"""Attempts that break anywhere, late truths, and askers that die: at most one effect, on random interleavings.

The model is an upstream and one intent.  An attempt takes effect at some instant before its request must be over, or
never, and whoever sent it may not learn which.  Askers see effects only ``LAG_MS`` after they happened, believe what
the store lets them, and may act on it as late as they like.
"""

from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.gate.scripts import Scripts, claim
from tests.servers import Server

LAG_MS, HOLD_MS, TIMEOUT_MS = 2_000, 3_000, 10_000
STEPS = settings(
    max_examples=100,
    derandomize=True,
    stateful_step_count=40,
    deadline=None,
    phases=(Phase.generate,),  # a history of this length takes a minute to shrink
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@dataclass
class Attempt:
    """One granted call."""

    fence: int
    effect_at: int | None
    settled: bool = False


@dataclass
class Heard:
    """What an asker heard, and may yet act on, even twice."""

    fence: int
    applied: bool


class Machine(RuleBasedStateMachine):
    server: Server

    def __init__(self) -> None:
        super().__init__()
        self.lua = Scripts(self.server)
        self.lua.client.flushall()
        self.count = 0
        self.attempts: dict[str, Attempt] = {}
        self.heard: list[Heard] = []
        self.asker, self.asker_until = "", 0
        """Who has the right to ask as the model knows it; empty, with a time to come: nobody has until then."""

    def teardown(self) -> None:
        self.lua.client.close()

    def effects(self, by: int) -> int:
        instants = [attempt.effect_at for attempt in self.attempts.values()]
        return sum(instant is not None and instant <= by for instant in instants)

    @rule(effect_ms=st.sampled_from([None, 0, 100, 5_000, TIMEOUT_MS]), locked=st.booleans())
    def come(self, effect_ms: int | None, locked: bool) -> None:
        self.count += 1
        name = f"c{self.count:03}"
        asked = claim(
            name,
            "x",
            ("deal:1",) if locked else (),
            window_ms=10**9,
            timeout_ms=TIMEOUT_MS,
            quarantine="resolved",
        )
        reply = self.lua.admit(asked, "now")
        if reply[0] == "granted":
            effect = None if effect_ms is None else self.lua.now + effect_ms
            self.attempts[name] = Attempt(reply[1], effect)
            self.asker, self.asker_until = "", 0

    @rule(data=st.data(), truth=st.booleans())
    def settle(self, data: st.DataObject, truth: bool) -> None:
        """Its sender hears the truth, or nothing.  Nobody learns of an effect that is still to come."""
        open_ = [name for name, attempt in self.attempts.items() if not attempt.settled]
        if not open_:
            return
        name = data.draw(st.sampled_from(open_))
        attempt = self.attempts[name]
        done = attempt.effect_at is not None and attempt.effect_at <= self.lua.now
        never = attempt.effect_at is None
        known = truth and (done or never)
        attempt.settled = True
        ending = ("answer" if done else "free") if known else "unknown"
        self.lua.settle(name, attempt.fence, ending, over=known, note="reset")

    @rule(name=st.sampled_from(["p1", "p2", "p3"]))
    def ask(self, name: str) -> None:
        word, fence, early_ms = self.lua.run("probe", name, "x", HOLD_MS, LAG_MS, "here")
        if word == "known":
            return
        held = self.asker_until > self.lua.now
        assert word == ("mine" if not held or self.asker == name else "theirs" if self.asker else "lately")
        if word != "mine":
            return
        self.asker, self.asker_until = name, self.lua.now + HOLD_MS
        applied = self.effects(self.lua.now - LAG_MS) > 0
        if applied or not early_ms:
            self.heard.append(Heard(fence, applied))

    @precondition(lambda self: self.heard)
    @rule(data=st.data())
    def act(self, data: st.DataObject) -> None:
        """However late it comes to it."""
        heard = self.heard[data.draw(st.integers(0, len(self.heard) - 1))]
        ending = "answer" if heard.applied else "free"
        word, more, _ = self.lua.run(
            "resolve", "x", heard.fence, ending, "", "200\n\nx" if heard.applied else ""
        )
        if more:
            self.lua.sweep()
        if word == "resolved":
            self.asker, self.asker_until = "", 0
            assert self.lua.client.exists(self.lua.prefix + b"i:x") == heard.applied

    @rule(name=st.sampled_from(["p1", "p2", "p3"]), rest_ms=st.sampled_from([0, 1_000]))
    def give_up(self, name: str, rest_ms: int) -> None:
        left = self.lua.run("unprobe", name, "x", rest_ms) == ["left"]
        assert left == (self.asker == name and self.asker_until > self.lua.now)
        if left:
            unknown = self.lua.run("peek", "unknown", 1, "x") != ["unknown"]
            self.asker, self.asker_until = "", self.lua.now + rest_ms if unknown else 0

    @rule(ms=st.sampled_from([10, 1_000, 3_000, 5_000, 11_000, 20_000]))
    def time_passes(self, ms: int) -> None:
        self.lua.advance(ms)
        if self.asker_until > self.lua.now:
            return  # the server counts this on its own clock
        key = self.lua.prefix + b"asker:x"
        self.lua.client.delete(key)

    @invariant()
    def there_is_one_effect_at_most(self) -> None:
        assert self.effects(self.lua.now + TIMEOUT_MS) <= 1

    @invariant()
    def what_is_free_again_was_not_applied(self) -> None:
        if self.attempts and not self.lua.client.exists(self.lua.prefix + b"i:x"):
            assert not self.effects(self.lua.now)


def test_whoever_breaks_or_asks_or_dies_there_is_one_effect_at_most(shared: Server) -> None:
    machine = type("OnServer", (Machine,), {"server": shared})
    run_state_machine_as_test(machine, settings=STEPS)
