"""Every refusal says what happened and what to do next, and never more than a run and a workflow of anybody else."""

import pytest

from sidecar.core.claim import Rate
from sidecar.core.refusal import Refusal
from sidecar.gate import words
from tests.gate.scripts import claim

ABOUT = b"run-7\ndunning\ncrm\ndeal.update\nwrite\nsecret-tenant"
REPLIES = [
    [b"blocked", 0, 0, 9000, b"granted", b"c9", ABOUT],
    [b"blocked", 1, 3, 9000, b"granted", b"c9", ABOUT],
    [b"blocked", 1, 0, 9000, b"lapsed", b"c9", ABOUT],
    [b"blocked", 2, 0, 0, b"", b"", b""],
    [b"full", b"tenant", 0],
    [b"full", b"total", 700],
    [b"full", b"time", 2_500],
    [b"unknown", 61_000, b"timeout", ABOUT],
    [b"unknown", 10, b"", b""],
    [b"done", b"201"],
    [b"reused"],
]


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: "-".join(map(str, reply[:2])))
def test_a_refusal_is_for_a_model_to_read(reply: list[object]) -> None:
    no = words.refusal(claim("c1", "f" * 32, ("deal:1",), {"global": 1}), reply, 5)
    assert isinstance(no, Refusal)
    assert no.detail[0].isupper() or no.detail.startswith("deal:1")
    assert no.detail.endswith(".")
    assert len(no.detail) > 40
    assert "not sent" in no.detail or "Nothing was sent" in no.detail
    for hidden in ("secret-tenant", "f" * 32, "c9"):
        assert hidden not in no.detail + no.holder_run + no.blocked_by
    assert no.wait_ms == 5


def test_a_live_holder_is_worth_asking_again_soon_and_a_dead_one_only_when_its_time_is_up() -> None:
    asked = claim("c1", None, ("a",))
    live = words.refusal(asked, [b"blocked", 1, 0, 30_000, b"granted", b"c9", ABOUT], 0)
    dead = words.refusal(asked, [b"blocked", 1, 0, 30_000, b"lapsed", b"c9", ABOUT], 0)
    assert (live.retry_after_ms, dead.retry_after_ms) == (5_000, 30_000)
    assert "outcome is unknown" in dead.detail


def test_a_wait_that_ended_says_what_blocked_who_holds_it_and_how_many_wait_before() -> None:
    asked = claim("c1", None, ("deal:1",), {"global": 1})
    for at, what in ((1, "lock:deal:1"), (2, "cap:global")):
        no = words.refusal(asked, [b"blocked", at, 3, 9000, b"granted", b"c9", ABOUT], 0)
        assert (no.blocked_by, no.holder_run) == (what, "run-7")
        assert "run run-7 of workflow dunning" in no.detail
        assert "3 more calls of its tenant wait before it" in no.detail


def test_a_word_that_nobody_knows_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="nonsense"):
        words.refusal(claim("c1"), [b"nonsense"], 0)


def test_a_rate_and_a_pause_say_when_they_open_and_a_probe_may_end_any_moment() -> None:
    asked = claim("c1", "x", ("a",), {"global": 1})._replace(rates=(Rate("tool:crm", 5, 1000),))
    rate = words.refusal(asked, [b"blocked", 3, 4, 90_000, b"", b"", b""], 7)
    assert (rate.code, rate.blocked_by, rate.retry_after_ms, rate.wait_ms) == (
        "rate-limited",
        "rate:tool:crm",
        90_000,
        7,
    )
    assert "4 more calls" in rate.detail
    pause = words.refusal(asked, [b"blocked", 4, 0, 90_000, b"", b"", b""], 0)
    assert (pause.code, pause.blocked_by, pause.retry_after_ms) == ("tool-paused", "pause:crm", 90_000)
    probed = words.refusal(asked, [b"blocked", 4, 0, 15_000, b"granted", b"c9", ABOUT], 0)
    assert probed.retry_after_ms == 5_000
