"""The model's nouns: calls, records, and the line of those who wait at a place."""

from dataclasses import dataclass, field

from sidecar.core.claim import Cap, Claim
from sidecar.gate.gate import UNKNOWN_MS
from sidecar.gate.keyspace import SLACK_MS

STRIDE = 720_720


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
    """Flows by pass, what each had after its last turn, and the pass served last."""

    clock: int = 0
    passes: dict[str, int] = field(default_factory=dict)
    debts: dict[str, int] = field(default_factory=dict)

    def order(self) -> list[str]:
        return sorted(self.passes, key=lambda flow: (self.passes[flow], flow))

    def pass_of(self, flow: str) -> int:
        return self.passes.get(flow, max(self.debts.get(flow, 0), self.clock))

    def begin(self, flow: str) -> None:
        self.passes[flow] = self.pass_of(flow)

    def may_go(self, flow: str, weight: int) -> bool:
        return self.pass_of(flow) <= min(self.passes.values()) + STRIDE // weight

    def charge(self, flow: str, weight: int) -> None:
        self.debts[flow] = self.pass_of(flow) + STRIDE // weight
        self.clock = min(self.passes.values())
        if flow in self.passes:
            self.passes[flow] = self.debts[flow]


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
        self.priorities.begin(flow.priority)
        self.tenants.setdefault(flow.priority, Level()).begin(flow.tenant)
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

    def flow_may_go(self, call: Call) -> bool:
        flow = call.claim.flow
        tenants = self.tenants.get(flow.priority)
        return self.priorities.may_go(flow.priority, flow.priority_weight) and (
            tenants is None or tenants.may_go(flow.tenant, flow.tenant_weight)
        )

    def may_pass(self, call: Call) -> bool:
        """Whether a call whose turn it is elsewhere may go before those who stand here."""
        fifo = self.fifos.get(call.flow, [])
        return all(call.age < other.age for other in fifo) and self.flow_may_go(call)

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
