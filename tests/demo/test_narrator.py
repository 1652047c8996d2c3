"""What is worth telling, and in which words."""

from typing import Any

import pytest

from sidecar.demo.narrator import Narrator, Note


def line(**fields: Any) -> dict[str, Any]:
    return {
        "run": "sdr-2",
        "route": "lead.update",
        "locks": ["a1"],
        "verdict": "executed",
        "wait_ms": 0,
    } | fields


TOLD = [
    ({"verdict": "joined"}, True, "joined", "sdr-2 shared the lead.update under way"),
    ({"verdict": "replayed"}, True, "replayed", "sdr-2 got the stored answer of lead.update"),
    (
        {"verdict": "refused", "code": "outcome-unknown"},
        True,
        "refused",
        "sdr-2: lead.update may be done; ask a person",
    ),
    (
        {"verdict": "refused", "code": "upstream-failed"},
        None,
        "unknown",
        "sdr-2: lead.update was sent, its answer lost",
    ),
    ({"verdict": "refused", "code": "queue-full"}, None, "refused", "sdr-2: lead.update, queue-full"),
]


@pytest.mark.parametrize(("fields", "good", "word", "text"), TOLD)
def test_a_decision_is_told(fields: dict[str, Any], good: bool | None, word: str, text: str) -> None:
    note = Narrator().hear(line(**fields))
    assert note is not None
    assert (note.good, note.word, note.text) == (good, word, text)


def test_a_call_that_just_ran_is_not_worth_a_word() -> None:
    assert Narrator().hear(line()) is None


def test_whoever_held_the_record_is_named() -> None:
    narrator = Narrator()
    narrator.hear(line(run="sdr-1"))
    note = narrator.hear(line(wait_ms=502))
    assert note is not None
    assert note.text == "sdr-2 0.50 s for the lead that sdr-1 held"


def test_a_wait_that_no_record_explains_was_for_a_slot_and_the_longest_is_shown() -> None:
    narrator = Narrator()
    notes = [
        narrator.hear(line(locks=[lock], wait_ms=ms)) for lock, ms in (("a1", 300), ("b2", 700), ("c3", 400))
    ]
    assert {note.key for note in notes if note} == {"slot sdr-2"}
    assert notes[-1] == Note(
        "slot sdr-2", "waited", "sdr-2 up to 0.70 s for a slot of its own share", good=True
    )


def test_what_a_tool_found_is_told_as_harm() -> None:
    note = Narrator().hear(
        {"from": "crm", "event": "finding", "kind": "lost-update", "text": "lead-1 v2 ..."}
    )
    assert note == Note("lost update", "lost update", "lead-1 v2 ...", good=False)


def test_other_news_is_not_told() -> None:
    assert Narrator().hear({"from": "crm", "event": "arrived", "record": "lead-1", "nth": 1}) is None
