"""What waiting costs the others: ``python -m bench.waiting`` prints it for every server program at hand.

So many calls of a hundred tenants wait for one cap.  Then, one at a time: a call elsewhere in the same cell, with a
lock, an intent, four caps and a stored answer, where nobody waits; and a turn at the line, which is a newcomer that
begins to wait, a release that hands over, and its taking.  In us of the server's CPU, and of a caller's wait.
"""

import asyncio
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

from bench.report import table
from bench.store import server_cpu_s
from sidecar.core.claim import Cap, Claim, Flow, Intent
from sidecar.gate.scripts import script
from tests.gate.scripts import Scripts, terms
from tests.servers import Server, engines

DEPTHS = (0, 1_000, 100_000)
TENANTS = 100
SLOTS = 40
CAPS = (
    Cap("lane:write", 200),
    Cap("tenant:acme", 100),
    Cap("workflow:acme/w", 100),
    Cap("tool:crm:write", 100),
)
REACH = 2.0
"""The deepest line's cost over no line's, at most."""


def waiter(number: int) -> Claim:
    """A call that waits for a slot which everybody wants."""
    flow = Flow(f"t{number % TENANTS}", "interactive", 1, 8, 10**6, 10**6)
    return Claim(
        f"w{number:06}", "crm", "r", "write", "w", "run", flow, caps=(Cap("global", SLOTS),), wait_ms=10**9
    )


def elsewhere(number: int) -> Claim:
    """A call that waits for nobody."""
    intent = Intent(f"{number:032x}", "", "change", 600_000, False, 0)
    locks = (f"deal:{number}",)
    return Claim(
        f"e{number:06}", "crm", "r", "write", "w", "run", Flow("acme", "interactive"), intent, locks, CAPS
    )


class Line:
    """A cap that is used up, and who waits for it."""

    def __init__(self, scripts: Scripts, depth: int) -> None:
        self.scripts = scripts
        self.claims: dict[str, Claim] = {}
        self.holders: deque[tuple[str, int]] = deque()
        self._numbers = count()
        self._wakes = scripts.client.pubsub(ignore_subscribe_messages=True)
        self._wakes.subscribe(scripts.prefix + b"wake:here")
        for _ in range(SLOTS):
            asked = self.next()
            self.holders.append((asked.call, scripts.grant(asked)))
        self._fill(depth)

    def next(self) -> Claim:
        asked = waiter(next(self._numbers))
        self.claims[asked.call] = asked
        return asked

    def _fill(self, depth: int) -> None:
        sha = script("admit").sha.decode()
        pipe = self.scripts.client.pipeline(transaction=False)
        for number in range(depth):
            asked = self.next()
            pipe.evalsha(sha, 1, self.scripts.prefix, self.scripts.now, asked.call, "ask", *terms(asked))
            if number % 1000 == 999:
                pipe.execute()
        pipe.execute()

    def turn(self, _: int) -> None:
        """One begins to wait, one goes, and whose turn it is comes for it."""
        self.scripts.admit(self.next())
        self.scripts.settle(*self.holders.popleft(), "free")
        woken = None
        while woken is None:
            woken = self._wakes.get_message(timeout=1)
        asked = self.claims.pop(woken["data"].decode())
        self.holders.append((asked.call, self.scripts.admit(asked, "again")[1]))

    def call(self, number: int) -> None:
        """A call that this line does not concern."""
        self.scripts.do(elsewhere(number))


def cost(server: Server, calls: int, do: Callable[[int], None]) -> tuple[float, float]:
    """Of one: us of the server's CPU, and us until it is done."""
    for number in range(200):
        do(calls + number)
    server_s, wall_s = server_cpu_s(server), time.perf_counter()
    for number in range(calls):
        do(number)
    return (server_cpu_s(server) - server_s) / calls * 1e6, (time.perf_counter() - wall_s) / calls * 1e6


class Row(NamedTuple):
    """At one depth: us of the server's CPU, and us until it is done."""

    depth: int
    call: tuple[float, float]
    turn: tuple[float, float]


def rows(server: Server, calls: int) -> Iterator[Row]:
    """What each depth costs."""
    for depth in DEPTHS:
        with Scripts(server) as scripts:
            line = Line(scripts, depth)
            yield Row(depth, cost(server, calls, line.call), cost(server, calls, line.turn))


async def measure(program: str, calls: int) -> list[Row]:
    """One server program at every depth."""
    with tempfile.TemporaryDirectory(prefix="sc-") as folder:
        server = Server(program, Path(folder), keep=False)
        await server.start()
        try:
            return list(rows(server, calls))
        finally:
            server.stop()


def markdown(program: str, calls: int = 2_000) -> str:
    """The table, and what the deepest line costs more than none."""
    measured = asyncio.run(measure(program, calls))
    cells = [[f"{row.depth:,}", *(f"{figure:.0f}" for figure in (*row.call, *row.turn))] for row in measured]
    none, deepest = measured[0], measured[-1]
    head = (
        "waiting",
        "a pair elsewhere: server CPU us",
        "us in all",
        "a turn of the line: server CPU us",
        "us in all",
    )
    call, turn = deepest.call[0] / none.call[0], deepest.turn[0] / none.turn[0]
    return (
        f"{table(head, cells)}\n\nWith {deepest.depth:,} waiting, a pair elsewhere costs the server {call:.2f} x what "
        f"it costs with none, a turn {turn:.2f} x (at most {REACH:.0f})."
    )


def main() -> None:
    """Measure and print."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    for name, program in engines().items():
        print(f"{name}, {calls} of each, one at a time\n\n{markdown(program, calls)}\n")


if __name__ == "__main__":
    main()
