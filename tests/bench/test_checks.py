"""A window that measured something else than its row says is no figure."""

from http.client import HTTPResponse
from typing import cast

import pytest

from bench import checks
from bench.backing import ANSWER
from bench.checks import Wrong
from bench.contenders import Promise
from bench.wrk import Load

GATED = Promise(verdict="executed", scripts=2)


def load(calls: int = 1000, errors: int = 0, body: int = len(ANSWER)) -> Load:
    return Load(calls, calls * (body + 150), 2_000_000, 300, 900, errors)


def answered(verdict: str | None) -> HTTPResponse:
    class Answer:
        def getheader(self, _name: str) -> str | None:
            return verdict

    return cast(HTTPResponse, Answer())


def test_errors_and_silence_are_no_figures() -> None:
    checks.check_load(load())
    for wrong in (load(errors=1), load(calls=0)):
        with pytest.raises(Wrong, match="errors in"):
            checks.check_load(wrong)


def test_a_short_answer_is_noticed() -> None:
    with pytest.raises(Wrong, match="less than its body"):
        checks.check_load(load(body=200))


@pytest.mark.parametrize(
    ("upstream", "scripts"),
    [
        pytest.param(1000, 2000, id="exactly"),
        pytest.param(1016, 2032, id="what was under way at the end"),
    ],
)
def test_a_gated_window_takes_two_scripts_and_one_request_a_call(upstream: int, scripts: int) -> None:
    checks.check_work(load(), 16, upstream, scripts, GATED)


@pytest.mark.parametrize(
    ("upstream", "scripts", "message"),
    [
        pytest.param(1, 2000, "1 requests reached the upstream", id="answered from somewhere else"),
        pytest.param(2000, 2000, "2000 requests reached the upstream", id="sent twice"),
        pytest.param(1000, 0, "0 store scripts", id="not gated"),
        pytest.param(1000, 1000, "1000 store scripts", id="never settled"),
        pytest.param(1000, 4000, "4000 store scripts", id="more round trips than promised"),
    ],
)
def test_a_gated_window_that_did_something_else_is_wrong(upstream: int, scripts: int, message: str) -> None:
    with pytest.raises(Wrong, match=message):
        checks.check_work(load(), 16, upstream, scripts, GATED)


def test_a_pass_through_that_asks_the_store_is_wrong() -> None:
    checks.check_work(load(), 16, 1000, 0, Promise())
    with pytest.raises(Wrong, match="store scripts"):
        checks.check_work(load(), 16, 1000, 1000, Promise())


def test_a_replay_sends_nothing_and_asks_once() -> None:
    checks.check_replays(load(), 1, 1001)
    with pytest.raises(Wrong, match="reached the upstream"):
        checks.check_replays(load(), 2, 1001)
    with pytest.raises(Wrong, match="store scripts"):
        checks.check_replays(load(), 1, 2000)


@pytest.mark.parametrize(
    ("verdict", "promise"),
    [(None, GATED), ("replayed; call=1", GATED), ("refused; call=1", GATED), ("executed; call=1", Promise())],
)
def test_another_verdict_than_promised_is_wrong(verdict: str | None, promise: Promise) -> None:
    with pytest.raises(Wrong, match="its verdict is"):
        checks.check_answer("it", answered(verdict), promise)


def test_the_promised_verdict_is_right() -> None:
    checks.check_answer("it", answered("executed; call=1; wait=0"), GATED)
    checks.check_answer("it", answered(None), Promise())


def test_a_log_that_was_mostly_off_cost_nothing_and_is_wrong() -> None:
    checks.check_log(998, 1000)
    with pytest.raises(Wrong, match="10 log lines for 1000 calls"):
        checks.check_log(10, 1000)
