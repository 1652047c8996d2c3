"""What is paused: tools whose upstream wants to be left alone, and whatever people paused.

Theory.  An upstream's pause is a place that calls queue at, so the store judges it (``lua/paused.lua``) and a sidecar
only needs to know that it must be asked.  A person's pause has no probe and, mostly, no end; and it must hold for
calls that ask nothing of the store, and while the store is away.  So each sidecar judges it, by what it last knew.

That is as strict as a script would be.  The message of a pause arrives on the connection that replies come by, in
order: a grant that was given after a pause is read after it, and given back unused.  A sidecar learns what is
paused when it connects, and again every few seconds.
"""

from collections.abc import Iterable
from math import inf
from typing import Any, Literal, NamedTuple, TypeAlias, cast, get_args

import orjson

from sidecar.core.claim import Claim
from sidecar.core.refusal import Refusal
from sidecar.gate.clock import clock
from sidecar.gate.safe import safe

Kind: TypeAlias = Literal["tool", "tenant", "workflow", "lane"]
ENDLESS_RETRY_MS = 60_000
"""A person ends it, nobody knows when; asking once a minute costs nobody much."""


class Halt(NamedTuple):
    """One person's pause."""

    kind: Kind
    name: str
    by: str
    why: str
    ends_s: float
    """By our monotonic clock; infinite where only a person ends it."""

    def refusal(self, wait_ms: int) -> Refusal:
        """What a call that it stops is told."""
        endless = self.ends_s == inf
        left_ms = ENDLESS_RETRY_MS if endless else max(int((self.ends_s - clock()) * 1000), 1)
        until = "until a person resumes it" if endless else f"for {left_ms / 1000:.0f} s more"
        why = f": {self.why.rstrip('.')}" if self.why else ""
        text = (
            f"{self.kind.capitalize()} {self.name} is paused {until}, by {self.by}{why}. Nothing was sent. Do not "
            "look for another way to do the same; leave this step, say so to whoever relies on it, and retry after the "
            "time given."
        )
        by = f"pause:{self.kind}:{self.name}"
        return Refusal("tool-paused", text, retry_after_ms=left_ms, blocked_by=by, wait_ms=wait_ms)


def place_of(kind: str, name: str) -> str:
    """What is paused, as the store knows it."""
    return f"{kind}:{safe(name)}"


def packed(kind: str, name: str, by: str, why: str) -> bytes:
    """The ``said`` of ``halt``."""
    return orjson.dumps([kind, name, by, why])


def unpacked(said: bytes) -> tuple[Kind, str, str, str]:
    """Kind, name, by and why."""
    kind, name, by, why = orjson.loads(said)
    return cast("Kind", kind), name, by, why


class Pauses:
    """What one sidecar knows of them."""

    def __init__(self) -> None:
        self.places: set[str] = set()
        """``pause:<tool>`` of upstreams, ``tool:<name>`` and the like of people.  One set for good."""
        self.heard = 0
        """Messages so far: what was read before one of them came may be older than it."""
        self._halts: dict[str, Halt] = {}

    def hear(self, message: bytes) -> bool:
        """Take a message of the store.  Whether a person's pause began or ended."""
        self.heard += 1
        word, _, rest = message.partition(b":")
        if word == b"pause":
            self.places.add(message.decode())
        elif word == b"open":
            self.places.discard("pause:" + rest.decode())
        elif word == b"halt":
            left_ms, _, said = rest.split(b" ", 2)
            self._halt(int(left_ms), said)
            return True
        elif word == b"resume":
            self._end(rest.decode())
            return True
        return False

    def learn(self, items: Iterable[list[Any]]) -> bool:
        """All of it anew, as the store says it.  Whether people paused something else than was known."""
        known = self._halts.keys() | set()
        self.places.clear()
        self._halts.clear()
        for place, left_ms, *rest in items:
            if len(rest) == 1:
                self.places.add(place.decode())
            else:
                self._halt(left_ms, rest[1])
        return self._halts.keys() != known

    def tools(self) -> set[str]:
        """Tools whose upstream wants to be left alone."""
        return {place.removeprefix("pause:") for place in self.places if place.startswith("pause:")}

    def by_people(self) -> dict[str, int]:
        """How many tools, tenants, workflows and lanes people paused."""
        halts = [halt for halt in self._halts.values() if clock() < halt.ends_s]
        return {kind: sum(halt.kind == kind for halt in halts) for kind in get_args(Kind)}

    def upstream(self, tool: str) -> bool:
        """Whether the tool's own upstream wants to be left alone."""
        return "pause:" + tool in self.places

    def halt_of(self, tool: str, tenant: str, workflow: str, lane: str) -> Halt | None:
        """The person's pause that stops such a call; of several the one that ends last."""
        if not self._halts:
            return None
        named = (("tool", tool), ("tenant", tenant), ("workflow", workflow), ("lane", lane))
        found = [self._halts.get(place_of(kind, name)) for kind, name in named if name]
        stops = [halt for halt in found if halt is not None and self._holds(halt)]
        return max(stops, key=lambda halt: halt.ends_s) if stops else None

    def halt_for(self, claim: Claim) -> Halt | None:
        """The same for a claim."""
        return self.halt_of(claim.tool, claim.flow.tenant, claim.workflow, claim.lane)

    def _holds(self, halt: Halt) -> bool:
        if clock() < halt.ends_s:
            return True
        self._end(place_of(halt.kind, halt.name))
        return False

    def _halt(self, left_ms: int, said: bytes) -> None:
        halt = Halt(*unpacked(said), clock() + left_ms / 1000 if left_ms >= 0 else inf)
        place = place_of(halt.kind, halt.name)
        self._halts[place] = halt
        self.places.add(place)

    def _end(self, place: str) -> None:
        self._halts.pop(place, None)
        self.places.discard(place)
