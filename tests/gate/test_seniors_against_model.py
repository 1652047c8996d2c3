"""The Lua against the model where many calls need several places: who is passed over, and for whom slots are kept.

Chance alone seldom keeps a ticket waiting for long enough, so here everything is short of everything, and long.
"""

from random import Random

import pytest

from sidecar.core.claim import Claim, Min
from tests.gate.model import Model
from tests.gate.scripts import Scripts, claim

PLACES = (*(f"lock:{name}" for name in "abcde"), "cap:global", "cap:lane", "i:x")
MINS = ((), (Min("lane", 1, lent=False),), (Min("lane", 2, lent=True),))

SEEDS = 16


def asked(random: Random, number: int, mins: tuple[Min, ...]) -> Claim:
    locks = random.sample("abcde", random.choice([1, 1, 1, 1, 1, 5]))
    caps = random.choice([{}, {}, {"global": 3}, {"global": 3}, {"lane": 2, "global": 3}])
    intent = "x" if random.random() < 0.1 else None
    return claim(
        f"c{number:03}",
        intent,
        ("a", "b") if intent else tuple(sorted(locks)),
        caps,
        mins=mins,
        tenant="t1" if len(locks) > 1 else random.choice(["t1", "t2", "t2"]),
        priority=random.choice(["interactive", "background"]),
    )


class Both:
    """The same done to both."""

    def __init__(self, scripts: Scripts) -> None:
        self.lua, self.model = scripts, Model()
        self.claims: dict[str, Claim] = {}
        self.fences: dict[str, int] = {}

    def ask(self, name: str, mode: str) -> None:
        got, expected = self.lua.admit(self.claims[name], mode), self.model.admit(self.claims[name], mode)
        assert got[: len(expected)] == expected
        if got[0] == "granted":
            self.fences[name] = got[1]

    def settle(self, name: str) -> None:
        ending = "answer" if self.claims[name].intent else "free"
        fence = self.fences.pop(name)
        answer = f"by {name}".encode()
        assert self.lua.settle(name, fence, ending, answer=answer) == self.model.settle(
            name, fence, ending, True, True
        )

    def leave(self, name: str) -> None:
        assert self.lua.leave(name) == self.model.leave(name)

    def of(self, state: str) -> list[str]:
        return sorted(call.id for call in self.model.calls.values() if call.state == state)

    def agree(self) -> None:
        assert self.lua.states() == {name: call.state for name, call in self.model.calls.items()}
        assert self.lua.senior() == (self.model.senior.id if self.model.senior else "")
        for place in PLACES:
            line = self.model.lines.get(place)
            assert self.lua.flows(place) == (line.flows() if line else [])


@pytest.mark.parametrize("mins", MINS, ids=["none", "kept", "lent"])
def test_the_lua_does_what_the_model_says_of_seniors(scripts: Scripts, mins: tuple[Min, ...]) -> None:
    seniors = set()
    for seed in range(SEEDS):
        scripts.client.flushall()
        random, both = Random(seed), Both(scripts)
        for step in range(300):
            waiting, offered, granted = both.of("waiting"), both.of("offered"), both.of("granted")
            if offered and random.random() < 0.7:
                both.ask(random.choice(offered), "again")
            elif granted and random.random() < 0.6:
                both.settle(random.choice(granted))
            elif waiting and random.random() < 0.08:
                both.leave(both.lua.senior() or random.choice(waiting))
            elif len(waiting) < 12:
                both.claims[f"c{step:03}"] = asked(random, step, mins)
                both.ask(f"c{step:03}", "ask")
            both.agree()
            seniors.add((seed, both.lua.senior()))
    assert len(seniors) > SEEDS + 10
