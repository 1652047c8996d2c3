"""Agents that call, wait, hold and call again, on the real scripts and a simulated clock.

Wake-ups are real messages.  Each step ends when a message of ours, sent after it, comes back: so all that it sent have.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from sidecar.core.claim import Claim
from tests.gate.scripts import START_MS, Scripts

RENEW_MS = 1000


@dataclass(eq=False)
class Agent:
    """One thread of a tenant: it has one call at a time."""

    ask: Callable[[str], Claim]
    """The claim of its next call, of which it is given the id."""
    hold_ms: int = 30
    think_ms: int = 0
    starts_ms: int = 0
    random: Random | None = None
    """If given, it thinks from nothing to twice as long."""
    waits: list[int] = field(default_factory=list)
    refused: list[list[Any]] = field(default_factory=list)
    claim: Claim = field(init=False)
    since: int = 0


class Crowd:
    """Everybody who calls, and the time."""

    def __init__(self, scripts: Scripts, agents: list[Agent]) -> None:
        self.scripts = scripts
        self.agents = agents
        self.held: Counter[str] = Counter()
        """Slots in use, as the upstream would count them."""
        self.waiting: dict[str, Agent] = {}
        self.grants: list[tuple[int, Agent]] = []
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self._names = (f"c{n:06}" for n in count())
        self._wakes = scripts.client.pubsub()
        self._channel = scripts.prefix + b"wake:here"

    def run(self, ms: int) -> None:
        """Let time pass."""
        self._wakes.subscribe(self._channel)
        for agent in self.agents:
            self._at(START_MS + agent.starts_ms, lambda agent=agent: self._call(agent))
        self._at(START_MS + RENEW_MS, self._renew)
        while self._events and self._events[0][0] <= START_MS + ms:
            self.scripts.now, _, event = heapq.heappop(self._events)
            event()
            for name in self._woken():
                self._ask(self.waiting.pop(name), "again")
            self.check()
        self._wakes.close()

    def check(self) -> None:
        """What must hold whenever nothing happens."""

    def fits(self, claim: Claim, kept: Container[str] = ()) -> bool:
        """There is room at everything that it needs, though a slot of each of ``kept`` is not for it."""
        return all(self.held[place] + (place in kept) < limit for place, limit in places(claim).items())

    def served(self, by: Callable[[Claim], str]) -> Counter[str]:
        """How many grants each had."""
        return Counter(by(agent.claim) for _, agent in self.grants)

    def _call(self, agent: Agent) -> None:
        agent.claim, agent.since = agent.ask(next(self._names)), self.scripts.now
        self._ask(agent, "ask")

    def _ask(self, agent: Agent, mode: str) -> None:
        reply = self.scripts.admit(agent.claim, mode)
        if reply[0] == "granted":
            self._go(agent, reply[1])
        elif reply[0] == "waiting":
            self.waiting[agent.claim.call] = agent
        else:
            agent.refused.append(reply)
            self._at(self.scripts.now + max(reply[2], 1), lambda: self._call(agent))

    def _go(self, agent: Agent, fence: int) -> None:
        agent.waits.append(self.scripts.now - agent.since)
        self.grants.append((self.scripts.now, agent))
        for place, limit in places(agent.claim).items():
            self.held[place] += 1
            assert self.held[place] <= limit, f"{place} is held {self.held[place]} times"
        self._at(self.scripts.now + agent.hold_ms, lambda: self._end(agent, fence))

    def _end(self, agent: Agent, fence: int) -> None:
        self.held.subtract(places(agent.claim).keys())
        self.scripts.settle(agent.claim.call, fence, "free")
        think_ms = agent.random.randint(0, 2 * agent.think_ms) if agent.random else agent.think_ms
        self._at(self.scripts.now + think_ms, lambda: self._call(agent))

    def _renew(self) -> None:
        self.scripts.renew(*self.waiting)
        self._at(self.scripts.now + RENEW_MS, self._renew)

    def _at(self, when: int, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), event))

    def _woken(self) -> Iterator[str]:
        self.scripts.client.publish(self._channel, "")
        while True:
            message = self._wakes.get_message(ignore_subscribe_messages=True, timeout=1)
            if message and not message["data"]:
                return
            if message:
                yield message["data"].decode()


def places(claim: Claim) -> dict[str, int]:
    """What it needs, and how many may hold each."""
    return dict.fromkeys(claim.locks, 1) | {cap.name: cap.limit for cap in claim.caps}
