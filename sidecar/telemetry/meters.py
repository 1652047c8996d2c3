"""Every metric, declared in one screen, and what one call adds to them.

A bound child of prometheus-client costs 0.4 to 0.8 us a touch, and a call touches a dozen.  So counting
is attribute arithmetic on children bound once per route, and the library sees the sums only when
somebody scrapes (``scrape.py``). All of it lives on the loop's thread: no locks; what another thread
counts is read by a function.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, TypeVar

from sidecar.core.refusal import Refusal
from sidecar.telemetry.instruments import OTHER, Count, Family, Histogram, Kind, Names, Reading
from sidecar.telemetry.story import UNMATCHED, Story

OWN_S: Final = (50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Buckets of our own work and the store's: good is under a millisecond, bad is still under a second."""
OTHERS_S: Final = (
    1e-3,
    2.5e-3,
    5e-3,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    20.0,
    30.0,
    60.0,
)
"""Buckets of waiting and of upstreams: up to the longest wait and the usual timeouts."""

BLOCKED_RETRIES: Final = frozenset({"outcome-unknown", "in-progress", "answer-not-kept"})
"""Refusals that kept something from being done twice."""


MOST_HOSTS: Final = 200
"""Intercepted hosts with series of their own."""


class Meters:
    """All metrics of one process."""

    def __init__(self, names: int = 100, tenants: Iterable[str] = ()) -> None:
        """``names``: how many tenants and workflows get their own label beside configured ``tenants``."""
        self.runs: dict[tuple[str, str, str], int] = {}
        """Calls in flight by workflow, tenant and run."""
        self.lines_dropped: Callable[[], int] = int
        """Asked at each scrape: the log's own count."""
        self.tools_paused: Callable[[], Iterable[str]] = tuple
        """Asked at each scrape: the gate's own knowledge, like the next."""
        self.paused_by_people: Callable[[], Mapping[str, int]] = dict
        """How many of each kind."""
        self.families: list[Family[Count] | Family[Histogram] | Reading] = []
        self._waiting: dict[str, int] = {}
        self._store_up = False
        self._hosts: set[str] = set()
        self._tenants = Names(names, tenants)
        self._workflows = Names(names)
        self._routes: dict[tuple[str, str, str], RouteMeters] = {}
        self._declare_calls()
        self._declare_process()
        self.unmatched = self.route(UNMATCHED, UNMATCHED, "none")

    def _declare_calls(self) -> None:
        count, seconds = self._count, self._seconds
        self.calls = count("calls_total", "tool route lane verdict", "Calls, by how they ended.")
        self.refusals = count("refusals_total", "route code", "Refusals, by route and code.")
        self.duplicates = count(
            "duplicates_suppressed_total",
            "tool route how",
            "Calls answered from the store (replayed) or by a running twin (joined), not sent again.",
        )
        self.blocked = count(
            "retries_blocked_total",
            "tool route",
            "Calls refused since an earlier attempt runs, or may have been applied.",
        )
        self.conflicts = count(
            "lock_conflicts_total", "tool route", "Calls that found an entity locked by another call."
        )
        self.outcomes = count("outcomes_total", "tool outcome", "Forwarded calls, by what became of them.")
        self.probes = count(
            "probes_total",
            "tool route found",
            "Unknown outcomes that the upstream was asked about: what it said.",
        )
        self.ungated_calls = count("ungated_calls_total", "tool why", "Calls forwarded without a grant.")
        self.in_flight = count(
            "calls_in_flight", "tool lane", "Calls that have begun and not ended.", kind="gauge"
        )
        self.lock_wait = seconds(
            "lock_wait_seconds", "tool lane", OTHERS_S, "Wait of calls with locks, zeros included."
        )
        self.queue_wait = seconds(
            "queue_wait_seconds", "lane outcome", OTHERS_S, "Time at the gate before its word."
        )
        self.upstream = seconds(
            "upstream_seconds", "tool lane", OTHERS_S, "First try to connect to last byte of answer."
        )
        self.overhead = seconds(
            "overhead_seconds", "lane", OWN_S, "Our own time in a call, the store's included."
        )

    def _declare_process(self) -> None:
        count, read = self._count, self._reading
        self.store = self._seconds("store_seconds", "script", OWN_S, "Round trips to the store.")
        self.leases_lost = count(
            "leases_lost_total", "", "Leases that lapsed while their call was in flight."
        ).of()
        self.settles_failed = count(
            "settle_failures_total", "", "Settles that the store did not take at once."
        ).of()
        self.interceptions = count(
            "interceptions_total",
            "host result",
            "CONNECTs to tools' hosts: opened, or why no call came of them.",
        )
        self.reloads = count(
            "config_reloads_total", "result", "Reloads of the configuration: loaded or refused."
        )
        for result in ("loaded", "refused"):
            self.reloads.of(result)
        read("gauge", "store_up", "", "1 while the store answers.", lambda: {(): float(self._store_up)})
        read(
            "gauge", "queue_depth", "tenant", "Calls waiting now.", lambda: self._tenants.tally(self._waiting)
        )
        read("gauge", "runs_in_flight", "workflow", "Runs with a call in flight.", self._runs_by_workflow)
        read(
            "gauge",
            "tool_paused",
            "tool",
            "1 while the upstream wants to be left alone.",
            lambda: {(tool,): 1.0 for tool in self.tools_paused()},
        )
        read(
            "gauge",
            "paused_by_people",
            "kind",
            "Tools, tenants, workflows and lanes that people paused.",
            lambda: {(kind,): float(count) for kind, count in self.paused_by_people().items()},
        )
        read(
            "counter",
            "log_lines_dropped_total",
            "",
            "Log lines dropped since their reader is slow or gone.",
            lambda: {(): self.lines_dropped()},
        )

    def _count(self, name: str, labels: str, text: str, kind: Kind = "counter") -> Family[Count]:
        family = Family(kind, name, tuple(labels.split()), text, Count)
        self.families.append(family)
        return family

    def _seconds(self, name: str, labels: str, bounds: tuple[float, ...], text: str) -> Family[Histogram]:
        family = Family("histogram", name, tuple(labels.split()), text, lambda: Histogram(bounds))
        self.families.append(family)
        return family

    def _reading(
        self,
        kind: Kind,
        name: str,
        labels: str,
        text: str,
        read: Callable[[], Mapping[tuple[str, ...], float]],
    ) -> None:
        self.families.append(Reading(kind, name, tuple(labels.split()), text, read))

    def _runs_by_workflow(self) -> dict[tuple[str, ...], float]:
        counts: dict[str, int] = {}
        for workflow, _, _ in self.runs:
            counts[workflow] = counts.get(workflow, 0) + 1
        return self._workflows.tally(counts)

    def route(self, tool: str, route: str, lane: str) -> "RouteMeters":
        """The route's meters, the same ones whenever asked: a reload keeps its counts."""
        key = (tool, route, lane)
        meters = self._routes.get(key)
        if meters is None:
            meters = self._routes[key] = RouteMeters(self, tool, route, lane)
        return meters

    def turned_away(self, no: Refusal) -> None:
        """What an agent sent was no call, and was refused before there could be a story."""
        self.refusals.of(UNMATCHED, no.code).value += 1

    def ungated(self, tool: str, why: str) -> None:
        """A call or a blind tunnel went out without a grant and has no story to tell it."""
        self.ungated_calls.of(tool, why).value += 1

    def intercepted(self, host: str, result: str) -> None:
        """What came of a CONNECT to a tool's ``host``.  Below a wildcard callers choose names, so these are bounded."""
        if host not in self._hosts:
            if len(self._hosts) >= MOST_HOSTS:
                host = OTHER
            self._hosts.add(host)
        self.interceptions.of(host, result).value += 1

    def queued(self, tenant: str) -> None:
        """One more call of ``tenant`` waits in line."""
        self._waiting[tenant] = self._waiting.get(tenant, 0) + 1

    def dequeued(self, tenant: str) -> None:
        """One call of ``tenant`` waits no longer."""
        _take(self._waiting, tenant)

    def store_seconds(self, script: str, seconds: float) -> None:
        """One round trip of ``script`` took ``seconds``."""
        self.store.of(script).observe(seconds)

    def store_up(self, up: bool) -> None:
        """The store answers, or stopped to."""
        self._store_up = up

    def lease_lost(self) -> None:
        self.leases_lost.value += 1

    def settle_failed(self) -> None:
        self.settles_failed.value += 1

    def reloaded(self, result: Literal["loaded", "refused"]) -> None:
        self.reloads.of(result).value += 1


class RouteMeters:
    """One route's children, bound: what a call of this route touches."""

    def __init__(self, meters: Meters, tool: str, route: str, lane: str) -> None:
        self._meters = meters
        self._tool, self._route, self._lane = tool, route, lane
        self._calls = {
            verdict: meters.calls.of(tool, route, lane, verdict)
            for verdict in ("executed", "replayed", "joined", "refused", "gone")
        }
        self._outcomes = {
            word: meters.outcomes.of(tool, word) for word in ("completed", "partial", "not_sent", "unknown")
        }
        self._duplicates = {how: meters.duplicates.of(tool, route, how) for how in ("replayed", "joined")}
        self._queue_wait = {
            word: meters.queue_wait.of(lane, word)
            for word in ("granted", "replayed", "joined", "refused", "gone")
        }
        self._blocked = meters.blocked.of(tool, route)
        self._conflicts = meters.conflicts.of(tool, route)
        self._in_flight = meters.in_flight.of(tool, lane)
        self._lock_wait = meters.lock_wait.of(tool, lane)
        self._upstream = meters.upstream.of(tool, lane)
        self._overhead = meters.overhead.of(lane)

    def began(self, story: Story) -> None:
        """The call's route and identity are known; pairs with ``ended``, which may also come alone."""
        story.tool, story.route, story.lane = self._tool, self._route, self._lane
        story.in_flight = True
        self._in_flight.value += 1
        who = story.identity
        if who.run:
            key = (who.workflow, who.tenant, who.run)
            runs = self._meters.runs
            runs[key] = runs.get(key, 0) + 1

    def ended(self, story: Story) -> None:
        """Count one call, once, after ``story.end``."""
        self._calls[story.verdict].value += 1
        self._overhead.observe(story.overhead_s)
        if story.in_flight:
            self._in_flight.value -= 1
            who = story.identity
            if who.run:
                _take(self._meters.runs, (who.workflow, who.tenant, who.run))
        if story.outcome:
            self._outcomes[story.outcome].value += 1
        if story.upstream_s:
            self._upstream.observe(story.upstream_s)
        if story.probe:
            self._meters.probes.of(self._tool, self._route, story.probe).value += 1
        if story.ungated:
            if story.outcome != "not_sent":
                self._meters.ungated(self._tool, story.ungated)
        elif story.claim is not None and not story.claim.empty:
            self._gated(story)
        if story.verdict == "refused":
            self._refused(story.code)

    def _gated(self, story: Story) -> None:
        word = "granted" if story.fence else story.verdict
        wait_s = story.wait_ms / 1000
        self._queue_wait[word].observe(wait_s)
        by_lock = story.blocked_by.startswith("lock:")
        if by_lock:
            self._conflicts.value += 1
        if by_lock or (word == "granted" and story.claim is not None and story.claim.locks):
            self._lock_wait.observe(wait_s)
        if word in self._duplicates:
            self._duplicates[word].value += 1

    def _refused(self, code: str) -> None:
        self._meters.refusals.of(self._route, code).value += 1
        if code in BLOCKED_RETRIES:
            self._blocked.value += 1


Key = TypeVar("Key")


def _take(counts: dict[Key, int], key: Key) -> None:
    """One less of ``key``; what is down to zero is forgotten, so that names do not pile up."""
    left = counts.get(key, 0) - 1
    if left > 0:
        counts[key] = left
    else:
        counts.pop(key, None)
