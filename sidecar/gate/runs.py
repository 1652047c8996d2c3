"""Runs that hold locks between their calls, as far as this process serves them.

The store keeps a lock for a run one lease at a time.  Whoever serves the run says so again and again, and how long the
run has been quiet, and the store counts that against the idle time of each lock: so a run's locks end a lease after its
last sidecar, and an idle time after its last call.  It is forgotten here once the
store has let it go.
"""

from collections.abc import Coroutine
from dataclasses import dataclass, field
from hashlib import sha1
from math import inf
from typing import Any, Final, TypeVar

from sidecar.core.claim import Claim
from sidecar.core.guard import Hold
from sidecar.gate.clock import clock
from sidecar.gate.lease import Ungated

T = TypeVar("T")
Who = tuple[str, str, str]
"""Tenant, workflow, run."""
_SHORTEST_S: Final = 0.05


def name_of(who: Who) -> str:
    """As it stands among the holders of a lock; ``run.lua`` makes the same of a call."""
    text = "\n".join(part.replace("\n", " ") for part in who)
    return "~" + sha1(text.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()


@dataclass(slots=True)
class Held:
    """One run that holds something."""

    idle_ms: int
    """The shortest of its locks'."""
    calls: set[str] = field(default_factory=set)
    """Under way here."""
    ended_s: float = -inf
    """When the last one ended."""
    renew_s: float = 0.0

    def quiet_ms(self, now_s: float) -> int:
        """Since its last call ended; none while one is under way."""
        return 0 if self.calls else int((now_s - self.ended_s) * 1000)


class Runs:
    """The runs that hold something, and their calls."""

    def __init__(self, lease_ms: int) -> None:
        self.held: dict[Who, Held] = {}
        self._lease_s = lease_ms / 1000

    def granted(self, claim: Claim) -> None:
        """A call goes; its run holds what its guards say."""
        idle_ms = min((guard.idle_ms for guard in claim.guards if isinstance(guard, Hold)), default=0)
        if idle_ms:
            known = self.held.setdefault(_who(claim), Held(idle_ms))
            known.idle_ms = min(known.idle_ms, idle_ms)
        self.began(claim)

    def began(self, claim: Claim) -> None:
        """A call of a run waits, or is under way."""
        held = self.held.get(_who(claim))
        if held is not None:
            held.calls.add(claim.call)

    def ended(self, claim: Claim) -> None:
        held = self.held.get(_who(claim))
        if held is not None:
            held.calls.discard(claim.call)
            held.ended_s = clock()
            held.renew_s = min(held.renew_s, held.ended_s + held.idle_ms / 3000)

    def due(self, now_s: float) -> dict[Who, Held]:
        """Those to be kept now."""
        return {who: held for who, held in self.held.items() if held.renew_s <= now_s}

    def kept(self, held: Held, asked_s: float) -> None:
        """The store still has it."""
        held.renew_s = asked_s + min(self._lease_s, held.idle_ms / 1000) / 3

    def gone(self, who: Who, held: Held, asked_s: float) -> None:
        """The store has nothing of it.  Where a call is under way it may begin to hold again."""
        if held.calls:
            held.renew_s = asked_s + self._lease_s / 3
        else:
            self.held.pop(who, None)

    def pause_s(self, longest_s: float) -> float:
        """Until it is worth looking again."""
        first_s = min((held.renew_s for held in self.held.values()), default=inf)
        return max(min(longest_s, first_s - clock()), _SHORTEST_S)


class Passing(Ungated):
    """A lease of nothing for a call of a run that holds something: it ends the run's quiet."""

    __slots__ = ("_claim", "_runs")

    def __init__(self, claim: Claim, runs: Runs) -> None:
        super().__init__("", "")
        self._claim = claim
        self._runs = runs

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        self._runs.began(self._claim)
        try:
            return await work
        finally:
            self._runs.ended(self._claim)


def _who(claim: Claim) -> Who:
    return claim.flow.tenant, claim.workflow, claim.run
