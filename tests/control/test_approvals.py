"""Who may answer a question, and under which name."""

from hashlib import sha256

import pytest

from tests.control.conftest import TOKEN, Port

ITEM = {
    "id": "q1",
    "state": "pending",
    "opened_ms": 1_764_000_000_250,
    "ends_ms": 1_764_003_600_250,
    "run": "run-7",
    "workflow": "dunning",
    "tenant": "acme",
    "tool": "resend",
    "route": "email.send",
    "show": {"to": "ada@example.com"},
    "needs": 1,
    "decisions": [{"verdict": "approve", "by": "grace", "why": "fine", "at_ms": 1_764_000_001_000}],
}


@pytest.fixture(autouse=True)
def _question(port: Port) -> None:
    port.store.approvals.items["q1"] = ITEM


async def answer(
    port: Port, token: str, body: object = None, path: str = "/approvals/q1/approve"
) -> tuple[int, dict[str, object]]:
    options = {} if body is None else {"json": body}
    return (await port.ask("POST", path, headers={"Authorization": f"Bearer {token}"}, **options))[:2]


async def test_a_question_is_shown_with_its_times(port: Port) -> None:
    status, told, _ = await port.ask("GET", "/approvals/q1")
    assert status == 200
    assert (told["opened_at"], told["ends_at"]) == ("2025-11-24T16:00:00.250Z", "2025-11-24T17:00:00.250Z")
    assert told["decisions"] == [
        {"at": "2025-11-24T16:00:01.000Z", "verdict": "approve", "by": "grace", "why": "fine"}
    ]
    assert (await port.ask("GET", "/approvals"))[1] == {"items": [told]}
    assert (await port.ask("GET", "/approvals/q2"))[0] == 404


@pytest.mark.parametrize("verdict", ["approve", "deny"])
async def test_the_admin_token_decides_under_the_name_it_is_given_and_that_is_logged(
    port: Port, verdict: str
) -> None:
    status, told = await answer(port, TOKEN, {"by": "grace", "why": "fine"}, f"/approvals/q1/{verdict}")
    assert (status, told["result"]) == (200, "approved")
    assert port.store.approvals.answers == [("q1", verdict, "grace", "fine")]
    about: dict[str, object] = {"approval": "q1", "result": "approved", "run": "run-7", "workflow": "dunning"}
    about |= {"tenant": "acme", "tool": "resend", "route": "email.send"}
    assert port.process.decisions == [(f"approval.{verdict}", "grace", "fine", about)]


async def test_nobody_decides_without_a_name(port: Port) -> None:
    for body in (None, {}, {"by": " "}, {"by": 7}):
        assert (await answer(port, TOKEN, body))[0] == 400
    assert port.store.approvals.answers == []


@pytest.mark.parametrize("given", ["", "wrong", "q1"])
@pytest.mark.parametrize("named", [True, False])
async def test_nobody_decides_without_a_token(port: Port, given: str, named: bool) -> None:
    port.process.people |= {"grace": sha256(b"graces-own").digest()} if named else {}
    status, told = await answer(port, given, {"by": "grace"})
    assert (status, told["code"]) == (401, "approver-needed" if named else "token-required")
    assert port.store.approvals.answers == []


async def test_an_approvers_own_token_says_who_decides(port: Port) -> None:
    port.process.people |= {"grace": sha256(b"graces-own").digest(), "ada": sha256(b"adas-own").digest()}
    assert (await answer(port, "adas-own"))[0] == 200
    assert (await answer(port, "graces-own", {"by": "grace", "why": "w"}))[0] == 200
    assert [by for _, _, by, _ in port.store.approvals.answers] == ["ada", "grace"]
    status, told = await answer(port, "adas-own", {"by": "grace"})
    assert (status, told["code"]) == (403, "not-yourself")
    assert len(port.store.approvals.answers) == 2


async def test_where_approvers_are_named_the_admin_token_is_nobody(port: Port) -> None:
    port.process.people["grace"] = sha256(b"graces-own").digest()
    status, told = await answer(port, TOKEN, {"by": "grace"})
    assert (status, told["code"]) == (401, "approver-needed")
    assert port.store.approvals.answers == []


async def test_an_approvers_token_changes_nothing_else(port: Port) -> None:
    port.process.people["grace"] = sha256(b"graces-own").digest()
    assert (await answer(port, "graces-own", path="/reload"))[0] == 401
    assert port.process.reloads == 0


@pytest.mark.parametrize("token", [""])
async def test_an_approver_needs_no_admin_token_to_be_set(port: Port, token: str) -> None:
    port.process.people["grace"] = sha256(b"graces-own").digest()
    assert (await answer(port, "graces-own"))[0] == 200


@pytest.mark.parametrize(
    ("word", "status", "code"),
    [("asker", 403, "asker-decides"), ("decided", 409, "already-decided")],
)
async def test_an_answer_that_does_not_count_says_why_and_is_logged(
    port: Port, word: str, status: int, code: str
) -> None:
    port.store.approvals.word = word
    got, told = await answer(port, TOKEN, {"by": "acme"})
    assert (got, told["code"]) == (status, code)
    assert port.process.decisions[0][3]["result"] == word


async def test_a_question_that_is_over_is_not_found(port: Port) -> None:
    assert (await answer(port, TOKEN, {"by": "ada"}, "/approvals/old/approve"))[0] == 404
