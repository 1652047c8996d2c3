"""A hand-off is timed at the upstream, and calls that overlap show."""

from bench.handoff import Gaps


def test_a_gap_is_the_time_between_an_end_and_the_next_beginning() -> None:
    gaps = Gaps()
    for _ in range(3):
        gaps.began()
        gaps.ended()
    assert len(gaps.us) == 2
    assert min(gaps.us) > 0
    assert gaps.overlaps == 0


def test_a_call_that_begins_before_the_last_one_ended_is_an_overlap() -> None:
    gaps = Gaps()
    gaps.began()
    gaps.began()
    assert gaps.overlaps == 1
