"""A cap that finds its own limit, against an upstream whose capacity a test changes; all time is simulated."""

import heapq
from statistics import mean

import pytest

from sidecar.core.claim import AutoCap, Cap, Claim
from tests.gate.scripts import Scripts, claim

PLACE = "cap:tool:crm:write"
SERVICE_MS = 100


def adaptive(call: str, least: int = 1, most: int = 200) -> Claim:
    caps = AutoCap("tool:crm:write", least, most), Cap("global", 1000)
    return claim(call, timeout_ms=600_000)._replace(caps=caps)


class Upstream:
    """Works on ``capacity`` calls at once, each for ``service_ms``; the others queue there, unseen."""

    def __init__(self, scripts: Scripts, capacity: int) -> None:
        self.scripts = scripts
        self.capacity = capacity
        self.service_ms = SERVICE_MS
        self.fails = False
        self.count = 0
        self._workers: list[int] = []
        self._flight: list[tuple[int, str, int]] = []

    def _send(self, call: str, fence: int) -> None:
        now = self.scripts.now
        self._workers = [end for end in self._workers if end > now]
        free_at = sorted(self._workers)[-self.capacity] if len(self._workers) >= self.capacity else now
        done = max(free_at, now) + self.service_ms
        heapq.heappush(self._workers, done)
        heapq.heappush(self._flight, (done, call, fence))

    def serve(self, answers: int, least: int = 1, most: int = 200, demand: int = 1000) -> list[int]:
        """Callers ask for all that is to be had; how many were in flight at each of so many answers."""
        seen = []
        for _ in range(answers):
            while len(self._flight) < demand:
                self.count += 1
                reply = self.scripts.admit(adaptive(f"c{self.count}", least, most), "now")
                if reply[0] != "granted":
                    break
                self._send(f"c{self.count}", reply[1])
            seen.append(len(self._flight))
            done, call, fence = heapq.heappop(self._flight)
            self.scripts.now = max(done, self.scripts.now)
            self.scripts.settle(call, fence, "unknown" if self.fails else "free")
        return seen


@pytest.mark.parametrize("capacity", [3, 25])
def test_it_converges_near_what_the_upstream_takes_at_once(scripts: Scripts, capacity: int) -> None:
    upstream = Upstream(scripts, capacity)
    upstream.serve(1500)
    assert 0.8 * capacity <= mean(upstream.serve(500)) <= 1.5 * capacity + 1


def test_it_follows_an_upstream_that_takes_less_and_then_more(scripts: Scripts) -> None:
    upstream = Upstream(scripts, 20)
    upstream.serve(2000)
    upstream.capacity = 5
    upstream.serve(1500)
    assert 4 <= mean(upstream.serve(500)) <= 8.5
    upstream.capacity = 20
    upstream.serve(1500)
    assert 16 <= mean(upstream.serve(500)) <= 31


def test_it_believes_an_upstream_that_became_slower_for_good(scripts: Scripts) -> None:
    upstream = Upstream(scripts, 10)
    upstream.serve(1500)
    upstream.service_ms = 500
    upstream.serve(2000)
    assert 8 <= mean(upstream.serve(500)) <= 16


def test_it_backs_off_on_errors_and_never_below_one(scripts: Scripts) -> None:
    upstream = Upstream(scripts, 20)
    upstream.serve(1500)
    upstream.fails = True
    seen = upstream.serve(300)
    assert seen[-1] == 1
    assert min(seen) == 1


def test_it_keeps_within_what_is_written(scripts: Scripts) -> None:
    upstream = Upstream(scripts, 50)
    assert max(upstream.serve(1000, 3, 12)) == 12
    upstream.fails = True
    assert upstream.serve(300, 3, 12)[-1] == 3


def test_a_limit_that_nobody_meets_does_not_grow(scripts: Scripts) -> None:
    upstream = Upstream(scripts, 100)
    upstream.serve(500, demand=3)
    assert upstream.serve(1)[0] == 8


def test_being_turned_away_backs_off_at_once_and_once_a_round_trip(scripts: Scripts) -> None:
    fences = {f"c{n}": scripts.grant(adaptive(f"c{n}")) for n in range(8)}
    scripts.now += 100
    for call, fence in fences.items():
        scripts.run("pause", call, "crm", 0)
        scripts.settle(call, fence, "free")
    for n in range(4):
        scripts.grant(adaptive(f"d{n}"))
    assert scripts.admit(adaptive("d4"), "now")[0] == "blocked"


def test_a_lower_limit_drops_nobody(scripts: Scripts) -> None:
    for n in range(8):
        scripts.grant(adaptive(f"c{n}"))
    scripts.run("pause", "c0", "crm", 0)
    assert len(scripts.holders(PLACE)) == 8
