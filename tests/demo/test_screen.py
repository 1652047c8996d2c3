"""What a person sees, in a pipe and in 80 columns."""

import io

import pytest
from rich.console import Console

from sidecar.demo.counts import Counts
from sidecar.demo.narrator import Note
from sidecar.demo.screen import Screen

WITHOUT = Counts(18, 6, 3, 6, work_done=350, work_planned=350, unknown_outcomes=None, quiet_worst_wait_ms=690)
GATED = Counts(0, 0, 0, 0, work_done=350, work_planned=350, unknown_outcomes=3, quiet_worst_wait_ms=92)


def played(terminal: bool) -> str:
    out = io.StringIO()
    screen = Screen(Console(file=out, force_terminal=terminal, width=80, color_system=None, highlight=False))
    screen.opening()
    screen.half(1, "without sidecars")
    with screen.scene(1, "One lead, picked up by two runs"):
        screen.note(Note("overlap", "overlap", "two writes at once on lead-1", good=False))
        screen.note(Note("overlap", "overlap", "two writes at once on " + "lead-2" * 20, good=False))
        screen.note(Note("joined", "joined", "sdr-2 shared the lead.update under way", good=True))
    screen.table(WITHOUT, GATED)
    return out.getvalue()


def test_a_pipe_gets_plain_text_in_80_columns() -> None:
    lines = played(terminal=False).splitlines()
    assert "\x1b" not in "".join(lines)
    assert max(map(len, lines)) <= 80


def test_notes_of_one_kind_are_one_line_with_a_count_and_the_latest_words() -> None:
    told = [line for line in played(terminal=False).splitlines() if "two writes" in line]
    assert len(told) == 1
    assert "2 x overlap" in told[0]
    assert "lead-2lead-2" in told[0]


@pytest.mark.parametrize("terminal", [True, False])
def test_the_table_shows_both_halves_side_by_side(terminal: bool) -> None:
    rows = [line.split() for line in played(terminal).splitlines()]
    assert ["Lost", "updates", "6", "0"] in rows
    assert ["Work", "done", "350", "of", "350", "350", "of", "350"] in rows
    assert ["Worst", "wait", "of", "the", "quiet", "tenant", "0.69", "s", "0.09", "s"] in rows
