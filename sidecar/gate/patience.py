"""How long a call goes on asking.

Two clocks.  In a line it waits as long as its lane says.  At a guard it waits as long as the guard says, since a person
or an earlier step takes another time than a slot; what it waits there is not taken from its time in line.
"""

from math import inf
from typing import Any

from sidecar.core.claim import Claim
from sidecar.gate.clock import clock

GUARD_S = 0.25
"""Between two looks at a guard that nobody said anything about."""


class Patience:
    """One call's."""

    def __init__(self, claim: Claim, began_s: float) -> None:
        self.ends_s = began_s + claim.wait_ms / 1000
        """When it asks a last time."""
        self._line_ends_s = self.ends_s
        self._guard_ends_s: dict[int, float] = {}
        self._at_guard_s = 0.0
        """Since when it stands at one; zero while it stands in line."""
        self._longest_s = 0.0

    def waits(self, reply: list[Any], asked_s: float) -> bool:
        """Whether ``reply``, to what was asked then, is worth waiting on."""
        now_s = clock()
        if reply[0] == b"waiting":
            if self._at_guard_s:
                self._line_ends_s += now_s - self._at_guard_s
                self._at_guard_s = 0.0
            self.ends_s, self._longest_s = self._line_ends_s, _pause_s(reply)
            return True
        if reply[0] != b"guarded":
            return False
        self._at_guard_s = self._at_guard_s or now_s
        nth, patience_ms = reply[1], reply[2]
        self.ends_s = min(self._guard_ends_s.get(nth, inf), now_s + patience_ms / 1000)
        self._guard_ends_s[nth] = self.ends_s
        self._longest_s = GUARD_S
        return now_s < self.ends_s and asked_s < self.ends_s

    def pause_s(self) -> float:
        """Until it is worth asking again although nobody woke it."""
        return min(self.ends_s - clock(), self._longest_s)


def _pause_s(reply: list[Any]) -> float:
    """When what stands in the way ends by itself."""
    _, _at, _ahead, left_ms, _state, holder, _about = reply
    return max(left_ms / 1000, 0.05) if left_ms or holder else 1.0
