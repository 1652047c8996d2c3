"""What an upstream's answer means: is it done, may it have been done, or was it never applied?

| answer | outcome | a twin meets |
| --- | --- | --- |
| a status that the route stores | completed | the answer, or ``done`` where it was not kept |
| one that says that a batch was done in part | completed, partial | the answer, or ``done`` |
| 101, other 2xx, other 3xx | completed | ``done`` |
| 304, 307, 308 | completed | nothing: nothing was new, or it is to be done elsewhere |
| other 4xx, 503 with Retry-After | completed | nothing: it was not applied |
| every other 5xx to a safe method | completed | nothing: there was nothing to apply |
| every other 5xx | unknown | ``outcome-unknown`` |

An unknown 5xx was answered all the same, so the upstream is done with the request and its entities need no
quarantine, except where the route says that only a resolution may lift it (``quarantine: resolved``): the claim says
so, and the store sees to it.
"""

from email.utils import parsedate_to_datetime
from functools import lru_cache
from math import inf
from typing import Final

from sidecar.core.call import Answer, Headers
from sidecar.core.headers import stored
from sidecar.core.outcome import Outcome
from sidecar.core.probe import seen
from sidecar.core.route import SAFE, Route
from sidecar.core.table import Matched

LONGEST_RETRY_MS: Final = 3_600_000
"""An upstream may ask for an hour; what it asks beyond that is its own affair."""

_NOT_APPLIED: Final = frozenset({304, 307, 308, *range(400, 500)})


def judge(matched: Matched, status: int, headers: Headers, body: bytes | None) -> Outcome:
    """The outcome of an answer that was read to its end; ``body`` is None where it was too large to keep, or
    a stream.
    """
    outcome = _judged(matched, status, headers, body)
    if status == 429 or (status == 503 and b"retry-after" in headers):
        return outcome._replace(away_ms=_away_ms(headers))
    return outcome


def _judged(matched: Matched, status: int, headers: Headers, body: bytes | None) -> Outcome:
    route = matched.route
    if (status == 207 or route.partial is not None) and _partial(matched, status, headers, body):
        return _in_part(route, status, headers, body)
    named = status in route.store.statuses
    if status >= 500 and not named:
        return _unwell(matched, status, headers)
    changed = status < 400 and matched.view.call.method not in SAFE
    if not named and status in _NOT_APPLIED:
        return _nothing_kept(status, False)
    if route.intent is None:
        return _nothing_kept(status, changed)
    if not named or body is None or status < 200:
        return Outcome("completed", "done", status, changed=changed, retain_ms=route.store.retention_ms)
    answer = Answer(status, stored(headers), body)
    return Outcome("completed", "answer", status, answer, changed, retain_ms=route.store.retention_ms)


def _partial(matched: Matched, status: int, headers: Headers, body: bytes | None) -> bool:
    rule = matched.route.partial
    if rule is None:
        return matched.view.call.method not in SAFE
    answer = seen(status, headers, body or b"")
    return rule.says(lambda name: answer if name == "answer" else matched.view.read(name)) is True


def _in_part(route: Route, status: int, headers: Headers, body: bytes | None) -> Outcome:
    """Kept whatever the route says of the status: nobody may send again what was done in part."""
    if route.intent is None:
        return Outcome("completed", status=status, changed=True, partial=True)
    retain_ms = route.store.retention_ms
    if body is None:
        return Outcome("completed", "done", status, changed=True, retain_ms=retain_ms, partial=True)
    answer = Answer(status, stored(headers), body)
    return Outcome("completed", "answer", status, answer, changed=True, retain_ms=retain_ms, partial=True)


@lru_cache(1024)
def _nothing_kept(status: int, changed: bool) -> Outcome:
    return Outcome("completed", status=status, changed=changed)


def _unwell(matched: Matched, status: int, headers: Headers) -> Outcome:
    route = matched.route
    if matched.view.call.method in SAFE or (status == 503 and b"retry-after" in headers):
        return Outcome("completed", status=status)
    return Outcome(
        "unknown",
        status=status,
        changed=True,
        why=f"status {status}",
        retain_ms=route.store.retention_ms,
    )


def _away_ms(headers: Headers) -> int:
    """A date is told by the upstream's clock, so it is compared with what that says now."""
    sent = headers.text(b"date")
    try:
        now_s = parsedate_to_datetime(sent).timestamp() if sent is not None else inf
    except (ValueError, OverflowError):
        now_s = inf
    return retry_after_ms(headers, now_s) or 0


def retry_after_ms(headers: Headers, now_s: float) -> int | None:
    """The wait that ``Retry-After`` asks for (RFC 9110 section 10.2.3), at most an hour; None where it asks
    none.

    ``now_s`` is the time since the epoch, for the date form.
    """
    text = headers.text(b"retry-after")
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:9]) * 1000, LONGEST_RETRY_MS)
    try:
        then_s = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return int(min(max(then_s - now_s, 0.0) * 1000, LONGEST_RETRY_MS))
