"""Claims in the store's words: names that are safe in a key, and the arguments of ``admit``.

User text enters keys only through ``safe``.  Everything else that travels beside a key is opaque to the store, or made
of words and numbers.
"""

import re
from functools import lru_cache

from sidecar.core.claim import AutoCap, Cap, Claim, Flow, Intent, Rate
from sidecar.gate.guards import packed
from sidecar.gate.safe import safe

_CELL = re.compile(r"[A-Za-z0-9._-]{1,64}")
SLACK_MS = 500
"""Between a grant and the start of its request's own clock, and again at its end."""


def prefix(cell: str) -> bytes:
    """The start of every key, with the hash tag.  Raises ValueError for a name that could break out of it."""
    if not _CELL.fullmatch(cell):
        raise ValueError(
            f"store.namespace {cell!r}: use 1 to 64 letters, digits, dots, dashes and underscores"
        )
    return b"sc1:{%b}:" % cell.encode()


def _lock(name: str) -> tuple[str, str]:
    return "lock:" + safe(name), "1"


@lru_cache(4096)
def _caps(caps: tuple[Cap | AutoCap, ...], rates: tuple[Rate, ...]) -> tuple[str, ...]:
    """Names and terms; those whose limit moves come first (the tool's cap) and last."""
    words = [word for cap in caps for word in ("cap:" + safe(cap.name), _limit(cap))]
    for rate in rates:
        words += ("rate:" + safe(rate.name), f"rate {rate.most} {rate.period_ms} {rate.cost}")
    return tuple(words)


def _limit(cap: Cap | AutoCap) -> str:
    if isinstance(cap, AutoCap):
        return f"auto {cap.least} {cap.most}"
    mins = (f"{own.slots} {int(own.lent)} cap:{safe(own.name)}" for own in cap.mins)
    return " ".join((str(cap.limit), *mins))


def _flow(flow: Flow, wait_ms: int) -> str:
    walls = f"{flow.tenant_queue} {flow.total_queue} {wait_ms}"
    weights = f"{flow.tenant_weight} {flow.priority_weight}"
    return f"{walls} {weights} {safe(flow.priority) or '-'} {safe(flow.tenant) or '-'}"


def _terms(intent: Intent | None, unknown_ms: int) -> str:
    if intent is None:
        return f"window 0 0 0 {unknown_ms} "
    resend = "1" if intent.resend else "0"
    return f"{intent.until} {intent.window_ms} {resend} {intent.resend_ms} {unknown_ms} {intent.fingerprint}"


@lru_cache(4096)
def _about(
    run: str, workflow: str, tool: str, route: str, lane: str, flow: Flow, wait_ms: int
) -> tuple[str, str]:
    """Who holds or waits, for other callers' refusals and for people; and its flow."""
    parts = (run, workflow, tool, route, lane, flow.tenant)
    return "\n".join(part.replace("\n", " ") for part in parts), _flow(flow, wait_ms)


@lru_cache(256)
def _times(timeout_ms: int, lease_ms: int, keep_ms: int) -> tuple[str, str, str]:
    """lease, timeout, hold."""
    over_ms = timeout_ms + SLACK_MS
    return str(min(lease_ms, over_ms)), str(over_ms), str(over_ms + keep_ms)


def terms_of(claim: Claim, waker: str, lease_ms: int, unknown_ms: int) -> tuple[str | tuple[str, ...], ...]:
    """The arguments of ``admit`` from ``lease`` on, those together that recur together; the same whenever asked."""
    keep_ms = 0 if claim.quarantine == "deadline" else unknown_ms
    return (
        _times(claim.timeout_ms, lease_ms, keep_ms),
        waker,
        _about(claim.run, claim.workflow, claim.tool, claim.route, claim.lane, claim.flow, claim.wait_ms),
        "" if claim.intent is None else claim.intent.key,
        _terms(claim.intent, unknown_ms),
        packed(claim.guards, lease_ms) if claim.guards else "",
        str(len(claim.locks)),
        *(_lock(claim.locks[0]) if len(claim.locks) == 1 else _locks(claim.locks)),
        _caps(claim.caps, claim.rates),
    )


def _locks(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for name in names for word in _lock(name))


def lease_of(claim: Claim, lease_ms: int) -> int:
    """How long a grant of this claim lives: never longer than its request can."""
    return min(lease_ms, claim.timeout_ms + SLACK_MS)


def place_name(claim: Claim, at: int) -> str:
    """What stood in the way, by its number in the store's reply."""
    if at == 0:
        return "intent"
    locks, caps = len(claim.locks), len(claim.caps)
    if at <= locks:
        return f"lock:{claim.locks[at - 1]}"
    if at <= locks + caps:
        return f"cap:{claim.caps[at - locks - 1].name}"
    rate = at - locks - caps
    return f"rate:{claim.rates[rate - 1].name}" if rate <= len(claim.rates) else f"pause:{claim.tool}"
