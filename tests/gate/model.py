"""What the scripts must do, in plain Python: the oracle that they are compared with, step by step.

It is written to be read, not to be fast: it keeps every holder with its instant and looks at all of them each time,
where Lua prunes, indexes and returns early.
"""

from typing import Any

from sidecar.core.claim import Claim
from sidecar.gate.gate import UNKNOWN_MS
from sidecar.gate.keyspace import lease_of
from tests.gate.kept import Kept
from tests.gate.lines import Call, Line, Record
from tests.gate.scripts import LEASE_MS

TICKET_MS, OFFER_MS, BATCH = 3000, 2000, 16
BYPASSES = 4


class Model(Kept):
    """What happens to calls, on a clock that only the test moves."""

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
            if ending == "free" and changed:
                self.set_versions(call, call.fence, 0)
        elif ending == "unknown":
            freed += self.doubt(call, "timeout", over)
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

    def doubt(self, call: Call, why: str, over: bool = False) -> list[str]:
        intent = call.claim.intent
        if intent:
            since, origin = (call.prior.since, call.prior.origin) if call.prior else (self.now, call.id)
            ends = self.now + UNKNOWN_MS
            deadline = self.now if over else call.deadline
            self.records[call.intent] = Record(
                "unknown", call.fence, intent.fingerprint, call.id, ends, since, why, deadline, origin
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
        for elder in sorted([] if self.senior else elders, key=lambda call: (call.age, call.id)):
            if all(self.lines[place].flow_may_go(elder) for place in elder.places if place in self.lines):
                self.step_out(elder)
                self.senior = elder
                freed.append(elder.place)
                return True
            elder.bypassed = BYPASSES - 1
        return False

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
