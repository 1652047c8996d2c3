from collections.abc import Mapping

import pytest

from sidecar.core.call import Identity
from sidecar.core.refusal import Refusal
from sidecar.telemetry.instruments import Count, Family, Histogram, Reading
from sidecar.telemetry.meters import Meters, RouteMeters
from sidecar.telemetry.story import Story
from tests.telemetry.stories import a_claim, a_story


@pytest.fixture
def meters() -> Meters:
    return Meters()


@pytest.fixture
def route(meters: Meters) -> RouteMeters:
    return meters.route("hubspot", "deal.update", "write")


def value(meters: Meters, name: str, *labels: str) -> float | None:
    """One series' value, a histogram's count; None where the series does not exist."""
    family = next(family for family in meters.families if family.name == name)
    if isinstance(family, Reading):
        return family.read().get(labels)
    child = family.children.get(labels)
    return child.value if isinstance(child, Count) else None if child is None else sum(child.counts)


def total(meters: Meters, name: str, *labels: str) -> float:
    family = next(family for family in meters.families if family.name == name)
    assert isinstance(family, Family)
    child = family.children[labels]
    assert isinstance(child, Histogram)
    return child.sum


def depths(meters: Meters) -> Mapping[tuple[str, ...], float]:
    family = next(family for family in meters.families if family.name == "queue_depth")
    assert isinstance(family, Reading)
    return family.read()


def executed(**facts: object) -> Story:
    story = a_story(claim=a_claim("deal:42"))
    story.verdict, story.fence, story.outcome = "executed", 7, "completed"
    for name, fact in facts.items():
        setattr(story, name, fact)
    return story


def count(route: RouteMeters, story: Story) -> None:
    route.began(story)
    story.end(story.began_s + 0.5)
    route.ended(story)


def refuse(route: RouteMeters, code: str, **facts: object) -> None:
    story = a_story(claim=a_claim("deal:42"))
    story.refused(Refusal(code, "", **facts))
    count(route, story)


def test_every_series_of_a_route_exists_at_zero_before_its_first_call(
    meters: Meters, route: RouteMeters
) -> None:
    for verdict in ("executed", "replayed", "joined", "refused", "gone"):
        assert value(meters, "calls_total", "hubspot", "deal.update", "write", verdict) == 0
    assert value(meters, "outcomes_total", "hubspot", "unknown") == 0
    assert value(meters, "retries_blocked_total", "hubspot", "deal.update") == 0
    assert value(meters, "upstream_seconds", "hubspot", "write") == 0


def test_a_reload_keeps_a_routes_counts(meters: Meters, route: RouteMeters) -> None:
    count(route, executed())
    assert meters.route("hubspot", "deal.update", "write") is route
    count(meters.route("hubspot", "deal.update", "write"), executed())
    assert value(meters, "calls_total", "hubspot", "deal.update", "write", "executed") == 2


def test_an_executed_call_is_counted_by_what_it_did(meters: Meters, route: RouteMeters) -> None:
    count(route, executed(wait_ms=125, upstream_s=0.25, read_s=0.0625))

    assert value(meters, "calls_total", "hubspot", "deal.update", "write", "executed") == 1
    assert value(meters, "outcomes_total", "hubspot", "completed") == 1
    assert total(meters, "upstream_seconds", "hubspot", "write") == 0.25
    assert total(meters, "lock_wait_seconds", "hubspot", "write") == 0.125
    assert total(meters, "queue_wait_seconds", "write", "granted") == 0.125
    assert total(meters, "overhead_seconds", "write") == 0.0625
    assert value(meters, "lock_conflicts_total", "hubspot", "deal.update") == 0


def test_a_call_that_waited_for_a_lock_met_a_conflict_even_if_granted(
    meters: Meters, route: RouteMeters
) -> None:
    count(route, executed(blocked_by="lock:deal:42", wait_ms=50))
    count(route, executed(blocked_by="cap:global", wait_ms=50))
    assert value(meters, "lock_conflicts_total", "hubspot", "deal.update") == 1


@pytest.mark.parametrize("how", ["replayed", "joined"])
def test_a_duplicate_is_suppressed_and_holds_no_lock(meters: Meters, route: RouteMeters, how: str) -> None:
    count(route, executed(verdict=how, fence=0, outcome=""))
    assert value(meters, "duplicates_suppressed_total", "hubspot", "deal.update", how) == 1
    assert value(meters, "queue_wait_seconds", "write", how) == 1
    assert value(meters, "lock_wait_seconds", "hubspot", "write") == 0


@pytest.mark.parametrize("code", ["outcome-unknown", "in-progress", "answer-not-kept"])
def test_a_retry_that_could_do_it_twice_is_counted_as_blocked(
    meters: Meters, route: RouteMeters, code: str
) -> None:
    refuse(route, code)
    assert value(meters, "refusals_total", "deal.update", code) == 1
    assert value(meters, "retries_blocked_total", "hubspot", "deal.update") == 1


def test_a_refusal_for_want_of_room_blocks_no_retry(meters: Meters, route: RouteMeters) -> None:
    refuse(route, "cap-timeout", blocked_by="cap:tenant:acme", wait_ms=10_000)
    assert value(meters, "retries_blocked_total", "hubspot", "deal.update") == 0
    assert value(meters, "lock_conflicts_total", "hubspot", "deal.update") == 0
    assert total(meters, "queue_wait_seconds", "write", "refused") == 10.0


def test_a_call_whose_upstream_failed_was_granted_before_it_was_refused(
    meters: Meters, route: RouteMeters
) -> None:
    story = executed(upstream_s=0.25)
    story.refused(Refusal("upstream-timeout", "", outcome="unknown"))
    count(route, story)
    assert value(meters, "calls_total", "hubspot", "deal.update", "write", "refused") == 1
    assert value(meters, "queue_wait_seconds", "write", "granted") == 1
    assert value(meters, "outcomes_total", "hubspot", "unknown") == 1


def test_an_ungated_call_waits_for_no_gate(meters: Meters, route: RouteMeters) -> None:
    count(route, executed(fence=0, ungated="store-down"))
    assert value(meters, "ungated_calls_total", "hubspot", "store-down") == 1
    assert value(meters, "queue_wait_seconds", "write", "granted") == 0


def test_a_call_that_was_never_sent_did_not_go_out_ungated(meters: Meters) -> None:
    story = a_story()
    story.ungated = "unmatched"
    story.refused(Refusal("egress-denied", "", outcome="not_sent"))
    count(meters.unmatched, story)
    assert value(meters, "ungated_calls_total", "unmatched", "unmatched") is None


def test_a_call_is_in_flight_from_began_to_ended(meters: Meters, route: RouteMeters) -> None:
    one, two = executed(), executed()
    route.began(one)
    route.began(two)
    assert value(meters, "calls_in_flight", "hubspot", "write") == 2
    assert value(meters, "runs_in_flight", "sync") == 1
    route.ended(one)
    assert value(meters, "runs_in_flight", "sync") == 1
    route.ended(two)
    assert value(meters, "calls_in_flight", "hubspot", "write") == 0
    assert value(meters, "runs_in_flight", "sync") == 0
    assert meters.runs == {}


def test_a_call_refused_before_it_began_leaves_the_gauges_alone(meters: Meters) -> None:
    story = a_story()
    story.refused(Refusal("proxy-auth-required", ""))
    story.end(101.0)
    meters.unmatched.ended(story)
    assert value(meters, "calls_in_flight", "unmatched", "none") == 0
    assert value(meters, "refusals_total", "unmatched", "proxy-auth-required") == 1


def test_runs_of_two_tenants_are_two_runs_and_no_run_is_none(meters: Meters, route: RouteMeters) -> None:
    for tenant, run in (("acme", "1"), ("globex", "1"), ("acme", "")):
        story = executed()
        story.identity = Identity(tenant, "sync", run, "interactive")
        route.began(story)
    assert value(meters, "runs_in_flight", "sync") == 2


def test_a_flood_of_tenants_makes_no_more_series_than_agreed() -> None:
    meters = Meters(names=3, tenants=["acme"])
    for flood in range(5):
        names = [f"invented-{flood}-{n}" for n in range(200)]
        for name in [*names, "acme"]:
            meters.queued(name)
        series = depths(meters)
        assert len(series) == 1 + 3 + 1
        assert series["acme",] == 1
        assert sum(series.values()) == 201
        for name in [*names, "acme"]:
            meters.dequeued(name)
    assert sum(depths(meters).values()) == 0


def test_the_process_wide_facts_are_counted(meters: Meters) -> None:
    meters.store_seconds("admit", 0.0003)
    meters.lease_lost()
    meters.settle_failed()
    meters.reloaded("refused")
    meters.ungated("unmatched", "tunnel")
    assert value(meters, "store_up") == 0
    meters.store_up(True)
    assert value(meters, "store_up") == 1
    assert value(meters, "store_seconds", "admit") == 1
    assert value(meters, "leases_lost_total") == 1
    assert value(meters, "settle_failures_total") == 1
    assert value(meters, "config_reloads_total", "refused") == 1
    assert value(meters, "config_reloads_total", "loaded") == 0
    assert value(meters, "ungated_calls_total", "unmatched", "tunnel") == 1


def test_what_was_no_call_counts_as_a_refusal_of_no_route() -> None:
    meters = Meters()
    meters.turned_away(Refusal("bad-request", "no"))
    assert meters.refusals.of("unmatched", "bad-request").value == 1
