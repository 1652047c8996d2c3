"""What one half added up to, and how each number is shown."""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass

from sidecar.demo.ledger import Kind

HARM: dict[str, Kind] = {
    "overlapping_writes": "overlap",
    "lost_updates": "lost-update",
    "duplicate_emails": "duplicate-email",
    "duplicate_charges": "duplicate-charge",
}


@dataclass(frozen=True, slots=True)
class Counts:
    """One column of the table.  All of it was counted at the tools, except the last two."""

    overlapping_writes: int
    lost_updates: int
    duplicate_emails: int
    duplicate_charges: int
    work_done: int
    """Different things done, however often each."""
    work_planned: int
    unknown_outcomes: int | None
    """As the sidecars list them for a person; None where nobody keeps such a list."""
    quiet_worst_wait_ms: int
    """The longest that the quiet tenant's agent waited for one answer."""

    @property
    def good(self) -> bool:
        """No harm, and all of the work: doing nothing would be harmless too."""
        return not any(getattr(self, name) for name in HARM) and self.work_done == self.work_planned

    def as_json(self) -> dict[str, int | None]:
        return asdict(self)


def counts(found: Counter[Kind], work: int, planned: int, unknown: int | None, quiet_s: float) -> Counts:
    """Add up one half."""
    harm = {name: found[kind] for name, kind in HARM.items()}
    return Counts(
        **harm,
        work_done=work,
        work_planned=planned,
        unknown_outcomes=unknown,
        quiet_worst_wait_ms=round(quiet_s * 1000),
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    title: str
    show: Callable[[Counts], str]
    bad: Callable[[Counts], bool | None]
    """None where a number is neither good nor bad."""


def _harm(title: str, name: str) -> Row:
    return Row(title, lambda it: str(getattr(it, name)), lambda it: bool(getattr(it, name)))


def neither(_: Counts) -> None:
    """A number that stands for itself."""


ROWS = (
    _harm("Overlapping writes on one record", "overlapping_writes"),
    _harm("Lost updates", "lost_updates"),
    _harm("Duplicate emails", "duplicate_emails"),
    _harm("Duplicate charges", "duplicate_charges"),
    Row(
        "Unknown outcomes, kept for a person",
        lambda it: "not noticed" if it.unknown_outcomes is None else str(it.unknown_outcomes),
        neither,
    ),
    Row(
        "Work done",
        lambda it: f"{it.work_done} of {it.work_planned}",
        lambda it: it.work_done != it.work_planned,
    ),
    Row("Worst wait of the quiet tenant", lambda it: f"{it.quiet_worst_wait_ms / 1000:.2f} s", neither),
)
