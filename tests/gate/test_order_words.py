"""What a refused step is told: what happened, and the way out."""

import pytest

from sidecar.gate import guards
from tests.gate.steps import step

ABOUT = b"r1\ndunning\ncrm\ninvoice.validate\nwrite\nacme"


@pytest.mark.parametrize(
    ("said", "code", "text"),
    [
        (
            [b"running", 9000, b"validated", ABOUT],
            "prior-step-running",
            (
                "invoice:1 is on its way to 'validated': invoice.validate of run r1 is still running. Nothing was "
                "sent. Retry in a moment."
            ),
        ),
        (
            [b"unknown", 65_000, b"validated", ABOUT],
            "outcome-unknown",
            (
                "The step invoice.validate of run r1, which would make invoice:1 'validated', was sent 1 min ago, and "
                "no answer says whether it took effect. Nothing was sent. Read the record to see which state it is in. "
                "Repeat exactly that step if its route allows it; else a person has to say what it did."
            ),
        ),
        (
            [b"stale", 7_200_000, b"validated", ABOUT],
            "prior-step-stale",
            (
                "invoice:1 became 'validated' 2 h ago (by invoice.validate of run r1), and for this call that may be "
                "at most 1 h ago. Nothing was sent. Do the step that comes before (invoice.validate) again, then send "
                "this call."
            ),
        ),
        (
            [b"missing", 3_000, b"void", ABOUT],
            "prior-step-missing",
            (
                "invoice:1 is 'void' (3 s ago, by invoice.validate of run r1), and this call requires it to be "
                "'validated'. Nothing was sent. Do the step that comes before (invoice.validate) first, then send "
                "this call."
            ),
        ),
        (
            [b"unseen", -1, b"", b""],
            "prior-step-missing",
            (
                "Nobody has brought invoice:1 into any state here, and this call requires it to be 'validated'. "
                "Nothing was sent. Do the step that comes before (invoice.validate) first, then send this call."
            ),
        ),
    ],
)
def test_a_refused_step_is_told_what_happened_and_what_to_do(
    said: list[object], code: str, text: str
) -> None:
    asked = step("c1", "validated", "paid", max_age_ms=3_600_000, steps=("invoice.validate",))
    no = guards.refusal(asked, 0, said, 7)
    assert (no.code, no.detail, no.blocked_by, no.wait_ms) == (code, text, "order:invoice:1", 7)
    assert no.holder_run == ("" if said[0] == b"unseen" else "r1")
    assert (no.retry_after_ms is not None) is (code == "prior-step-running")
