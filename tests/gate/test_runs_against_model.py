"""Runs on the real Lua, on random interleavings: who holds what and for how long as a small model says, the promises as
invariants."""

from collections.abc import Iterator

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from sidecar.core.claim import Claim
from sidecar.core.guard import EndRun, Guard, Hold
from sidecar.gate.runs import name_of
from tests.gate.scripts import LEASE_MS, Scripts, claim
from tests.servers import Server

RUNS, LOCKS = ("A", "B", "C"), ("x", "y", "z")
NAMES = {run: name_of(("acme", "dunning", run)) for run in RUNS}
IDLE_MS = 20_000
TIMEOUT_MS = 30_000
STEPS = settings(
    max_examples=30,
    derandomize=True,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Machine(RuleBasedStateMachine):
    """Runs that call, wait, hold, end, fall silent and come back, while time passes."""

    server: Server
    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.lua = Scripts(self.server)
        self.lua.client.flushall()
        self.count = 0
        self.claims: dict[str, Claim] = {}
        self.fences: dict[str, int] = {}
        self.ends: dict[tuple[str, str], int] = {}
        """What the model knows: until when each run holds each lock."""
        self.begun: dict[str, set[tuple[str, str]]] = {}
        """What each granted call took for its run that the run did not hold before."""
        self.known: dict[str, str] = {}

    def teardown(self) -> None:
        self.lua.client.close()

    def holds(self, run: str, lock: str) -> bool:
        return self.ends.get((run, lock), 0) > self.lua.now

    def held_by(self, name: str) -> Iterator[tuple[str, str]]:
        asked = self.claims[name]
        return ((asked.run, guard.entity) for guard in asked.guards if isinstance(guard, Hold))

    def notice(self) -> None:
        """Whoever was granted something in the last step took it for its run."""
        states = self.lua.states()
        for name in sorted(states.keys() | self.known.keys()):
            now, before = states.get(name, ""), self.known.get(name, "")
            if now in ("granted", "offered") and before not in ("granted", "offered"):
                self.begun[name] = {pair for pair in self.held_by(name) if not self.holds(*pair)}
                self.ends |= dict.fromkeys(self.held_by(name), self.lua.now + LEASE_MS)
        self.known = states

    def drop(self, pairs: set[tuple[str, str]]) -> None:
        for pair in pairs:
            self.ends.pop(pair, None)

    @rule(
        target=calls,
        run=st.sampled_from(["", *RUNS, *RUNS]),
        locks=st.sets(st.sampled_from(LOCKS), min_size=1, max_size=2),
        hold=st.sampled_from(["", "xyz", "x", "yz"]),
        last=st.sampled_from([False, False, False, True]),
        mode=st.sampled_from(["ask", "ask", "now"]),
    )
    def come(self, run: str, locks: set[str], hold: str, last: bool, mode: str) -> str:
        self.count += 1
        name = f"c{self.count:03}"
        guards: tuple[Guard, ...] = tuple(
            Hold(lock, IDLE_MS if lock == "x" else 5_000) for lock in sorted(locks) if run and lock in hold
        )
        guards += (EndRun(),) if run and last else ()
        self.claims[name] = claim(
            name, None, tuple(sorted(locks)), guards=guards, run=run, timeout_ms=TIMEOUT_MS
        )
        free = all(not self.taken(lock, run) for lock in locks)
        said = self.lua.admit(self.claims[name], mode)
        assert (said[0] == "granted") == free
        assert (said[0] == "deadlocked") == (mode == "ask" and not free and self.closes_ring(name))
        if said[0] == "granted":
            self.fences[name] = said[1]
        self.notice()
        return name

    def taken(self, lock: str, run: str) -> bool:
        """Whether somebody else's hold is in the way of a call of that run; of nobody's run, anybody's."""
        by_call = self.lua.holders(f"lock:{lock}") - set(NAMES.values())
        by_run = any(self.holds(other, lock) for other in RUNS if other != run)
        waits = any(
            self.claims[name].locks and lock in self.claims[name].locks and self.stands(name) == lock
            for name, state in self.lua.states().items()
            if state == "waiting"
        )
        return bool(by_call) or by_run or (waits and not self.holds(run, lock))

    def stands(self, name: str) -> str:
        return next(
            (lock for lock in LOCKS if name in self.lua.line(f"lock:{lock}")), self.claims[name].locks[0]
        )

    def waits_for(self, name: str) -> set[str]:
        asked = self.claims[name]
        return {run for run in RUNS for lock in asked.locks if run != asked.run and self.holds(run, lock)}

    def closes_ring(self, name: str) -> bool:
        """Whether the runs that the call would wait for wait for its own, however far."""
        goal, states = self.claims[name].run, self.lua.states()
        if not any(self.holds(goal, lock) for lock in LOCKS):
            return False
        found, new = set[str](), self.waits_for(name)
        while new - found:
            found |= new
            tickets = [other for other, state in states.items() if state == "waiting"]
            new = {
                run for other in tickets if self.claims[other].run in found for run in self.waits_for(other)
            }
        return goal in found

    @rule(name=calls)
    def ask_again(self, name: str) -> None:
        if self.known.get(name) in ("waiting", "offered"):
            said = self.lua.admit(self.claims[name], "again")
            if said[0] == "granted":
                self.fences[name] = said[1]
            self.notice()

    @rule(name=consumes(calls), ending=st.sampled_from(["free", "free", "not_sent", "unknown"]))
    def settle(self, name: str, ending: str) -> None:
        asked, state = self.claims[name], self.lua.states().get(name)
        if self.lua.settle(name, self.fences.get(name, 0), ending, over=ending != "unknown") == "gone":
            return
        mine = {pair for pair in self.held_by(name) if self.holds(*pair)}
        if ending == "not_sent":
            self.drop(mine & self.begun[name])
            mine -= self.begun[name]
        if state == "granted":
            for guard in asked.guards:
                if isinstance(guard, Hold) and (asked.run, guard.entity) in mine:
                    self.ends[asked.run, guard.entity] = self.lua.now + min(LEASE_MS, guard.idle_ms)
        if ending != "not_sent" and EndRun() in asked.guards:
            self.drop({pair for pair in self.ends if pair[0] == asked.run})
        self.notice()

    @rule(name=consumes(calls))
    def leave(self, name: str) -> None:
        state = self.lua.states().get(name)
        if self.lua.leave(name) == "left" and state in ("granted", "offered"):
            self.drop(self.begun[name])
        self.notice()

    @rule(run=st.sampled_from(RUNS))
    def end(self, run: str) -> None:
        assert self.lua.run("end", NAMES[run], "")[2] == sum(self.holds(run, lock) for lock in LOCKS)
        self.drop({pair for pair in self.ends if pair[0] == run})
        self.notice()

    @rule(ms=st.sampled_from([100, 1_000, 1_900]), busy=st.booleans())
    def time_passes_with_all_alive(self, ms: int, busy: bool) -> None:
        """Tickets and leases are renewed; runs are kept, as busy or as quiet for as long as that."""
        self.lua.now += ms
        live = [name for name, state in self.lua.states().items() if state in ("waiting", "granted")]
        self.lua.renew(*live)
        self.lua.sweep()
        self.lapse()
        for run in RUNS:
            self.lua.run("keep", LEASE_MS, NAMES[run], 0 if busy else ms)
            for lock in LOCKS:
                if self.holds(run, lock):
                    idle = int(
                        self.lua.client.hget(self.lua.prefix + b"r:" + NAMES[run].encode(), f"lock:{lock}")
                    )
                    kept = min(LEASE_MS, idle - (0 if busy else ms))
                    self.ends[run, lock] = max(self.ends[run, lock], self.lua.now + kept)
        self.notice()

    def lapse(self) -> None:
        """Offers that nobody took are taken back, and what they began."""
        states = self.lua.states()
        for name, before in self.known.items():
            if before == "offered" and name not in states:
                self.drop(self.begun[name])

    @rule(ms=st.sampled_from([6_000, 16_000, 40_000]))
    def time_passes_with_all_dead(self, ms: int) -> None:
        offered = [name for name, state in self.known.items() if state == "offered"]
        dying = {name for name, state in self.known.items() if state == "granted"}
        self.lua.advance(ms)
        for name in offered:
            self.drop(self.begun[name])
        for name in dying:
            if self.lua.states().get(name) != "granted" and EndRun() in self.claims[name].guards:
                self.drop({pair for pair in self.ends if pair[0] == self.claims[name].run})
        self.notice()

    @invariant()
    def a_run_holds_what_the_model_says(self) -> None:
        for lock in LOCKS:
            holders = self.lua.holders(f"lock:{lock}")
            for run in RUNS:
                assert (NAMES[run] in holders) == self.holds(run, lock), (run, lock)

    @invariant()
    def a_lock_has_one_call_and_one_run(self) -> None:
        for lock in LOCKS:
            holders = self.lua.holders(f"lock:{lock}")
            runs, calls = holders & set(NAMES.values()), holders - set(NAMES.values())
            assert len(runs) <= 1
            assert len(calls) <= 1
            for name in calls if runs else ():
                assert NAMES.get(self.claims[name].run) in runs

    @invariant()
    def nobody_waits_for_what_is_free(self) -> None:
        for name, state in self.lua.states().items():
            if state == "waiting":
                asked = self.claims[name]
                assert any(
                    self.lua.holders(f"lock:{lock}") - {NAMES.get(asked.run, "")} for lock in asked.locks
                ), name

    @invariant()
    def where_nothing_is_held_and_nobody_waits_nothing_is_kept(self) -> None:
        if not self.lua.states() and not any(self.holds(run, lock) for run in RUNS for lock in LOCKS):
            self.lua.sweep()
            kept = {key.split(b":")[2] for key in self.lua.client.scan_iter()}
            assert not kept & {b"r", b"runs", b"o", b"due"}


def test_runs_do_what_the_model_says(shared: Server) -> None:
    machine = type("OnServer", (Machine,), {"server": shared})
    run_state_machine_as_test(machine, settings=STEPS)
