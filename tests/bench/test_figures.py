"""Medians over rounds, ratios within a round, and targets judged by them."""

import json
from pathlib import Path

import pytest

from bench.figures import Figure, Figures, figures
from bench.programs import Missing
from bench.report import CLOSE, OPEN, Report, table, write_into
from bench.rounds import Round, Run, Start, Turn
from bench.targets import judge
from bench.window import Window
from bench.wrk import Load


def window(cpu_us: float, p50_us: int, scripts: float = 0, store_cpu_us: float = 0) -> Window:
    return Window(Load(1000, 2_000_000, 2_000_000, p50_us, p50_us * 3, 0), cpu_us, store_cpu_us, scripts, 0.0)


def one_round(slowdown: float) -> Round:
    """A machine ``slowdown`` times slower: Envoy 60 us and 200 us added, the sidecar 0.8 and 0.7 of it."""
    direct = round(20 * slowdown)
    turns = {
        name: Turn(
            window(cpu * slowdown, 0, scripts, 50 * slowdown), window(0, round((20 + added) * slowdown))
        )
        for name, cpu, added, scripts in (("pass", 48, 140, 0), ("gated", 72, 420, 2), ("envoy", 60, 200, 0))
    }
    return Round(direct, turns, window(0, 300, 1.0004))


@pytest.fixture
def measured() -> Figures:
    starts = {
        name: [Start(0.3, 40_000_000), Start(0.5, 42_000_000), Start(0.31, 41_000_000)]
        for name in ("pass", "gated", "envoy")
    }
    return figures(Run([one_round(1), one_round(2), one_round(1.5)], starts))


def test_a_machine_that_slows_down_between_rounds_leaves_the_ratios_alone(measured: Figures) -> None:
    ratio = measured.cpu_ratio("pass")
    assert ratio is not None
    assert (ratio.least, ratio.most) == pytest.approx((0.8, 0.8))
    added = measured.added_ratio("pass")
    assert added is not None
    assert (added.least, added.most) == pytest.approx((0.7, 0.7))


def test_a_figure_is_the_median_and_keeps_its_spread(measured: Figures) -> None:
    assert measured.rows["pass"].cpu_us == Figure(pytest.approx(72), pytest.approx(48), pytest.approx(96))
    assert measured.rows["pass"].ready_s.median == 0.31
    assert measured.rows["pass"].idle_mb.median == 41


def test_without_the_yardstick_there_are_no_ratios() -> None:
    one = one_round(1)
    alone = Round(one.direct_p50_us, {"pass": one.turns["pass"]}, None)
    measured = figures(Run([alone], {"pass": [Start(0.3, 40_000_000)]}))
    assert measured.cpu_ratio("pass") is None
    assert {judged.target.what for judged in judge(measured)} == {"idle memory", "time to ready"}


def test_targets_are_judged_by_the_median(measured: Figures) -> None:
    verdicts = {judged.target.what: judged.verdict for judged in judge(measured)}
    assert verdicts == {
        "pass-through CPU a call, to Envoy's": "reached",
        "gated CPU a call, to Envoy's ungated": "reached",
        "pass-through added p50, to Envoy's": "reached",
        "gated added p50, to Envoy's ungated": "reached",
        "store CPU a gated call": "missed",
        "store scripts a gated call": "reached",
        "store scripts a replay": "reached",
        "idle memory": "reached",
        "time to ready": "reached",
    }


def test_the_json_holds_every_figure_and_every_verdict(measured: Figures) -> None:
    told = json.loads(Report({"commit": "abc"}, 3, measured).json())
    assert told["proxies"]["gated"]["cpu_ratio"]["median"] == pytest.approx(1.2)
    assert told["gated"]["store_cpu_us"]["median"] == 75
    assert [one["verdict"] for one in told["targets"]].count("missed") == 1


def test_the_block_names_the_commit_and_replaces_the_last_one(tmp_path: Path, measured: Figures) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"# it\n\n{OPEN}\nold\n{CLOSE}\n\nafter\n")
    block = Report({"commit": "abc-dirty"}, 3, measured).markdown()
    for _ in range(2):
        write_into(readme, block)
    assert readme.read_text() == f"# it\n\n{OPEN}\n{block}{CLOSE}\n\nafter\n"
    assert "Commit abc-dirty" in block


def test_a_readme_without_a_place_is_left_as_it_is(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"# it\n{OPEN}\n")
    with pytest.raises(Missing, match="has no place for the table"):
        write_into(readme, "new\n")
    assert readme.read_text() == f"# it\n{OPEN}\n"


def test_a_table_lines_up() -> None:
    assert table(("", "us"), [["envoy", "60.1"], ["it", "8"]]).splitlines() == [
        "|       |   us |",
        "| ----- | ---: |",
        "| envoy | 60.1 |",
        "| it    |    8 |",
    ]
