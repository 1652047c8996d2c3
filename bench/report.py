"""What is printed: tables that read the same in a terminal and in the README, or JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.contenders import contenders
from bench.figures import Figure, Figures, Row
from bench.programs import Missing
from bench.targets import Judged, judge

OPEN, CLOSE = "<!-- bench -->", "<!-- /bench -->"

NOISE = 0.05
"""Share of the proxy's core in other hands above which the reader is told."""

TITLES = {one.name: one.title for one in contenders(peers=True)}


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of a run and what they were made on."""

    facts: Mapping[str, str]
    rounds: int
    figures: Figures

    def markdown(self) -> str:
        """The block between the README's markers."""
        return (
            "\n\n".join([self._head(), self._proxies(), *self._gate(), *self._targets(), *self._noise()])
            + "\n"
        )

    def json(self) -> str:
        """Every figure as median, least and most over the rounds, keyed by contender."""
        found = self.figures
        return json.dumps(
            {
                "facts": dict(self.facts),
                "rounds": self.rounds,
                "direct_p50_us": asdict(found.direct_p50_us),
                "proxies": {name: self._row_json(row) for name, row in found.rows.items()},
                "gated": found.gated and asdict(found.gated),
                "targets": [_judged_json(one) for one in judge(found)],
            },
            indent=2,
        )

    def _head(self) -> str:
        facts = "; ".join(f"{name} {value}" for name, value in self.facts.items())
        return (
            "One call: a POST of 500 bytes in absolute form, answered with 1 KB. "
            "The proxy alone on one core; load, upstream and store on another. "
            f"Medians of {self.rounds} interleaved rounds, ratios within a round.\n\n"
            f"{facts[0].upper()}{facts[1:]}."
        )

    def _proxies(self) -> str:
        head = ("", "CPU us a call", "x Envoy", "added p50 us", "x Envoy", "calls/s", "idle MB", "ready ms")
        return table(head, [self._row(row) for row in self.figures.rows.values()])

    def _row(self, row: Row) -> list[str]:
        return [
            TITLES[row.name],
            f"{row.cpu_us.median:.1f}",
            _ratio(self.figures.cpu_ratio(row.name)),
            f"{row.added_p50_us.median:.0f}",
            _ratio(self.figures.added_ratio(row.name)),
            f"{row.rate.median:,.0f}",
            f"{row.idle_mb.median:.0f}",
            f"{row.ready_s.median * 1e3:.0f}",
        ]

    def _row_json(self, row: Row) -> dict[str, Any]:
        cpu, added = self.figures.cpu_ratio(row.name), self.figures.added_ratio(row.name)
        return asdict(row) | {"cpu_ratio": cpu and asdict(cpu), "added_ratio": added and asdict(added)}

    def _gate(self) -> list[str]:
        gated, direct = self.figures.gated, self.figures.direct_p50_us
        if gated is None:
            return []
        calls = (
            f"A gated call takes {gated.scripts.median:.2f} store scripts "
            f"and {gated.store_cpu_us.median:.0f} us of the store's CPU. "
            f"A duplicate is answered from the store in {gated.replay_p50_us.median:.0f} us "
            f"(p50, one connection; straight to the upstream takes {direct.median:.0f} us), "
            f"with {gated.replay_scripts.median:.2f} scripts and no request to the upstream."
        )
        return [calls]

    def _targets(self) -> list[str]:
        rows = [
            [
                one.target.what,
                _amount(one.figure.median, one.target.unit, one.target.digits),
                f"{one.figure.least:.2f} to {one.figure.most:.2f}",
                _amount(one.target.reach, one.target.unit),
                "" if one.target.then is None else _amount(one.target.then, one.target.unit),
                one.verdict,
            ]
            for one in judge(self.figures)
        ]
        return [table(("target", "measured", "rounds", "at most", "then", "verdict"), rows)] if rows else []

    def _noise(self) -> list[str]:
        shares = {TITLES[row.name]: row.others_share.median for row in self.figures.rows.values()}
        noisy = [f"{title} {share:.0%}" for title, share in shares.items() if share > NOISE]
        if not noisy:
            return []
        names = ", ".join(noisy)
        return [
            f"Other programs took part of the proxy's core meanwhile ({names}): repeat it on a quiet machine."
        ]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with its columns lined up: the first to the left, numbers to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in (head, rule, *rows)
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_into(readme: Path, block: str) -> None:
    """Replace what stands between the markers.  Missing where there are none."""
    text = readme.read_text()
    before, opened, rest = text.partition(OPEN)
    _, closed, after = rest.partition(CLOSE)
    if not opened or not closed:
        raise Missing(
            f"{readme.name} has no place for the table: put {OPEN} and {CLOSE} on lines of their own"
        )
    readme.write_text(f"{before}{OPEN}\n{block}{CLOSE}{after}")


def _judged_json(one: Judged) -> dict[str, Any]:
    target = one.target
    limits = {"what": target.what, "unit": target.unit, "reach": target.reach, "then": target.then}
    return limits | {"measured": asdict(one.figure), "verdict": one.verdict}


def _ratio(figure: Figure | None) -> str:
    return "" if figure is None else f"{figure.median:.2f}"


def _amount(value: float, unit: str, digits: int = 2) -> str:
    number = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return f"{number} {unit}".strip()
