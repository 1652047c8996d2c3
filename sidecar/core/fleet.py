"""What the whole fleet allows whom: caps and turns, worked out once for each who and kept.

Cap names are the store's and the metrics' alike.  Two tenants' workflows of one name are two workflows, so
workflow and run names carry their tenant, with its slashes escaped: ``workflow:acme/dunning``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from sidecar.core.call import Identity
from sidecar.core.claim import AutoCap, Cap, Flow, Min, Rate

KNOWN_LIMIT: Final = 4096
"""Identities remembered a standing.  Past it they are forgotten all at once: who invents names pays for
working out his own, and memory stays bounded."""

Place: TypeAlias = tuple[Flow, tuple[Cap | AutoCap, ...], tuple[Rate, ...]]
Limit: TypeAlias = int | tuple[int, int] | None
"""Of a tool's cap: a number, the least and the most of one that finds its own, or none."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """What config says of one tenant; None: as for everybody."""

    weight: int = 1
    cap: int | None = None
    queue: int | None = None
    rate: tuple[int, int] | None = None
    """Tokens and their period in milliseconds."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """Limits that every sidecar of the fleet shares; None: no limit."""

    cap: int | None = None
    per_tenant: int | None = None
    per_workflow: int | None = None
    per_run: int | None = None
    mins: tuple[Min, ...] = ()
    """What is kept of the global cap, for the lanes and tenants named."""
    tenants: Mapping[str, Tenant] = field(default_factory=dict)
    priorities: Mapping[str, int] = field(default_factory=lambda: {"interactive": 8, "background": 1})
    """Priority name to weight."""
    tenant_queue: int = 100
    total_queue: int = 10_000

    @property
    def rated(self) -> bool:
        """Some tenant has a rate."""
        return any(tenant.rate is not None for tenant in self.tenants.values())

    def standing(
        self,
        lane: str,
        lane_cap: int | None,
        counted: bool,
        tool: str,
        tool_cap: Limit,
        rates: tuple[Rate, ...] = (),
    ) -> "Standing":
        """The standing of whoever calls ``tool`` in ``lane``; ``rates`` are the tool's and the route's."""
        everyone = [Cap("global", self.cap, self.mins)] if counted and self.cap is not None else []
        own = _caps((f"lane:{lane}", self.bound(f"lane:{lane}", lane_cap)))
        return Standing(self, counted, _tool_cap(f"tool:{tool}:{lane}", tool_cap), (*own, *everyone), rates)

    def bound(self, owner: str, cap: int | None) -> int | None:
        """The limit of an owner's cap.  Who has a min must be counted, so it has one: at least the global cap's."""
        return self.cap if cap is None and any(least.name == owner for least in self.mins) else cap


class Standing:
    """The flow, the caps and the rates of a caller in one lane of one tool, in canonical order: the narrowest first."""

    __slots__ = ("_counted", "_first", "_fleet", "_known", "_last", "_rates")

    def __init__(
        self,
        fleet: Fleet,
        counted: bool,
        first: tuple[Cap | AutoCap, ...],
        last: tuple[Cap, ...],
        rates: tuple[Rate, ...],
    ) -> None:
        self._fleet = fleet
        self._counted = counted
        self._first = first
        self._last = last
        self._rates = rates
        self._known: dict[Identity, Place] = {}

    def __reduce__(self) -> tuple[type["Standing"], tuple[object, ...]]:
        return Standing, (self._fleet, self._counted, self._first, self._last, self._rates)

    def of(self, who: Identity) -> Place:
        """Flow, caps and rates of ``who``."""
        known = self._known.get(who)
        return known if known is not None else self._learn(who)

    def _learn(self, who: Identity) -> Place:
        if len(self._known) >= KNOWN_LIMIT:
            self._known.clear()
        own = self._own(who) if self._counted else ()
        rates = (*self._own_rates(who), *self._rates) if self._counted else self._rates
        place = self._known[who] = self._flow(who), (*self._first, *own, *self._last), rates
        return place

    def _own_rates(self, who: Identity) -> tuple[Rate, ...]:
        tenant = self._fleet.tenants.get(who.tenant)
        if tenant is None or tenant.rate is None:
            return ()
        return (Rate(f"tenant:{who.tenant}", *tenant.rate),)

    def _own(self, who: Identity) -> tuple[Cap, ...]:
        fleet = self._fleet
        tenant = fleet.tenants.get(who.tenant)
        within = who.tenant.replace("%", "%25").replace("/", "%2F")
        name = f"tenant:{who.tenant}"
        cap = fleet.per_tenant if tenant is None or tenant.cap is None else tenant.cap
        return _caps(
            (f"run:{within}/{who.run}", fleet.per_run if who.run else None),
            (f"workflow:{within}/{who.workflow}", fleet.per_workflow),
            (name, fleet.bound(name, cap)),
        )

    def _flow(self, who: Identity) -> Flow:
        fleet = self._fleet
        tenant = fleet.tenants.get(who.tenant, Tenant())
        return Flow(
            tenant=who.tenant,
            priority=who.priority,
            tenant_weight=tenant.weight,
            priority_weight=fleet.priorities.get(who.priority, 1),
            tenant_queue=fleet.tenant_queue if tenant.queue is None else tenant.queue,
            total_queue=fleet.total_queue,
        )


def _caps(*named: tuple[str, int | None]) -> tuple[Cap, ...]:
    return tuple(Cap(name, limit) for name, limit in named if limit is not None)


def _tool_cap(name: str, limit: Limit) -> tuple[Cap | AutoCap, ...]:
    return (AutoCap(name, *limit),) if isinstance(limit, tuple) else _caps((name, limit))
