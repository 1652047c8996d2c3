"""What the figures must reach, what to reach after that, and whether they do."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.figures import YARDSTICK, Figure, Figures


@dataclass(frozen=True, slots=True)
class Target:
    """An upper bound, and the next one."""

    what: str
    unit: str
    """``x`` for a ratio."""
    reach: float
    then: float | None
    of: Callable[[Figures], Figure | None]
    """None where what it compares did not run."""
    digits: int = 2
    """Decimals that count: a store script now and then is a sweep, and no call's."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A target and what was measured."""

    target: Target
    figure: Figure

    @property
    def verdict(self) -> str:
        """By the median, at the decimals that count."""
        measured = round(self.figure.median, self.target.digits)
        if measured > self.target.reach:
            return "missed"
        return "reached" if self.target.then is None or measured > self.target.then else "both reached"


Of = Callable[[Figures], Figure | None]


def _cpu(name: str, to: str = YARDSTICK) -> Of:
    return lambda figures: figures.cpu_ratio(name, to)


def _added(name: str) -> Of:
    return lambda figures: figures.added_ratio(name)


def _pass(field: str) -> Of:
    return lambda figures: getattr(figures.rows.get("pass"), field, None)


def _gate(field: str) -> Of:
    return lambda figures: getattr(figures.gated, field, None)


TARGETS = (
    Target("pass-through CPU a call, to Envoy's", "x", 0.85, 0.7, _cpu("pass")),
    Target("pass-through CPU a call, to proxy.py's", "x", 0.45, None, _cpu("pass", "proxy.py")),
    Target("pass-through CPU a call, to mitmdump's", "x", 0.05, None, _cpu("pass", "mitmdump")),
    Target("gated CPU a call, to Envoy's ungated", "x", 1.2, 1.0, _cpu("gated")),
    Target("pass-through added p50, to Envoy's", "x", 0.75, 0.6, _added("pass")),
    Target("gated added p50, to Envoy's ungated", "x", 2.2, 1.8, _added("gated")),
    Target("store CPU a gated call", "us", 60, 45, _gate("store_cpu_us")),
    Target("store scripts a gated call", "", 2, None, _gate("scripts"), digits=1),
    Target("store scripts a replay", "", 1, None, _gate("replay_scripts"), digits=1),
    Target("idle memory", "MB", 45, 35, _pass("idle_mb")),
    Target("time to ready", "s", 0.4, 0.2, _pass("ready_s")),
)


def judge(figures: Figures) -> list[Judged]:
    """Every target whose figure was measured."""
    measured = ((target, target.of(figures)) for target in TARGETS)
    return [Judged(target, figure) for target, figure in measured if figure is not None]
