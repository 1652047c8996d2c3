"""When the half with sidecars passes."""

from collections import Counter
from dataclasses import replace

import pytest

from sidecar.demo.counts import HARM, Counts, counts
from sidecar.demo.ledger import Kind

CLEAN = Counts(0, 0, 0, 0, work_done=10, work_planned=10, unknown_outcomes=1, quiet_worst_wait_ms=90)


def test_no_harm_and_all_of_the_work_is_good() -> None:
    assert CLEAN.good


@pytest.mark.parametrize("name", HARM)
def test_one_harm_of_any_kind_is_not_good(name: str) -> None:
    assert not replace(CLEAN, **{name: 1}).good


def test_harmless_because_idle_is_not_good() -> None:
    assert not replace(CLEAN, work_done=9).good


def test_every_kind_that_a_tool_counts_reaches_the_table() -> None:
    found: Counter[Kind] = Counter(
        {"overlap": 1, "lost-update": 2, "duplicate-email": 3, "duplicate-charge": 4}
    )
    assert counts(found, 10, 10, None, 0.0914) == Counts(
        1, 2, 3, 4, work_done=10, work_planned=10, unknown_outcomes=None, quiet_worst_wait_ms=91
    )
