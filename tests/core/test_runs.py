"""What a route asks of a whole run, from YAML to the claim."""

import pickle
from io import BytesIO

import pytest

from sidecar.cli.explain import _rows
from sidecar.core.compile.folder import File, compile_config
from sidecar.core.config import Config
from sidecar.core.explain import Explanation, explain
from sidecar.core.guard import EndRun, Fresh, Hold, Observe
from sidecar.core.refusal import Refusal
from sidecar.settings import _Sender
from tests.core.calls import JSON, call

HEAD = "version: 1\ntool: crm\nhosts: [crm.test]\nupstream: http://crm.test\nroutes:\n"
HELD = """
  - name: deal.update
    match: {method: PATCH, path: "/deals/{id}"}
    locks: [{key: "deal:{path.id}", hold: run}, {key: "{body.also}", hold: run, idle: 30s}, "stage:{path.id}"]
    fresh: ["deal:{path.id}"]
  - name: deal.read
    match: {method: GET, path: "/deals/{id}"}
    observes: ["deal:{path.id}", "stage:{path.id}"]
"""
RUN = {"X-Agent-Run": "r1"}
END = {"X-Agent-Run-End": "true"}


def config(routes: str = HELD) -> Config:
    files = [
        File("sidecar.yaml", "sidecar.yaml", b"version: 1\n"),
        File("a.yaml", "a.yaml", (HEAD + routes).encode()),
    ]
    return compile_config("folder", files, [], {})


CONFIG = config()


def told(
    method: str, headers: dict[str, str], url: str = "http://crm.test/deals/7", of: Config = CONFIG
) -> Explanation:
    return explain(of.table, of.identity, call(method, url, JSON | headers), b'{"also": ["a", "b"]}')


def test_what_a_run_keeps_and_must_have_read_is_told() -> None:
    write = told("PATCH", RUN)
    assert write.holds == (Hold("deal:7", 120_000), Hold("a", 30_000), Hold("b", 30_000))
    assert write.locks == ("a", "b", "deal:7", "stage:7")
    assert (write.fresh, write.observes, write.ends_run) == (("deal:7",), (), False)
    assert write.as_json()["holds"] == [hold._asdict() for hold in write.holds]
    rows = list(_rows(write))
    assert ("lock", "deal:7, kept by the run for 2m") in rows
    assert ("lock", "stage:7") in rows
    read = told("GET", RUN)
    assert (read.observes, read.empty) == (("deal:7", "stage:7"), False)


def test_a_read_that_names_no_run_is_a_read_and_a_write_that_needs_one_is_refused() -> None:
    assert told("GET", {}).empty
    with pytest.raises(Refusal) as no:
        told("PATCH", {})
    assert no.value.code == "key-underivable"
    assert "X-Agent-Run" in no.value.detail
    with pytest.raises(Refusal, match="read last"):
        told("PATCH", {}, of=config(HELD.replace(", hold: run", "").replace(", idle: 30s", "")))


@pytest.mark.parametrize(
    "url", ["http://crm.test/deals/7", "http://crm.test/elsewhere", "http://other.test/x"]
)
def test_a_runs_last_call_is_seen_on_every_route_and_on_none(url: str) -> None:
    assert told("GET", RUN, url).ends_run is False
    assert told("GET", RUN | {"X-Agent-Run-End": "False"}, url).ends_run is False
    last = told("GET", RUN | END, url)
    assert (last.ends_run, last.empty) == (True, False)
    assert ("run", "ends with this call: it keeps nothing") in list(_rows(last)) or not last.tool
    assert told("GET", END, url).empty  # nobody's run


def test_a_last_call_that_says_it_otherwise_is_refused() -> None:
    with pytest.raises(Refusal) as no:
        told("GET", RUN | {"X-Agent-Run-End": "1"})
    assert (no.value.code, "'true' or 'false'" in no.value.detail) == ("bad-request", True)


def test_where_no_route_holds_by_run_nobody_looks_for_a_last_call() -> None:
    plain = config("  - name: a\n    match: {method: GET, path: /a}\n")
    assert not any(route.guards for site in plain.sites for route in (*site.routes, site.read, site.write))
    assert told("GET", RUN | END, of=plain).empty


def test_what_a_configuration_asks_of_runs_survives_the_way_from_another_process() -> None:
    sent = BytesIO()
    _Sender(sent).dump(CONFIG)
    again = pickle.loads(sent.getvalue())
    assert told("PATCH", RUN | END, of=again) == told("PATCH", RUN | END)
    assert told("GET", RUN | END, "http://other.test/x", again).ends_run


def test_a_write_that_must_be_fresh_and_does_not_lock_it_is_doubted() -> None:
    loose = config(HELD.replace('fresh: ["deal:{path.id}"]', 'fresh: ["pipeline:1"]'))
    (doubt,) = [str(doubt) for doubt in loose.warnings if "lock it too" in str(doubt)]
    assert doubt.startswith(
        "a.yaml:10:5: warning: 'pipeline:1' is not among the route's locks, so another run may"
    )
    assert not [doubt for doubt in CONFIG.warnings if "lock it too" in str(doubt)]


def test_guards_are_of_the_kinds_that_the_gate_knows() -> None:
    assert {Hold("a", 1)[0], Observe("a")[0], Fresh("a")[0]} == {"a"}
    assert EndRun() == ()
