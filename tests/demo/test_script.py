"""One seed, one script; and no collision that comes from sharing a record by accident."""

import pytest

from sidecar.demo.script import Quirk, Script


def test_the_same_seed_gives_the_same_script_and_another_seed_another() -> None:
    assert Script.draw(1, quick=False) == Script.draw(1, quick=False)
    assert Script.draw(1, quick=False) != Script.draw(2, quick=False)


@pytest.mark.parametrize("quick", [True, False])
def test_no_record_is_in_two_scenes(quick: bool) -> None:
    script = Script.draw(7, quick)
    records = [*script.twice, *script.retried, *script.quiet, *script.lost, *script.killed]
    records += [lead for worker in script.noisy for lead in worker]
    assert len(records) == len(set(records))


@pytest.mark.parametrize(("nth", "covered"), [(1, False), (2, True), (3, False)])
def test_a_quirk_covers_the_write_it_names(nth: int, covered: bool) -> None:
    assert Quirk("lead-1", 1.0, nth=2).covers("lead-1", nth) is covered
    assert Quirk("lead-1", 1.0).covers("lead-1", nth)
    assert not Quirk("lead-1", 1.0).covers("lead-2", nth)
