"""From windows to figures: medians over the rounds, ratios within a round."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from bench.rounds import Round, Run

YARDSTICK = "envoy"


@dataclass(frozen=True, slots=True)
class Figure:
    """A median, and the rounds it hides."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Figure":
        ordered = sorted(values)
        return cls(median(ordered), ordered[0], ordered[-1])


@dataclass(frozen=True, slots=True)
class Row:
    """One contender."""

    name: str
    cpu_us: Figure
    """A call, in its process, 16 connections."""
    added_p50_us: Figure
    """One connection: its median less that of the straight way."""
    rate: Figure
    """Calls a second, 16 connections."""
    p99_us: Figure
    """16 connections."""
    idle_mb: Figure
    ready_s: Figure
    others_share: Figure
    """Of the proxy's core, what somebody else took meanwhile."""


@dataclass(frozen=True, slots=True)
class Gated:
    """What only the gate has."""

    store_cpu_us: Figure
    scripts: Figure
    replay_p50_us: Figure
    """Through the sidecar, one connection, from request to replayed answer."""
    replay_scripts: Figure


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that is printed."""

    rows: dict[str, Row]
    direct_p50_us: Figure
    gated: Gated | None
    _rounds: tuple[Round, ...]

    def cpu_ratio(self, name: str, to: str = YARDSTICK) -> Figure | None:
        """CPU a call as a multiple of ``to``'s in the same round; None where one of them did not run."""
        return self._ratio(lambda one, who: one.turns[who].busy.cpu_us, name, to)

    def added_ratio(self, name: str, to: str = YARDSTICK) -> Figure | None:
        """Added p50 as a multiple of ``to``'s in the same round; None where one of them did not run."""
        return self._ratio(added_p50_us, name, to)

    def _ratio(self, of: Callable[[Round, str], float], name: str, to: str) -> Figure | None:
        if not {name, to} <= self.rows.keys():
            return None
        return Figure.of(of(one, name) / max(of(one, to), 1.0) for one in self._rounds)


def added_p50_us(one: Round, name: str) -> float:
    """What a proxy adds to the straight way's median, in one round."""
    return one.turns[name].lone.load.p50_us - one.direct_p50_us


def figures(run: Run) -> Figures:
    rounds = run.rounds
    return Figures(
        rows={name: _row(run, name) for name in run.starts},
        direct_p50_us=Figure.of(one.direct_p50_us for one in rounds),
        gated=_gated(rounds) if "gated" in run.starts else None,
        _rounds=tuple(rounds),
    )


def _row(run: Run, name: str) -> Row:
    busy = [one.turns[name].busy for one in run.rounds]
    return Row(
        name,
        cpu_us=Figure.of(window.cpu_us for window in busy),
        added_p50_us=Figure.of(added_p50_us(one, name) for one in run.rounds),
        rate=Figure.of(window.load.rate for window in busy),
        p99_us=Figure.of(window.load.p99_us for window in busy),
        idle_mb=Figure.of(start.idle_bytes / 1e6 for start in run.starts[name]),
        ready_s=Figure.of(start.ready_s for start in run.starts[name]),
        others_share=Figure.of(window.others_share for window in busy),
    )


def _gated(rounds: list[Round]) -> Gated:
    busy = [one.turns["gated"].busy for one in rounds]
    replays = [one.replay for one in rounds if one.replay is not None]
    return Gated(
        store_cpu_us=Figure.of(window.store_cpu_us for window in busy),
        scripts=Figure.of(window.scripts for window in busy),
        replay_p50_us=Figure.of(window.load.p50_us for window in replays),
        replay_scripts=Figure.of(window.scripts for window in replays),
    )
