"""The contract with dashboards: names, labels and kinds, as a Prometheus would read them."""

import re
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from sidecar.core.call import Identity
from sidecar.telemetry.meters import Meters
from sidecar.telemetry.scrape import Scrape
from tests.telemetry.stories import a_claim, a_story

CONTRACT = {
    "calls_total": {"tool", "route", "lane", "verdict"},
    "refusals_total": {"route", "code"},
    "lock_wait_seconds": {"tool", "lane"},
    "lock_conflicts_total": {"tool", "route"},
    "duplicates_suppressed_total": {"tool", "route", "how"},
    "probes_total": {"tool", "route", "found"},
    "queue_depth": {"tenant"},
    "queue_wait_seconds": {"lane", "outcome"},
    "runs_in_flight": {"workflow"},
    "calls_in_flight": {"tool", "lane"},
    "retries_blocked_total": {"tool", "route"},
    "upstream_seconds": {"tool", "lane"},
    "overhead_seconds": {"lane"},
    "outcomes_total": {"tool", "outcome"},
    "store_seconds": {"script"},
    "store_up": set(),
    "leases_lost_total": set(),
    "settle_failures_total": set(),
    "ungated_calls_total": {"tool", "why"},
    "config_reloads_total": {"result"},
    "interceptions_total": {"host", "result"},
    "log_lines_dropped_total": set(),
    "tool_paused": {"tool"},
    "paused_by_people": {"kind"},
}


def busy() -> Meters:
    """Meters of a process to which everything happened once."""
    meters = Meters()
    route = meters.route("hubspot", "deal.update", "write")
    for verdict, code in (("executed", ""), ("replayed", ""), ("refused", "locked")):
        story = a_story(claim=a_claim("deal:42"))
        route.began(story)
        story.verdict, story.code, story.fence = verdict, code, 7 if verdict == "executed" else 0
        story.upstream_s = 0.02
        if verdict != "refused":  # that one is still in flight
            story.end(100.5)
            route.ended(story)
    meters.probes.of("hubspot", "deal.update", "applied").value += 1
    meters.queued("acme")
    meters.tools_paused = lambda: {"hubspot"}
    meters.paused_by_people = lambda: {"tool": 1}
    meters.ungated("hubspot", "store-down")
    meters.intercepted("api.hubapi.com", "ca-rejected")
    meters.store_seconds("admit", 0.0003)
    meters.refusals.of("deal.update", "locked").value += 1
    return meters


def scraped(meters: Meters) -> dict[str, Metric]:
    """Families by their exposed name, without the prefix."""
    text = b"".join(Scrape(meters).pieces()).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    return {
        name.removeprefix("sidecar_") + ("_total" if family.type == "counter" else ""): family
        for name, family in families.items()
        if name.startswith("sidecar_")
    }


def test_the_scrape_holds_exactly_the_metrics_of_the_contract() -> None:
    assert scraped(busy()).keys() == CONTRACT.keys()


@pytest.mark.parametrize("name", CONTRACT)
def test_every_sample_has_exactly_the_labels_of_the_contract(name: str) -> None:
    family = scraped(busy())[name]
    assert family.samples
    for sample in family.samples:
        assert sample.labels.keys() - {"le"} == CONTRACT[name]


def test_kinds_follow_the_names() -> None:
    for name, family in scraped(busy()).items():
        expected = (
            "counter" if name.endswith("_total") else "histogram" if name.endswith("_seconds") else "gauge"
        )
        assert family.type == expected, name


def test_a_histogram_is_cumulative_and_ends_in_infinity() -> None:
    meters = Meters()
    for seconds in (0.0001, 0.003, 99.0):
        meters.store_seconds("admit", seconds)
    samples = scraped(meters)["store_seconds"].samples
    buckets = {s.labels["le"]: s.value for s in samples if s.name.endswith("_bucket")}
    assert buckets["0.0001"] == 1
    assert buckets["0.005"] == 2
    assert buckets["1.0"] == 2
    assert buckets["+Inf"] == 3
    assert {s.name: s.value for s in samples if not s.labels.get("le")} == {
        "sidecar_store_seconds_count": 3,
        "sidecar_store_seconds_sum": pytest.approx(99.0031),
    }


@pytest.mark.parametrize("name", ['"} 1\nforged 1', "\\", "\ud800", "é\x00"])
def test_a_callers_name_can_neither_forge_a_series_nor_break_the_scrape(name: str) -> None:
    meters = busy()
    story = a_story()
    story.identity = Identity(name, name, "run-7", "interactive")
    meters.route("hubspot", "deal.update", "write").began(story)
    meters.queued(name)
    families = scraped(meters)
    assert families.keys() == CONTRACT.keys()
    assert sum(s.value for s in families["queue_depth"].samples) == 2
    assert sum(s.value for s in families["runs_in_flight"].samples) == 2


def test_the_usual_facts_about_the_process_are_there_too() -> None:
    text = b"".join(Scrape(Meters()).pieces())
    assert b"\nprocess_resident_memory_bytes " in text


def test_a_paused_tool_is_told_while_it_is_paused() -> None:
    meters = Meters()
    meters.tools_paused = lambda: {"crm"}
    (sample,) = scraped(meters)["tool_paused"].samples
    assert (sample.labels, sample.value) == ({"tool": "crm"}, 1)


def test_lines_dropped_are_asked_of_the_log() -> None:
    meters = Meters()
    meters.lines_dropped = lambda: 3
    assert scraped(meters)["log_lines_dropped_total"].samples[0].value == 3


def test_the_reference_page_lists_every_metric_with_its_labels() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `sidecar_(\w+?)(?:\{(.*?)\})?` \|", page, re.MULTILINE)
    assert {name: set(labels.split(",")) - {""} for name, labels in rows} == CONTRACT
