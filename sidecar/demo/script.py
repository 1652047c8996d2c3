"""What both halves are told to do, drawn from one seed: which records, and which answers go wrong."""

import random
from dataclasses import dataclass
from typing import Self

IMPATIENCE_S = 0.8
"""When the closer's client gives up waiting.  Far above a call's usual time, even on two busy cores."""
SLOW_S = 2.0
"""How long the answer takes that the closer does not wait for: two more attempts fit in."""
OVERLAP_S = 0.5
"""A write that lasts long enough for another process to arrive meanwhile."""

Invoices = dict[str, int]


@dataclass(frozen=True, slots=True)
class Quirk:
    """How the tool behaves for one record's writes."""

    record: str
    latency_s: float
    nth: int | None = None
    """Only for this write on the record, counted from 1; None for all of them."""
    lose: bool = False
    """Do the work, then drop the connection instead of answering."""

    def covers(self, record: str, nth: int) -> bool:
        return self.record == record and self.nth in (None, nth)


@dataclass(frozen=True, slots=True)
class Script:
    """The records of the five collisions; no two share one."""

    seed: int
    twice: list[str]
    """Leads that the queue delivers to two runs."""
    retried: list[str]
    """Deals whose first update answers too late."""
    noisy: list[list[str]]
    """Leads of the noisy tenant, by worker."""
    quiet: list[str]
    """Leads of the quiet tenant."""
    lost: Invoices
    """Invoices whose charge is done and whose answer is lost."""
    killed: Invoices
    """Invoices whose agent is killed while the charge runs."""

    @classmethod
    def draw(cls, seed: int, quick: bool) -> Self:
        """The script of this seed; ``quick`` has fewer records and the same collisions."""
        chance = random.Random(seed)  # noqa: S311 - the same seed must give the same script
        few, workers, each = (1, 40, 3) if quick else (3, 40, 6)
        leads = iter([f"lead-{number}" for number in chance.sample(range(1000, 10_000), 1000)])
        bills = iter([f"inv-{number}" for number in chance.sample(range(1000, 10_000), 100)])

        def invoices(count: int) -> Invoices:
            return {next(bills): chance.randrange(40, 900) for _ in range(count)}

        return cls(
            seed=seed,
            twice=[next(leads) for _ in range(few)],
            retried=[next(leads) for _ in range(few)],
            noisy=[[next(leads) for _ in range(each)] for _ in range(workers)],
            quiet=[next(leads) for _ in range(2 * few)],
            lost=invoices(few),
            killed=invoices(few),
        )

    @property
    def work(self) -> int:
        """How many different things the agents set out to do."""
        per_lead_picked_up = 4  # two runs' notes, one update, one mail
        per_deal = 2  # qualified, then won
        imported = len(self.quiet) + sum(map(len, self.noisy))
        charged = len(self.lost) + len(self.killed)
        return per_lead_picked_up * len(self.twice) + per_deal * len(self.retried) + imported + charged

    def quirks(self) -> list[Quirk]:
        """How the tools treat these records; for all others they are as fast as usual."""
        return [
            *(Quirk(lead, OVERLAP_S) for lead in self.twice),
            *(Quirk(deal, SLOW_S, nth=1) for deal in self.retried),
            *(Quirk(invoice, OVERLAP_S / 5, nth=1, lose=True) for invoice in self.lost),
            *(Quirk(invoice, 2 * OVERLAP_S, nth=1) for invoice in self.killed),
        ]
