"""``unknown.probe``: how an upstream is asked what became of an attempt, and what its answer proves.

Three findings, and the third is the default.  *Applied* where ``applied`` holds.  *Not applied* where the answer is a
plain 2xx and ``applied`` is false of it, or where ``not_applied`` holds.  *Cannot tell* for everything else: an answer
about the asking rather than the effect (401, 429, 5xx, a redirect), a body that cannot be read, a field that the
expression needs and the answer lacks.  A wrong "not applied" is a second effect, so nothing amounts to it by accident.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

import orjson

from sidecar.core.call import Answer, Headers, RawHeaders
from sidecar.core.condition import CALL_NAMES, Condition
from sidecar.core.content import Content, Unreadable
from sidecar.core.template import Template
from sidecar.core.view import View

Found: TypeAlias = Literal["applied", "not_applied", "cannot_tell"]

PROBE_NAMES: Final = CALL_NAMES | {"answer"}
"""What an expression over an answer may read."""

TELLS_NOTHING: Final = frozenset({401, 403, 407, 408, 425, 429})
"""Answers about who asks, or when."""

SLACK_MS: Final = 1000
"""Between the right to ask and the first byte, and behind the last."""


class Turn(NamedTuple):
    """Whether a call may ask the upstream now: one at a time does, across the fleet."""

    word: Literal["mine", "theirs", "lately", "known"]
    """It may; another asks; another asked a moment ago and could not tell; it is no unknown outcome any more."""
    fence: int = 0
    """Of the attempt that it may ask about."""
    ms: int = 0
    """``mine``: how long "not applied" would come too early; else how long the other has."""


@dataclass(frozen=True, slots=True)
class AnswerSpec:
    """What a retry gets instead of the answer that was lost."""

    status: int = 0
    """Zero: the probe's."""
    headers: RawHeaders = ()
    body: Condition | None = None
    """An expression whose value is the body, as JSON; None: the probe's body."""

    def of(self, read: Callable[[str], object], status: int, headers: Headers, body: bytes) -> Answer | None:
        """With fields that are not to be stored, too.  None where the probe's answer lacks what it is made of."""
        status = self.status or status
        if self.body is None:
            return Answer(status, (*headers.raw, *self.headers), body)
        try:
            made = orjson.dumps(self.body.value(read), option=orjson.OPT_SORT_KEYS)
        except (ValueError, TypeError):
            return None
        return Answer(status, ((b"Content-Type", b"application/json"), *self.headers), made)


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """One route's probe."""

    path: Template
    """The target, with its query."""
    applied: Condition
    not_applied: Condition | None = None
    method: Literal["GET", "HEAD"] = "GET"
    answer: AnswerSpec = AnswerSpec()
    attempts: int = 3
    backoff_ms: int = 1000
    """Before the second attempt; twice as long before each one more."""
    timeout_ms: int = 10_000
    lag_ms: int = 10_000
    """How long after an attempt is over its effect may be missing from what the probe reads."""
    reads_body: bool = field(init=False)

    def __post_init__(self) -> None:
        parts = (self.applied, self.not_applied, self.answer.body)
        inside = self.path.reads_body or any(part is not None and part.reads_body for part in parts)
        object.__setattr__(self, "reads_body", inside)

    @property
    def hold_ms(self) -> int:
        """How long one attempt may take."""
        return self.timeout_ms + SLACK_MS

    def pause_ms(self, attempt: int) -> int:
        """Before the attempt of that number, from 1."""
        return self.backoff_ms << (attempt - 1)

    def found(self, view: View, status: int, headers: Headers, body: bytes) -> tuple[Found, Answer | None]:
        """What the answer proves, and the answer that the retry gets where it proves that it was applied."""
        if not 200 <= status < 300 and not (400 <= status < 500 and status not in TELLS_NOTHING):
            return "cannot_tell", None
        read = _reader(view, status, headers, body)
        applied = self.applied.says(read)
        denied = None if self.not_applied is None else self.not_applied.says(read)
        if applied and denied:
            return "cannot_tell", None
        if applied:
            return "applied", self.answer.of(read, status, headers, body)
        if denied or (self.not_applied is None and applied is False and status < 300):
            return "not_applied", None
        return "cannot_tell", None


def _reader(view: View, status: int, headers: Headers, body: bytes) -> Callable[[str], object]:
    answer = seen(status, headers, body)
    return lambda name: answer if name == "answer" else view.read(name)


def seen(status: int, headers: Headers, body: bytes) -> dict[str, object]:
    """An answer as an expression sees it; a body that cannot be read is not there."""
    fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.first.items()}
    answer: dict[str, object] = {"status": status, "headers": fields}
    try:
        answer["body"] = Content(body, headers).fields
    except Unreadable:
        return answer
    return answer
