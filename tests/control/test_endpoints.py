import asyncio
import re
from io import BytesIO
from pathlib import Path
from types import MappingProxyType

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sidecar.control import answers, endpoints
from sidecar.control.status import Loaded, Reload
from sidecar.core.refusal import Refusal
from sidecar.telemetry.meters import Meters
from tests.control.conftest import Port, Process, Store
from tests.telemetry.stories import a_story

READS = ["/healthz", "/readyz", "/config", "/leases", "/queues", "/unknown", "/approvals", "/runs"]


async def test_a_process_is_alive_before_it_is_ready(port: Port) -> None:
    port.process.reasons = ["the store is unreachable"]
    assert (await port.ask("GET", "/healthz"))[:1] == (200,)
    assert (await port.ask("GET", "/readyz"))[:2] == (
        503,
        {"ready": False, "reasons": ["the store is unreachable"]},
    )
    port.process.reasons = []
    assert (await port.ask("GET", "/readyz"))[:2] == (200, {"ready": True, "reasons": []})


async def test_metrics_are_what_a_prometheus_reads(port: Port) -> None:
    port.meters.store_up(True)
    async with port.client.get(port.url + "/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        families = {f.name: f for f in text_string_to_metric_families(await response.text())}
    assert families["sidecar_store_up"].samples[0].value == 1


async def test_the_loop_serves_calls_while_a_scrape_is_written(port: Port) -> None:
    await (await port.client.get(port.url + "/metrics")).read()  # the import is over
    scrape = asyncio.ensure_future(port.client.get(port.url + "/metrics"))  # noqa: TID251 - a test's own
    turns = 0
    while not scrape.done():
        await asyncio.sleep(0)
        turns += 1
    await scrape.result().read()
    assert turns > len(port.meters.families)


async def test_config_is_told_with_its_digest_and_the_last_reload(port: Port) -> None:
    port.process.loaded = Loaded(
        "9f2c",
        1_764_000_000.25,
        MappingProxyType({"sidecar.yaml": {"version": "1"}}),
        Reload(1_764_000_060.0, "refused", ["routes/crm.yaml:3:1: unknown field 'lain'"]),
    )
    status, told, _ = await port.ask("GET", "/config")
    assert status == 200
    assert told == {
        "digest": "9f2c",
        "loaded_at": "2025-11-24T16:00:00.250Z",
        "last_reload": {
            "result": "refused",
            "at": "2025-11-24T16:01:00.000Z",
            "problems": ["routes/crm.yaml:3:1: unknown field 'lain'"],
        },
        "config": {"sidecar.yaml": {"version": "1"}},
    }


@pytest.mark.parametrize("what", ["leases", "queues", "unknown"])
async def test_a_list_holds_what_the_store_holds(port: Port, what: str) -> None:
    port.store.items[what] = [{"id": "c1", "tool": "hubspot"}]
    assert (await port.ask("GET", f"/{what}"))[:2] == (200, {"items": [{"id": "c1", "tool": "hubspot"}]})


async def test_runs_are_those_with_a_call_in_flight(port: Port) -> None:
    route, story = port.meters.route("hubspot", "deal.update", "write"), a_story()
    route.began(story)
    assert (await port.ask("GET", "/runs"))[1] == {
        "items": [{"id": "run-7", "workflow": "sync", "tenant": "acme", "calls": 1, "locks": []}]
    }
    route.ended(story)
    assert (await port.ask("GET", "/runs"))[1] == {"items": []}


async def test_a_store_that_is_away_is_said_so(port: Port) -> None:
    async def away() -> None:
        raise Refusal("store-unavailable", "The store cannot be reached.")

    port.store.look = away
    status, told, response = await port.ask("GET", "/leases")
    assert (status, told["code"]) == (503, "store-unavailable")
    assert response.content_type == "application/problem+json"


async def test_a_store_that_hangs_does_not_hang_the_port(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(answers, "PEEK_S", 0.01)
    port.store.look = hang
    status, told, _ = await port.ask("GET", "/queues")
    assert (status, told["code"]) == (503, "store-unavailable")


async def test_a_bug_is_a_problem_without_its_insides(port: Port, caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise RuntimeError("redis://:password@store")

    port.store.look = fail
    status, told, response = await port.ask("GET", "/leases")
    assert (status, told["code"]) == (500, "internal")
    assert "password" not in str(told) + str(response.headers)


async def test_a_url_is_explained(port: Port) -> None:
    status, told, _ = await port.ask(
        "GET", "/explain", params={"method": "patch", "url": "https://api.hubapi.com/crm/v3?a=b&c=d"}
    )
    assert (status, told) == (200, {"route": "deal.update"})
    assert port.process.asked == [("PATCH", "https://api.hubapi.com/crm/v3?a=b&c=d", [], b"")]


@pytest.mark.parametrize(
    ("sent", "headers", "body"),
    [
        ({}, [], b""),
        ({"body": "a=1"}, [], b"a=1"),
        ({"body": {"a": 1}}, [(b"Content-Type", b"application/json")], b'{"a":1}'),
        (
            {"body": {"a": 1}, "headers": {"content-type": "application/x"}},
            [(b"content-type", b"application/x")],
            b'{"a":1}',
        ),
    ],
    ids=["nothing", "text", "JSON", "JSON of a named type"],
)
async def test_a_call_with_a_body_is_explained(
    port: Port, sent: dict[str, object], headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    url = "https://api.hubapi.com/x"
    status, _, _ = await port.ask("POST", "/explain", json={"method": "POST", "url": url, **sent})
    assert status == 200
    assert port.process.asked == [("POST", url, headers, body)]


async def test_a_call_that_would_be_refused_is_explained_as_well(port: Port) -> None:
    port.process.explain_raises = Refusal("key-underivable", "The body has no 'id'.")
    assert (await port.ask("GET", "/explain", params={"url": "https://x.test/"}))[:2] == (
        200,
        {"refused": "key-underivable", "status": 422, "detail": "The body has no 'id'."},
    )


async def test_an_impossible_url_is_the_askers_mistake(port: Port) -> None:
    port.process.explain_raises = ValueError("the URL names no host")
    status, told, _ = await port.ask("GET", "/explain", params={"url": "https:///"})
    assert (status, told["detail"]) == (400, "the URL names no host.")


@pytest.mark.parametrize(
    "sent",
    [
        [],
        {},
        {"url": 1},
        {"url": "u", "headers": []},
        {"url": "u", "headers": {"a": 1}},
        {"url": "u", "method": None},
    ],
    ids=str,
)
async def test_a_wrong_question_says_how_to_ask(port: Port, sent: object) -> None:
    status, told, _ = await port.ask("POST", "/explain", json=sent)
    assert (status, told["code"]) == (400, "bad-request")
    assert "?method=PATCH&url=" in str(told["detail"])


async def test_a_question_that_is_no_json_is_told_so(port: Port) -> None:
    status, told, _ = await port.ask(
        "POST", "/explain", data=b"{", headers={"Content-Type": "application/json"}
    )
    assert (status, told["code"]) == (400, "bad-request")


async def test_a_reload_is_done_and_told(port: Port) -> None:
    assert (await port.change("/reload"))[:2] == (
        200,
        {"result": "loaded", "at": "2025-11-24T16:00:01.000Z", "problems": []},
    )
    assert port.process.reloads == 1


async def test_a_reload_that_was_refused_tells_every_problem(port: Port) -> None:
    port.process.next_reload = Reload(
        1_764_000_001.0, "refused", ["sidecar.yaml:1:1: one", "x.yaml:2:2: two"]
    )
    status, told, _ = await port.change("/reload")
    assert status == 422
    assert told["problems"] == ["sidecar.yaml:1:1: one", "x.yaml:2:2: two"]


@pytest.mark.parametrize("path", ["/", "/nothing", "/approvals/1/answer", "/unknown/1/resolve"])
async def test_what_does_not_exist_is_a_problem(port: Port, path: str) -> None:
    status, told, response = await port.change(path)
    assert (status, told["code"], told["type"]) == (404, "not-found", "urn:sidecar:not-found")
    assert response.content_type == "application/problem+json"


async def test_a_wrong_method_names_the_right_one(port: Port) -> None:
    status, told, response = await port.ask("GET", "/reload")
    assert (status, told["code"], response.headers["Allow"]) == (405, "method-not-allowed", "POST")


async def test_a_body_that_is_too_large_is_refused(port: Port) -> None:
    status, told, _ = await port.ask(
        "POST",
        "/explain",
        data=BytesIO(b"x" * (endpoints.LARGEST_BYTES + 1)),
        headers={"Content-Type": "application/json"},
    )
    assert status == 413
    assert told["status"] == 413


@pytest.mark.parametrize("path", READS)
async def test_an_answer_is_kept_framed_and_sniffed_by_nobody(port: Port, path: str) -> None:
    _, _, response = await port.ask("GET", path)
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    assert not [name for name in response.headers if name.startswith("Access-Control-")]


@pytest.mark.parametrize("path", READS)
async def test_a_probe_may_ask_with_head(port: Port, path: str) -> None:
    async with port.client.head(port.url + path) as response:
        assert response.status == 200


def test_the_reference_page_lists_every_endpoint() -> None:
    page = (Path(__file__).parents[2] / "docs" / "admin.md").read_text()
    listed = set(re.findall(r"^\| `((?:GET|POST|DELETE) /[\w/{}]+)", page, re.MULTILINE))
    app = endpoints.runner(Process(), Store(), Meters(), "", 1.0).app
    served = {f"{route.method} {route.resource.canonical}" for route in app.router.routes() if route.resource}
    assert listed == {route for route in served if not route.startswith("HEAD")}
