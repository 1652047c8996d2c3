"""What the admin port must be told: the process's own state, and what the store holds now."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

from sidecar.core.call import Answer, RawHeaders

Lane = Literal["read", "draft", "write", "high_risk"]
Item = Mapping[str, object]
"""One entry of a list; has an ``id``."""


@dataclass(frozen=True, slots=True)
class Reload:
    """How an attempt to reload went.  Refused, the last good configuration stays."""

    at_s: float
    """Wall time, since the epoch."""
    result: Literal["loaded", "refused"]
    problems: Sequence[str] = ()
    """Warnings, where it was loaded all the same."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The configuration in force."""

    digest: str
    at_s: float
    """Wall time, since the epoch."""
    written: Mapping[str, object]
    """File name to what it says, without secrets."""
    last_reload: Reload | None


def instant(at_s: float) -> str:
    """Wall time for people and programs: RFC 3339, UTC."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def presented(item: Item) -> dict[str, object]:
    """A question with the store's instants (``*_ms``) as people and programs read them (``*_at``)."""
    decisions = item["decisions"]
    assert isinstance(decisions, list)
    told = {name: value for name, value in item.items() if name not in ("opened_ms", "ends_ms")}
    return told | {
        "opened_at": instant(float(str(item["opened_ms"])) / 1000),
        "ends_at": instant(float(str(item["ends_ms"])) / 1000),
        "decisions": [
            {"at": instant(one["at_ms"] / 1000)} | {name: one[name] for name in ("verdict", "by", "why")}
            for one in decisions
        ],
    }


class Status(Protocol):
    """What the process knows about itself."""

    def not_ready(self) -> Sequence[str]:
        """Why no traffic should come here now; empty where it should."""
        ...

    def config(self) -> Loaded: ...

    def explain(self, method: str, url: str, headers: RawHeaders, body: bytes) -> object:
        """What would become of this call, as JSON can say it.  Raises its Refusal, or ValueError for a bad URL."""
        ...

    async def reload(self) -> Reload: ...

    def tools(self) -> Collection[str]:
        """The names of the tools that are configured here."""
        ...

    def decided(self, what: str, by: str, why: str, about: Mapping[str, object]) -> None:
        """A person changed something: leave a line in the decision log."""
        ...

    def approvers(self) -> Mapping[str, bytes]:
        """Who may approve a call: name to SHA-256 of the token; empty: who may change anything here."""
        ...


class Unknowns(Protocol):
    """Outcomes that nobody can tell.  Raises Refusal ``store-unavailable``."""

    async def one(self, intent: str) -> Item | None: ...

    async def resolve(self, intent: str, applied: bool, answer: Answer | None) -> bool:
        """False where there is no such thing any more."""
        ...


class Approvals(Protocol):
    """Questions to people, as the store keeps them.  Raises Refusal ``store-unavailable``."""

    async def all(self) -> Sequence[Item]: ...

    async def one(self, approval: str) -> Item | None: ...

    async def decide(self, approval: str, verdict: str, by: str, why: str) -> tuple[str, Item | None]:
        """``approved``, ``pending``, ``denied``, ``decided``, ``asker``, ``gone``; and the question, unless gone."""
        ...

    async def next_notice(self, claim_ms: int) -> tuple[int, Item] | None:
        """A question to announce, ours for so long, and how often that was tried before."""
        ...

    async def noticed(self, approval: str, again_ms: int) -> None:
        """It arrived, or (unless zero) is to be tried again after so long."""
        ...


class People(Protocol):
    """What people see of the store and change there.  Raises Refusal ``store-unavailable``."""

    async def leases(self) -> Sequence[Item]: ...

    async def queues(self) -> Sequence[Item]: ...

    async def unknown(self) -> Sequence[Item]: ...

    async def pauses(self) -> Sequence[Item]: ...

    async def budgets(self) -> Sequence[Item]: ...

    @property
    def unknowns(self) -> Unknowns: ...

    @property
    def approvals(self) -> Approvals: ...

    async def runs(self) -> Sequence[Item]:
        """Runs that hold something between their calls."""
        ...

    async def halt(self, kind: str, name: str, by: str, why: str, after_ms: int) -> None:
        """Pause a tool, a tenant, a workflow or a lane for the fleet, for so long (0: until ``resume``)."""
        ...

    async def resume(self, kind: str, name: str) -> bool:
        """Let it go on.  Whether it was paused."""
        ...

    async def end_run(self, tenant: str, workflow: str, run: str) -> int:
        """Let go of every lock that the run holds.  How many they were."""
        ...

    async def release(self, lease: str) -> Item | None:
        """Take back what an item of ``leases`` is about.  None where there is none such."""
        ...
