"""What the scripts must do, in plain Python: the oracle that they are compared with, step by step.

It is written to be read, not to be fast: it keeps every holder with its instant and looks at all of them each time,
where Lua prunes, indexes and returns early.
"""

from dataclasses import dataclass, field
from math import ceil
from typing import Any

from sidecar.core.claim import Cap, Claim
from sidecar.gate.gate import UNKNOWN_MS
from sidecar.gate.keyspace import SLACK_MS, lease_of
from tests.gate.scripts import LEASE_MS, START_MS

TICKET_MS, OFFER_MS, BATCH = 3000, 2000, 16
BYPASSES, STRIDE = 4, 720_720


@dataclass
class Call:
    claim: Claim
    state: str = "new"
    fence: int = 0
    deadline: int = 0
    age: int = 0
    place: str = ""
    bypassed: int = 0
    due: int = 0
    prior: "Record | None" = None

    @property
    def id(self) -> str:
        return self.claim.call

    @property
    def flow(self) -> tuple[str, str]:
        return self.claim.flow.priority, self.claim.flow.tenant

    @property
    def intent(self) -> str:
        return f"i:{self.claim.intent.key}" if self.claim.intent else ""

    @property
    def locks(self) -> list[str]:
        return [f"lock:{name}" for name in self.claim.locks]

    @property
    def caps(self) -> dict[str, Cap]:
        return {f"cap:{cap.name}": cap for cap in self.claim.caps}

    @property
    def places(self) -> list[str]:
        return [*self.locks, *self.caps]

    def cap(self, place: str) -> Cap:
        """A lock is a cap of one."""
        return self.caps.get(place, Cap(place, 1))

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
class Level:
    """Flows by pass, and the pass served last."""

    clock: int = 0
    passes: dict[str, int] = field(default_factory=dict)

    def order(self) -> list[str]:
        return sorted(self.passes, key=lambda flow: (self.passes[flow], flow))

    def begin(self, flow: str, weight: int) -> None:
        self.passes.setdefault(flow, self.clock + STRIDE // weight)

    def charge(self, flow: str, weight: int) -> None:
        if flow in self.passes:
            self.clock = min(self.passes.values())
            self.passes[flow] += STRIDE // weight


@dataclass
class Line:
    """Who stands at a place: priorities, in each the tenants, in each the oldest first."""

    priorities: Level = field(default_factory=Level)
    tenants: dict[str, Level] = field(default_factory=dict)
    fifos: dict[tuple[str, str], list[Call]] = field(default_factory=dict)
    paces: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    """Of each flow: us from head to head, and when the last one went."""
    limit: Cap | None = None
    """As the last who came knew it."""

    def join(self, call: Call) -> bool:
        """Whether its flow begins to wait here."""
        flow = call.claim.flow
        begins = call.flow not in self.fifos
        self.priorities.begin(flow.priority, flow.priority_weight)
        self.tenants.setdefault(flow.priority, Level()).begin(flow.tenant, flow.tenant_weight)
        self.fifos.setdefault(call.flow, []).append(call)
        return begins

    def quit(self, call: Call) -> None:
        flow = call.claim.flow
        self.fifos[call.flow].remove(call)
        if not self.fifos[call.flow]:
            del self.fifos[call.flow], self.paces[call.flow]
            del self.tenants[flow.priority].passes[flow.tenant]
        if not self.tenants[flow.priority].passes:
            del self.tenants[flow.priority]
            del self.priorities.passes[flow.priority]

    def pay(self, call: Call) -> None:
        flow = call.claim.flow
        self.priorities.charge(flow.priority, flow.priority_weight)
        if flow.priority in self.tenants:
            self.tenants[flow.priority].charge(flow.tenant, flow.tenant_weight)

    def flows(self) -> list[tuple[str, int, str, int, list[str]]]:
        return [
            (
                priority,
                self.priorities.passes[priority],
                tenant,
                level.passes[tenant],
                [call.id for call in calls],
            )
            for priority in self.priorities.order()
            for level in [self.tenants[priority]]
            for tenant in level.order()
            for calls in [self.fifo(priority, tenant)]
        ]

    def fifo(self, priority: str, tenant: str) -> list[Call]:
        return sorted(self.fifos.get((priority, tenant), []), key=lambda call: (call.age, call.id))

    def all(self) -> list[Call]:
        return [call for priority, _, tenant, _, _ in self.flows() for call in self.fifo(priority, tenant)]


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
    lines: dict[str, Line] = field(default_factory=dict)
    senior: Call | None = None

    # What a call meets.

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
            known = self.lines[place].limit if place == heads and place in self.lines else None
            cap = known or call.cap(place)
            taken, own, other = self.mins(call, place, cap)
            passes = place == heads or inherits or self.senior is call or (own and not self.owned(own, place))
            held = len(self.holders(place, but=ghost)) + kept + taken
            if (not passes and self.line(place)) or held >= cap.limit:
                return place, other
        return "", ""

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
                self.dispatch(self.withdraw(known))
                return self.ask(Call(claim), mode)
            if mode == "again":
                known.due = self.now + TICKET_MS
                return ["waiting", *why]
            self.dispatch(self.withdraw(known))
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
        place = call.intent if word else self.refused(call, record)[0]
        if not place:
            self.grant(call, "granted", lease_of(call.claim, LEASE_MS), record)
            return ["granted", call.fence, record.origin if record else call.id]
        if mode in ("now", "last"):
            return ["blocked", *self.blocked(call, place)]
        if wall := self.wall(call, place):
            return ["full", *wall]
        if word or record is None:
            self.fence += 1
            call.age = self.fence
        else:
            call.age = record.fence
        call.state, call.due = "waiting", self.now + TICKET_MS
        self.calls[call.id] = call
        self.join(call, place)
        if cap := call.caps.get(place):
            known, self.lines[place].limit = self.lines[place].limit, cap
            self.dispatch([place] if known not in (None, cap) else [])
        return ["waiting", *self.blocked(call, place)]

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
        if call.state == "waiting":
            self.dispatch(self.withdraw(call))
        else:
            del self.calls[name]
            self.dispatch(self.free(call, locks=True) + self.undo(call))
        return "left"

    def renew(self, name: str) -> str:
        call = self.calls.get(name)
        if call is None or call.state == "lapsed":
            return "gone"
        if call.state == "waiting":
            call.due = self.now + TICKET_MS
        if call.state == "granted":
            call.due = min(self.now + lease_of(call.claim, LEASE_MS), call.deadline)
            for place in call.caps:
                self.held[place][name] = call.due
        return "held" if call.state == "granted" else call.state

    # Where it waits.

    def join(self, call: Call, place: str) -> None:
        call.place = place
        if self.lines.setdefault(place, Line()).join(call):
            self.lines[place].paces[call.flow] = 0, self.now

    def step_out(self, call: Call) -> list[str]:
        """Out of its line, or no senior any more; what may have room by that."""
        if call is self.senior:
            self.senior = None
            return list(call.places)
        self.lines[call.place].quit(call)
        if not self.lines[call.place].fifos:
            del self.lines[call.place]
        return []

    def withdraw(self, call: Call) -> list[str]:
        del self.calls[call.id]
        return [*self.step_out(call), call.place]

    # Whose turn it is.

    def dispatch(self, freed: list[str]) -> None:
        while freed or self.promote(freed):
            place = freed.pop(0)
            goes_on, owner = True, ""
            while goes_on and (call := self.turn(place, owner)):
                goes_on, owner = self.give(place, call, freed)

    def promote(self, freed: list[str]) -> bool:
        elders = [
            call
            for call in self.calls.values()
            if call.state == "waiting" and call.bypassed >= BYPASSES and call.place != call.intent
        ]
        if self.senior or not elders:
            return False
        oldest = min(elders, key=lambda call: (call.age, call.id))
        self.step_out(oldest)
        self.senior = oldest
        freed.append(oldest.place)
        return True

    def turn(self, place: str, owner: str) -> Call | None:
        if self.senior and self.senior.place == place:
            return self.senior
        if owner:
            return self.owned(owner, place)[0]
        return next(iter(self.line(place)), None)

    def give(self, place: str, call: Call, freed: list[str]) -> tuple[bool, str]:
        """One turn at a place; whether the next one is worth a try, and whose it is, if an owner's."""
        senior = call is self.senior
        gone, owner = self.serve(place, call, freed)
        if not gone:
            return owner != "", owner
        if not senior and place in self.lines and call.flow in self.lines[place].paces:
            us, since = self.lines[place].paces[call.flow]
            self.lines[place].paces[call.flow] = (3 * us + 1000 * (self.now - since)) // 4, self.now
        return True, ""

    def serve(self, place: str, call: Call, freed: list[str]) -> tuple[bool, str]:
        word, prior = self.twin(call)
        if word and word != "running":
            freed += self.step_out(call)
            del self.calls[call.id]
            return True, ""
        refused, owner = (call.intent, "") if word else self.refused(call, prior, heads=place)
        if refused == place:
            return False, owner
        if refused:
            self.move(call, refused, freed)
        else:
            for name in {call.place, *call.places} & self.lines.keys():
                self.lines[name].pay(call)
            freed += self.step_out(call)
            self.grant(call, "offered", OFFER_MS, prior)
        return True, ""

    def move(self, call: Call, place: str, freed: list[str]) -> None:
        if call is self.senior and place != call.intent:
            call.place = place
            return
        freed += self.step_out(call)
        call.bypassed += place != call.intent
        self.join(call, place)

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
