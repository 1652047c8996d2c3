"""What metrics are made of: counts, histograms and gauges as plain numbers, and labels that stay few.

Callers choose some label values.  A name gets a label of its own while there is room, and keeps it; the
rest are ``other``.  First come is on purpose: a ranking that forgets would let whoever invents names mint
series for ever.
"""

import heapq
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

from sidecar.telemetry.story import LONGEST_NAME

OTHER: Final = "other"

Kind = Literal["counter", "gauge", "histogram"]


class Count:
    """A number that code adds to."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Histogram:
    """Observations by bucket; ``counts`` are not cumulative and have one more element than ``bounds``."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


Child = TypeVar("Child", Count, Histogram)


class Family(Generic[Child]):
    """One metric: its name without the prefix, and a child for each combination of label values."""

    def __init__(
        self, kind: Kind, name: str, labels: tuple[str, ...], text: str, make: Callable[[], Child]
    ) -> None:
        self.kind = kind
        self.name = name
        self.labels = labels
        self.help = text
        self.make: Callable[[], Child] = make
        self.children: dict[tuple[str, ...], Child] = {}

    def of(self, *values: str) -> Child:
        """The child for these label values, made where it is new."""
        child = self.children.get(values)
        if child is None:
            child = self.children[values] = self.make()
        return child


@dataclass(frozen=True, slots=True)
class Reading:
    """A metric that is worked out when somebody asks: values by label values."""

    kind: Kind
    name: str
    labels: tuple[str, ...]
    help: str
    read: Callable[[], Mapping[tuple[str, ...], float]]


class Names:
    """Which names that callers choose have a label of their own: ``reserved``, and ``limit`` others."""

    def __init__(self, limit: int, reserved: Iterable[str] = ()) -> None:
        self._known = set(reserved)
        self._limit = limit + len(self._known)

    def tally(self, counts: Mapping[str, int]) -> dict[tuple[str, ...], float]:
        """Sums by label, zero where a known name is quiet.  The last labels go to the largest newcomers."""
        fresh = [name for name in counts if name not in self._known and len(name) <= LONGEST_NAME]
        self._known.update(heapq.nlargest(self._limit - len(self._known), fresh, key=counts.__getitem__))
        sums: dict[tuple[str, ...], float] = {(name,): counts.get(name, 0) for name in self._known}
        rest = sum(count for name, count in counts.items() if name not in self._known)
        if rest:
            sums[OTHER,] = sums.get((OTHER,), 0) + rest
        return sums
