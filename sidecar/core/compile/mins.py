"""``min`` and ``borrow`` of lanes and tenants: slots of the global cap that are kept for them."""

from collections.abc import Iterator

from sidecar.core.claim import Min
from sidecar.core.document import Path
from sidecar.core.schema import process as schema
from sidecar.core.schema.read import Report


def mins_of(report: Report | None, file: schema.SidecarFile) -> tuple[Min, ...]:
    """Every min that is written, lanes first; what cannot be kept is a problem."""
    if report is not None:
        _check(report, file)
    return tuple(Min(name, own.min, own.borrow) for _, name, own in _owners(file) if own.min is not None)


def _owners(file: schema.SidecarFile) -> Iterator[tuple[Path, str, schema.Lane | schema.Tenant]]:
    lanes = file.lanes
    for lane, own in (
        ("read", lanes.read),
        ("draft", lanes.draft),
        ("write", lanes.write),
        ("high_risk", lanes.high_risk),
    ):
        yield ("lanes", lane), f"lane:{lane}", own
    for tenant, one in file.tenants.items():
        yield ("tenants", tenant), f"tenant:{tenant}", one


def _check(report: Report, file: schema.SidecarFile) -> None:
    total = file.caps.global_
    kept = 0
    for path, _, own in _owners(file):
        if own.min is not None:
            kept += own.min
            if (wrong := _wrong(own, own.min, total)) is not None:
                report.value((*path, "min"), wrong)
        elif own.borrow:
            report.value((*path, "borrow"), "lends what 'min' keeps, and there is none; write 'min' too")
    if total is not None and kept > total:
        report.value(("caps", "global"), f"is less than all 'min' together, which keep {kept}")


def _wrong(own: schema.Lane | schema.Tenant, least: int, total: int | None) -> str | None:
    if total is None:
        return "keeps slots of the global cap, and there is none; write 'caps: {global: ...}'"
    if isinstance(own, schema.Lane) and not own.counted:
        return "keeps slots of the global cap, where this lane does not count; write 'counted: true'"
    if own.cap is not None and own.cap < least:
        return f"is more than its 'cap' of {own.cap} lets it use"
    return None
