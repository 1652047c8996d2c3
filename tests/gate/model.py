"""What the scripts must do, in plain Python: the oracle that they are compared with, step by step.

It is written to be read, not to be fast: it keeps every holder with its instant and looks at all of them each time,
where Lua prunes, indexes and returns early.
"""

from dataclasses import dataclass, field
from typing import Any

from sidecar.core.claim import Claim
from sidecar.gate.gate import UNKNOWN_MS
from sidecar.gate.keyspace import SLACK_MS, lease_of
from tests.gate.scripts import LEASE_MS, START_MS

TICKET_MS, OFFER_MS, BATCH = 3000, 2000, 16


@dataclass
class Call:
    claim: Claim
    state: str = "new"
    fence: int = 0
    deadline: int = 0
    age: int = 0
    place: str = ""
    due: int = 0
    prior: "Record | None" = None

    @property
    def id(self) -> str:
        return self.claim.call

    @property
    def intent(self) -> str:
        return f"i:{self.claim.intent.key}" if self.claim.intent else ""

    @property
    def locks(self) -> list[str]:
        return [f"lock:{name}" for name in self.claim.locks]

    @property
    def places(self) -> dict[str, int]:
        return dict.fromkeys(self.locks, 1) | {f"cap:{cap.name}": cap.limit for cap in self.claim.caps}

    @property
    def timeout(self) -> int:
        return self.claim.timeout_ms + SLACK_MS

    @property
    def hold(self) -> int:
        return self.timeout + (UNKNOWN_MS if self.claim.quarantine == "resolved" else 0)

    @property
    def locks_end(self) -> int:
        return self.deadline - self.timeout + self.hold


@dataclass
class Record:
    word: str
    fence: int
    fingerprint: str
    owner: str
    ends: int = 0
    since: int = 0
    why: str = ""
    deadline: int = 0
    origin: str = ""
    answer: str = ""


@dataclass
class Model:
    now: int = START_MS
    fence: int = 0
    calls: dict[str, Call] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    versions: dict[str, tuple[int, int]] = field(default_factory=dict)
    held: dict[str, dict[str, int]] = field(default_factory=dict)

    # What a call meets.

    def holders(self, place: str, but: str = "") -> dict[str, int]:
        return {who: ends for who, ends in self.held.get(place, {}).items() if ends > self.now and who != but}

    def line(self, place: str) -> list[Call]:
        waiting = [call for call in self.calls.values() if call.state == "waiting" and call.place == place]
        return sorted(waiting, key=lambda call: (call.age, call.id))

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

    def refused(self, call: Call, prior: Record | None, heads: str = "") -> str:
        """The first place that refuses it; empty where none does."""
        ghost = prior.owner if prior and self.now >= prior.deadline else ""
        if call.intent and heads != call.intent and self.line(call.intent):
            return call.intent
        for place, limit in call.places.items():
            full = len(self.holders(place, but=ghost)) >= limit
            inherits = ghost in self.held.get(place, {})
            if full or (place != heads and not inherits and self.line(place)):
                return place
        return ""

    # What happens to it.

    def admit(self, claim: Claim, mode: str) -> list[Any]:
        known = self.calls.get(claim.call) if mode in ("again", "last") else None
        if known and known.state in ("granted", "offered"):
            self.take(known, "granted", lease_of(claim, LEASE_MS))
            return ["granted", known.fence, known.prior.origin if known.prior else claim.call]
        if known and known.state == "lapsed":
            return ["lapsed"]
        if known and known.state == "waiting":
            why = self.blocked(known, known.place)
            if self.twin(known)[0] not in ("", "running"):
                del self.calls[claim.call]
                self.dispatch([known.place])
                return self.ask(Call(claim), mode)
            if mode == "again":
                known.due = self.now + TICKET_MS
                return ["waiting", *why]
            del self.calls[claim.call]
            self.dispatch([known.place])
            return ["blocked", *why]
        return self.ask(Call(claim), mode)

    def ask(self, call: Call, mode: str) -> list[Any]:
        word, record = self.twin(call)
        if word and word != "running":
            assert record is not None
            return [
                word,
                *{"completed": [record.answer], "unknown": [self.now - record.since, record.why]}.get(
                    word, []
                ),
            ]
        place = call.intent if word else self.refused(call, record)
        if not place:
            self.grant(call, "granted", lease_of(call.claim, LEASE_MS), record)
            return ["granted", call.fence, record.origin if record else call.id]
        if mode in ("now", "last"):
            return ["blocked", *self.blocked(call, place)]
        waiting = [other for other in self.calls.values() if other.state == "waiting"]
        flow = call.claim.flow
        if sum(other.claim.flow.tenant == flow.tenant for other in waiting) >= flow.tenant_queue:
            return ["full", "tenant"]
        if len(waiting) >= flow.total_queue:
            return ["full", "total"]
        if word or record is None:
            self.fence += 1
            call.age = self.fence
        else:
            call.age = record.fence
        call.state, call.place, call.due = "waiting", place, self.now + TICKET_MS
        self.calls[call.id] = call
        return ["waiting", *self.blocked(call, place)]

    def blocked(self, call: Call, place: str) -> list[Any]:
        line = self.line(place)
        ahead = line.index(call) if call in line else len(line)
        if place == call.intent:
            record = self.records.get(place)
            at, holder = 0, record.owner if record else ""
            left = self.calls[holder].due - self.now if holder in self.calls else 0
        else:
            at = list(call.places).index(place) + 1
            first = min(((ends, who) for who, ends in self.holders(place).items()), default=(self.now, ""))
            holder, left = first[1], first[0] - self.now
        state = self.calls[holder].state if holder in self.calls else ""
        return [at, ahead, max(left, 0), state, holder]

    def grant(self, call: Call, state: str, lease: int, prior: Record | None) -> None:
        self.fence += 1
        if prior and self.now >= prior.deadline:
            for place in call.places:
                self.held.get(place, {}).pop(prior.owner, None)
        call.fence, call.prior = self.fence, prior
        self.calls[call.id] = call
        if call.claim.intent:
            self.records[call.intent] = Record("running", call.fence, call.claim.intent.fingerprint, call.id)
        self.take(call, state, lease)

    def take(self, call: Call, state: str, lease: int) -> None:
        call.state, call.place, call.due = state, "", self.now + lease
        call.deadline = self.now + call.timeout
        for place in call.places:
            ends = self.now + (call.hold if place in call.locks else lease)
            self.held.setdefault(place, {})[call.id] = ends

    def settle(self, name: str, fence: int, ending: str, changed: bool, over: bool) -> str:
        call = self.calls.get(name)
        if call is None or call.fence != fence or call.state == "waiting":
            return "gone"
        late = call.state == "lapsed"
        record = self.records.get(call.intent)
        if late and call.intent and (record is None or record.owner != name):
            return "lost"
        stays = ending == "unknown" and (not over or call.claim.quarantine == "resolved")
        freed = self.free(call, locks=not stays)
        if ending in ("not_sent", "free"):
            freed += self.undo(call)
        elif ending == "unknown":
            freed += self.doubt(call, "timeout")
        else:
            freed += self.complete(call, changed, ending)
        if stays:
            self.quarantine(call)
        else:
            del self.calls[name]
        self.dispatch(freed)
        return "late" if late else "settled"

    def free(self, call: Call, locks: bool) -> list[str]:
        places = [place for place in call.places if locks or place not in call.locks]
        for place in places:
            self.held.get(place, {}).pop(call.id, None)
        return places

    def undo(self, call: Call) -> list[str]:
        if not call.intent:
            return []
        if call.prior and call.prior.ends > self.now:
            self.records[call.intent] = call.prior
        else:
            self.records.pop(call.intent, None)
        return [call.intent]

    def complete(self, call: Call, changed: bool, ending: str) -> list[str]:
        intent = call.claim.intent
        keep = intent.window_ms if intent and intent.until == "change" else 0
        if intent:
            word = "completed" if ending == "answer" else "done"
            ends = self.now + intent.window_ms
            self.records[call.intent] = Record(
                word, call.fence, intent.fingerprint, call.id, ends, answer=f"by {call.id}"
            )
        if changed or keep:
            self.set_versions(call, call.fence if changed else 0, keep)
        return [call.intent] if intent else []

    def doubt(self, call: Call, why: str) -> list[str]:
        intent = call.claim.intent
        if intent:
            since, origin = (call.prior.since, call.prior.origin) if call.prior else (self.now, call.id)
            ends = self.now + UNKNOWN_MS
            self.records[call.intent] = Record(
                "unknown", call.fence, intent.fingerprint, call.id, ends, since, why, call.deadline, origin
            )
        self.set_versions(call, call.fence, UNKNOWN_MS if intent else 0)
        return [call.intent] if intent else []

    def set_versions(self, call: Call, fence: int, keep: int) -> None:
        for lock in call.locks:
            version, ends = self.versions.get(lock, (0, 0))
            if ends <= self.now and not keep:
                self.versions.pop(lock, None)
            else:
                self.versions[lock] = max(version, fence), max(ends, self.now + keep)

    def quarantine(self, call: Call) -> None:
        call.state = "lapsed"
        call.due = call.deadline if call.deadline > self.now else max(call.locks_end, self.now)

    def leave(self, name: str) -> str:
        call = self.calls.get(name)
        if call is None or call.state == "lapsed":
            return "gone"
        del self.calls[name]
        freed = [call.place] if call.state == "waiting" else self.free(call, locks=True) + self.undo(call)
        self.dispatch(freed)
        return "left"

    def renew(self, name: str) -> str:
        call = self.calls.get(name)
        if call is None or call.state == "lapsed":
            return "gone"
        if call.state == "waiting":
            call.due = self.now + TICKET_MS
        if call.state == "granted":
            call.due = min(self.now + lease_of(call.claim, LEASE_MS), call.deadline)
            for place in call.places.keys() - set(call.locks):
                self.held[place][name] = call.due
        return "held" if call.state == "granted" else call.state

    # Whose turn it is.

    def dispatch(self, freed: list[str]) -> None:
        for place in freed:
            while (line := self.line(place)) and self.give(place, line[0]):
                pass

    def give(self, place: str, call: Call) -> bool:
        """Try the head of a line; whether the next one is worth a try."""
        word, prior = self.twin(call)
        if word and word != "running":
            del self.calls[call.id]
            return True
        refused = call.intent if word else self.refused(call, prior, heads=place)
        if refused == place:
            return False
        if refused:
            call.place = refused
        else:
            self.grant(call, "offered", OFFER_MS, prior)
        return True

    def sweep(self) -> None:
        while due := sorted((call.due, call.id) for call in self.calls.values() if call.due <= self.now)[
            :BATCH
        ]:
            for _, name in due:
                if name in self.calls:
                    self.lapse(self.calls[name])

    def lapse(self, call: Call) -> None:
        if call.state in ("waiting", "offered"):
            self.leave(call.id)
            return
        if call.state == "lapsed" and self.now < call.locks_end:
            call.due = call.locks_end
            self.dispatch(call.locks)
            return
        freed = self.free(call, locks=call.state == "lapsed")
        if call.state == "lapsed":
            del self.calls[call.id]
        else:
            freed += self.doubt(call, "crash")
            self.quarantine(call)
        self.dispatch(freed)

    def advance(self, ms: int) -> None:
        self.now += ms
        self.sweep()
