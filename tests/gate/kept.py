"""What the model keeps, and what a call meets there: nothing in this file changes anything."""

from dataclasses import dataclass, field
from math import ceil
from typing import Any

from sidecar.core.claim import Cap
from tests.gate.lines import Call, Line, Record
from tests.gate.scripts import START_MS


@dataclass
class Kept:
    now: int = START_MS
    fence: int = 0
    calls: dict[str, Call] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    versions: dict[str, tuple[int, int]] = field(default_factory=dict)
    held: dict[str, dict[str, int]] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)
    senior: Call | None = None

    def holders(self, place: str, but: str = "") -> dict[str, int]:
        return {who: ends for who, ends in self.held.get(place, {}).items() if ends > self.now and who != but}

    def line(self, place: str) -> list[Call]:
        return self.lines[place].all() if place in self.lines else []

    def changed_since(self, call: Call, fence: int) -> bool:
        versions = (self.versions.get(lock, (0, 0)) for lock in call.locks)
        return any(version > fence and ends > self.now for version, ends in versions)

    def twin(self, call: Call) -> tuple[str, Record | None]:
        """The word of its record, empty where it is free; and the unknown attempt that may be run again."""
        record = self.records.get(call.intent)
        intent = call.claim.intent
        if record is None or intent is None or (record.word != "running" and record.ends <= self.now):
            return "", None
        if record.fingerprint != intent.fingerprint:
            return "reused", record
        if record.word == "running":
            return "running", record
        if record.word in ("completed", "done"):
            stale = intent.until == "change" and self.changed_since(call, record.fence)
            return ("", None) if stale else (record.word, record)
        in_time = self.now <= record.since + intent.resend_ms
        unchanged = not self.changed_since(call, record.fence)
        if intent.resend and (in_time if intent.resend_ms else unchanged):
            return "", record
        return "unknown", record

    def mins(self, call: Call, place: str, text: Cap | None) -> tuple[int, str, str]:
        """What is kept from it there; whose slots it is owed itself; else, who is owed and waits."""
        taken, own, other = 0, "", ""
        for least in text.mins if text else ():
            owed = least.slots - len(self.holders(f"cap:{least.name}"))
            if owed > 0 and f"cap:{least.name}" in call.caps:
                own = least.name
            elif owed > 0:
                waiting = len(self.owned(least.name, place))
                other = other or (least.name if waiting else "")
                taken += min(owed, waiting) if least.lent else owed
        return (0, own, "") if own else (taken, "", other)

    def owned(self, owner: str, place: str) -> list[Call]:
        """An owner's calls that wait for slots that are kept for it."""
        calls = (call for call in self.line(place) if f"cap:{owner}" in call.caps)
        calls = (call for call in calls if owner in [least.name for least in call.cap(place).mins])
        return sorted(calls, key=lambda call: (call.age, call.id))

    def refused(self, call: Call, prior: Record | None, heads: str = "") -> tuple[str, str]:
        """The first place that refuses it, empty where none does; and who is owed a slot there."""
        ghost = prior.owner if prior and self.now >= prior.deadline else ""
        if call.intent and heads != call.intent and self.line(call.intent):
            return call.intent, ""
        for place in call.places:
            inherits = ghost in self.held.get(place, {})
            kept = not inherits and self.senior not in (None, call) and place in self.senior.places
            line = self.lines.get(place)
            known = line.limit if line and heads else None
            cap = known or call.cap(place)
            taken, own, other = self.mins(call, place, cap)
            passes = place == heads or inherits or self.senior is call or (own and not self.owned(own, place))
            held = len(self.holders(place, but=ghost)) + kept + taken
            passes = passes or line is None or (heads != "" and line.may_pass(call))
            if not passes or held >= cap.limit:
                return place, other
        return "", ""

    def wall(self, call: Call, place: str) -> list[Any]:
        waiting = [other for other in self.calls.values() if other.state == "waiting"]
        flow = call.claim.flow
        turn = self.lines[place].paces.get(call.flow, (0, 0))[0] / 1000 if place in self.lines else 0
        if sum(other.claim.flow.tenant == flow.tenant for other in waiting) >= flow.tenant_queue:
            return ["tenant", ceil(turn)]
        if len(waiting) >= flow.total_queue:
            return ["total", ceil(turn)]
        wait = 0 if place == call.intent else turn * self.ahead(call, place)
        return ["time", ceil(wait - call.claim.wait_ms)] if wait > call.claim.wait_ms else []

    def ahead(self, call: Call, place: str) -> int:
        """How many of its flow stand before it, or would if it stood there."""
        if call is self.senior or place not in self.lines:
            return 0
        fifo = self.lines[place].fifo(*call.flow)
        return fifo.index(call) if call in fifo else len(fifo)

    def blocked(self, call: Call, place: str) -> list[Any]:
        ahead = self.ahead(call, place)
        if place == call.intent:
            record = self.records.get(place)
            at, holder = 0, record.owner if record else ""
            left = self.calls[holder].due - self.now if holder in self.calls else 0
        else:
            at = call.places.index(place) + 1
            first = min(((ends, who) for who, ends in self.holders(place).items()), default=(self.now, ""))
            holder, left = first[1], first[0] - self.now
        state = self.calls[holder].state if holder in self.calls else ""
        return [at, ahead, max(left, 0), state, holder]
