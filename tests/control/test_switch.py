"""The kill switch as a program asks for it: one thing, by somebody, on record."""

from typing import Any

import pytest

from sidecar.core.refusal import Refusal
from tests.control.conftest import TOKEN, Port

AUTH = {"Authorization": f"Bearer {TOKEN}"}


async def change(port: Port, path: str, body: object) -> tuple[int, dict[str, Any]]:
    status, told, _ = await port.ask("POST", path, headers=AUTH, json=body)
    return status, dict(told)


@pytest.mark.parametrize(
    ("kind", "name"), [("tool", "crm"), ("tenant", "acme"), ("workflow", "dunning"), ("lane", "high_risk")]
)
async def test_what_is_paused_and_resumed_is_on_record_with_who_and_why(
    port: Port, kind: str, name: str
) -> None:
    said = {kind: name, "by": "ada", "why": "duplicates"}
    assert await change(port, "/pause", said) == (200, {"id": f"{kind}:{name}"} | said)
    assert port.store.halts == {(kind, name): ("ada", "duplicates", 0)}
    assert await change(port, "/resume", said | {"why": ""}) == (
        200,
        {"id": f"{kind}:{name}"} | said | {"why": ""},
    )
    assert port.store.halts == {}
    assert port.process.decisions == [
        ("pause", "ada", "duplicates", {kind: name}),
        ("resume", "ada", "", {kind: name}),
    ]


async def test_a_pause_may_end_by_itself(port: Port) -> None:
    status, told = await change(port, "/pause", {"tool": "crm", "by": "ada", "for_ms": 5000})
    assert (status, told["left_ms"]) == (200, 5000)
    assert port.store.halts == {("tool", "crm"): ("ada", "", 5000)}


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "exactly one of"),
        ({"by": "ada"}, "exactly one of"),
        ({"tool": "crm", "lane": "write", "by": "ada"}, "exactly one of"),
        ({"tool": "", "by": "ada"}, "exactly one of"),
        ({"tool": 7, "by": "ada"}, "exactly one of"),
        ({"tenant": "x" * 1001, "by": "ada"}, "exactly one of"),
        ({"tool": "crn", "by": "ada"}, "There is no tool crn here; did you mean 'crm'? Nothing was paused."),
        (
            {"lane": "writes", "by": "ada"},
            "There is no lane writes here; did you mean 'write'? Nothing was paused.",
        ),
        (
            {"lane": "zzz", "by": "ada"},
            "There is no lane zzz here; there is draft, high_risk, read or write.",
        ),
        ({"tool": "crm"}, "Say who decides"),
        ({"tool": "crm", "by": "ada", "for_ms": 0}, "a whole number of milliseconds"),
        ({"tool": "crm", "by": "ada", "for_ms": "5m"}, "a whole number of milliseconds"),
        ({"tool": "crm", "by": "ada", "for_ms": True}, "a whole number of milliseconds"),
        ({"tool": "crm", "by": "ada", "for_ms": 10**12}, "a whole number of milliseconds"),
        ([], "must be a JSON object"),
    ],
)
async def test_what_would_stop_nothing_is_refused(port: Port, body: object, detail: str) -> None:
    status, told = await change(port, "/pause", body)
    assert (status, told["code"]) == (400, "bad-request")
    assert detail in str(told["detail"])
    assert port.store.halts == {}
    assert port.process.decisions == []


async def test_what_nobody_paused_cannot_be_resumed(port: Port) -> None:
    status, told = await change(port, "/resume", {"tool": "gone", "by": "ada"})
    assert (status, told["code"]) == (404, "not-found")
    assert port.process.decisions == []


@pytest.mark.parametrize("path", ["/pause", "/resume"])
async def test_the_token_is_needed(port: Port, path: str) -> None:
    status, _, _ = await port.ask("POST", path, json={"tool": "crm", "by": "ada"})
    assert status == 401


async def test_a_store_that_is_away_is_no_success(port: Port) -> None:
    async def away() -> None:
        raise Refusal("store-unavailable", "away")

    port.store.look = away
    assert (await change(port, "/pause", {"tool": "crm", "by": "ada"}))[0] == 503
    assert port.process.decisions == []


@pytest.mark.parametrize("path", ["/pauses", "/budgets"])
async def test_lists_are_read_without_a_token(port: Port, path: str) -> None:
    port.store.items = {path[1:]: [{"id": "a"}]}
    assert (await port.ask("GET", path))[:2] == (200, {"items": [{"id": "a"}]})
