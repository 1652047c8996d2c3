"""What a tool counts about itself.

Every number in the demo's table but the waiting time comes from here: a tool sees what really reached it,
while an agent only knows what it believes it did.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

Kind = Literal["overlap", "lost-update", "duplicate-email", "duplicate-charge"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that should not have happened, in words for the screen."""

    kind: Kind
    text: str


class Ledger:
    """Counts, and tells each finding to ``found`` at the moment it happens."""

    def __init__(self, found: Callable[[Finding], None]) -> None:
        self.counts: Counter[Kind] = Counter()
        self._found = found
        self._running: Counter[str] = Counter()
        self._versions: dict[str, int] = {}
        self._effects: Counter[Hashable] = Counter()

    @property
    def work(self) -> int:
        """How many different things got done, however often."""
        return len(self._effects)

    @contextmanager
    def writing(self, record: str) -> Iterator[None]:
        """One write on ``record`` is in flight; an overlap where another one already is."""
        if self._running[record]:
            self._report("overlap", f"two writes at once on {record}")
        self._running[record] += 1
        try:
            yield
        finally:
            self._running[record] -= 1

    def version(self, record: str) -> int:
        """The version that a reader sees; a record that nobody wrote yet is at 1."""
        return self._versions.get(record, 1)

    def update(self, record: str, based_on: int, change: Hashable) -> int:
        """Apply a change worked out on version ``based_on``, as an API without preconditions does."""
        current = self.version(record)
        if based_on != current:
            self._report("lost-update", f"{record} v{current} overwritten by an edit of v{based_on}")
        self._versions[record] = current + 1
        self._effects[record, change] += 1
        return current + 1

    def once(self, effect: Hashable, kind: Kind | None = None, text: str = "") -> None:
        """Something that should happen once; a second time is a finding of ``kind``, where there is one."""
        self._effects[effect] += 1
        if kind and self._effects[effect] > 1:
            self._report(kind, text)

    def _report(self, kind: Kind, text: str) -> None:
        self.counts[kind] += 1
        self._found(Finding(kind, text))
