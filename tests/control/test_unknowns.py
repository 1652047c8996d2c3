"""A person says what an unknown outcome was: who and why stays in the log."""

from typing import Any

import pytest

from sidecar.core.call import Answer
from tests.control.conftest import Port

ID = "a" * 40
ITEM = {"id": ID, "tool": "stripe", "route": "refund.create", "tenant": "acme", "run": "r1", "call": "c1"}


@pytest.fixture(autouse=True)
def known(port: Port) -> None:
    port.store.items["unknown"] = [ITEM]


async def test_one_is_shown_by_the_id_it_is_listed_with(port: Port) -> None:
    assert (await port.ask("GET", f"/unknown/{ID}"))[:2] == (200, ITEM)


@pytest.mark.parametrize("name", ["b" * 40, "c1", "a*", "A" * 40, "%2e%2e"])
async def test_an_id_that_is_not_listed_is_not_found(port: Port, name: str) -> None:
    status, problem, _ = await port.ask("GET", f"/unknown/{name}")
    assert (status, problem["code"]) == (404, "not-found")
    status, problem, _ = await port.change(f"/unknown/{name}/resolve", json={"applied": True, "by": "ada"})
    assert (status, problem["code"]) == (404, "not-found")
    assert not port.store.resolved


async def test_what_was_decided_by_whom_and_why_is_logged(port: Port) -> None:
    said = {"applied": False, "by": "ada", "why": "looked in\nStripe"}
    assert (await port.change(f"/unknown/{ID}/resolve", json=said))[:2] == (200, {"id": ID, "applied": False})
    assert port.store.resolved == [(ID, False, None)]
    what, by, why, about = port.process.decisions[0]
    assert (what, by, why) == ("unknown.resolve", "ada", "looked in Stripe")
    assert (about["intent"], about["applied"], about["run"]) == (ID[:12], False, "r1")


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ({"body": {"id": "re_1"}}, Answer(200, ((b"Content-Type", b"application/json"),), b'{"id":"re_1"}')),
        (
            {"status": 201, "headers": {"X-Id": "7"}, "body": "made"},
            Answer(201, ((b"X-Id", b"7"),), b"made"),
        ),
        ({"status": 204, "headers": {"Content-Length": "9", "Set-Cookie": "a=b"}}, Answer(204, (), b"")),
    ],
)
async def test_what_was_applied_may_have_an_answer(port: Port, said: object, answer: Answer) -> None:
    body = {"applied": True, "answer": said, "by": "ada", "why": ""}
    assert (await port.change(f"/unknown/{ID}/resolve", json=body))[0] == 200
    assert port.store.resolved == [(ID, True, answer)]


@pytest.mark.parametrize(
    ("said", "about"),
    [
        ({"by": "ada"}, '"applied"'),
        ({"applied": "yes", "by": "ada"}, '"applied"'),
        ({"applied": True}, "who decides"),
        ({"applied": True, "by": " "}, "who decides"),
        ({"applied": False, "answer": {}, "by": "ada"}, "no answer"),
        ({"applied": True, "answer": [], "by": "ada"}, '"status"'),
        ({"applied": True, "answer": {"stats": 1}, "by": "ada"}, '"status"'),
        ({"applied": True, "answer": {"status": 99}, "by": "ada"}, "from 200"),
        ({"applied": True, "answer": {"headers": {"X": "a\r\nb"}}, "by": "ada"}, "one line"),
        ({"applied": True, "answer": {"headers": {"X:": "a"}}, "by": "ada"}, "one line"),
    ],
)
async def test_what_cannot_be_understood_changes_nothing(port: Port, said: Any, about: str) -> None:
    status, problem, _ = await port.change(f"/unknown/{ID}/resolve", json=said)
    assert (status, problem["code"]) == (400, "bad-request")
    assert about in str(problem["detail"])
    assert not port.store.resolved
    assert not port.process.decisions


async def test_nobody_resolves_anything_without_the_token(port: Port) -> None:
    status, _, _ = await port.ask("POST", f"/unknown/{ID}/resolve", json={"applied": True, "by": "ada"})
    assert status == 401
    assert not port.store.resolved
