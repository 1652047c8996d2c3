"""A profile says where time was spent, and under whom."""

import pytest

from bench import hotspots
from bench.contenders import contenders
from bench.programs import Missing


def test_a_function_owns_the_samples_it_was_on_top_of_and_shares_those_below() -> None:
    own, total = hotspots.tally(["main;serve;send 3", "main;serve 2", "main;serve;serve 1"])
    assert own == {"send": 3, "serve": 3}
    assert total == {"main": 6, "serve": 6, "send": 3}, "recursion counts once"


def test_without_a_profiler_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    monkeypatch.setattr(hotspots, "_py_spy", lambda: None)
    with pytest.raises(Missing, match="apt-get install linux-perf"):
        hotspots.profile(contenders()[0], None, 1)  # type: ignore[arg-type]  # it must not be touched
