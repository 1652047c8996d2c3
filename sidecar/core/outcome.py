"""What became of a call, as the store records it.

Three words and no more.  ``not_sent``: no byte was written, free to run again.  ``completed``: an answer was read to
its end.  ``unknown``: bytes may have left and no answer says what they did.  What a *completed* call leaves behind
is a second question (``record``): an answer to replay, the bare fact (too large, or streamed), or nothing (a 401 or
a 429 changed nothing, so the same call may run again).
"""

from typing import Literal, NamedTuple

from sidecar.core.call import Answer

Kind = Literal["completed", "not_sent", "unknown"]


class Outcome(NamedTuple):
    """What is settled with the lease."""

    kind: Kind
    record: Literal["answer", "done", "free"] = "free"
    """What a twin meets: the answer, ``done`` (it happened; the answer was not kept), or nothing."""
    status: int = 0
    """The upstream's status; zero where there was none."""
    answer: Answer | None = None
    """Present exactly when ``record`` is ``answer``."""
    changed: bool = False
    """The entities may differ now: twins of earlier intents on them are no duplicates any more."""
    over: bool = True
    """The upstream is known to be done with it.  False keeps the locks in quarantine."""
    why: str = ""
    """For an unknown outcome: ``timeout``, ``reset``, ``status 500``, ``lease-lost``, ``crash``."""
    retain_ms: int = 0
    """How long a record lives that is not bounded by the intent's window (``store.retention``, unknown)."""
    partial: bool = False
    """Of a batch some parts were done and some were not; the answer says which, so it is kept and not sent again."""
    away_ms: int | None = None
    """The upstream turned the call away and wants to be left alone for so long; zero where it does not say."""


NOT_SENT = Outcome("not_sent")
