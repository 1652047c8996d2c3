"""One call's decision in the making: written to all along the street, read once, at its end.

Nothing reads a story to decide anything, so a field set late or never can make a line poorer but no call
wrong. The line is for programs and leaves the machine, so it holds no path, query, header or body value;
entities appear as short hashes, which join the lines of one entity.  Who can guess a name can check the
guess against its hash: that keeps a name out of sight, not out of reach.
"""

from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Final, Literal

import orjson

from sidecar.core.call import Call, Identity
from sidecar.core.claim import Claim
from sidecar.core.refusal import Refusal

Verdict = Literal["executed", "replayed", "joined", "refused", "gone"]
"""The words of ``Sidecar-Verdict``, and ``gone``: the agent hung up before anything was sent."""

UNMATCHED: Final = "unmatched"
"""Tool and route of a call that no tool's file names."""

NOBODY: Final = Identity("", "", "", "")
LONGEST_LINE_BYTES: Final = 1536
"""Past this some caller's name is absurd (an ordinary line has 500 bytes), and every name is cut."""
LONGEST_NAME: Final = 128
"""Characters that are left of a name then: enough for any id."""
MOST_LOCKS: Final = 16
"""Lock hashes that a line lists; a batch call may hold thousands."""

_OPTIONS: Final = orjson.OPT_APPEND_NEWLINE


class Story:
    """What is known so far about one call.  Seconds are differences of one monotonic clock.

    The defaults are the class's, so that a call pays for what happens to it and not for what might have.
    """

    identity: Identity = NOBODY
    tool: str = UNMATCHED
    route: str = UNMATCHED
    lane: str = "none"
    claim: Claim | None = None
    verdict: Verdict = "gone"
    code: str = ""
    blocked_by: str = ""
    outcome: str = ""
    ungated: str = ""
    would: str = ""
    wait_ms: int = 0
    fence: int = 0
    status: int = 0
    reply_status: int = 0
    read_s: float = 0.0
    store_s: float = 0.0
    upstream_s: float = 0.0
    total_s: float = 0.0
    overhead_s: float = 0.0
    in_flight: bool = False

    def __init__(self, call: Call, now_s: float) -> None:
        self.call = call
        self.began_s = now_s

    def refused(self, no: Refusal) -> None:
        """The call ends in ``no``, whatever went before it."""
        self.verdict = "refused"
        self.code = no.code
        self.reply_status = no.status
        if no.wait_ms:
            self.wait_ms = no.wait_ms
        if no.blocked_by:
            self.blocked_by = no.blocked_by
        if no.outcome:
            self.outcome = no.outcome

    def end(self, now_s: float) -> None:
        """The reply has left.

        ``store_s`` comes as all the time spent at the gate and is left without the wait.  Our own time, the store's
        included, is what upstream, wait and the agent's body leave of the total.
        """
        self.total_s = total_s = now_s - self.began_s
        self.overhead_s = total_s - self.upstream_s - self.read_s
        if self.wait_ms:
            wait_s = self.wait_ms / 1000
            self.store_s = max(0.0, self.store_s - wait_s)
            self.overhead_s = max(0.0, self.overhead_s - wait_s)

    def line(self, at_s: float) -> bytes:
        """The decision line: one JSON object and a newline.  ``at_s`` is wall time, since the epoch."""
        entry = self._entry(stamp(at_s))
        try:
            line = orjson.dumps(entry, option=_OPTIONS)
        except TypeError:  # a lone surrogate in a caller's name is not UTF-8, and no reason to lose the line
            line = b""
        if not 0 < len(line) <= LONGEST_LINE_BYTES:
            line = orjson.dumps({key: _tame(value) for key, value in entry.items()}, option=_OPTIONS)
        return line

    def _entry(self, at: str) -> dict[str, object]:
        call, who = self.call, self.identity
        entry: dict[str, object] = {
            "ts": at,
            "call": call.id,
            "run": who.run,
            "workflow": who.workflow,
            "tenant": who.tenant,
            "tool": self.tool,
            "route": self.route,
            "lane": self.lane,
            "method": call.method,
            "host": call.host,
            "verdict": self.verdict,
            "wait_ms": self.wait_ms,
            "reply_status": self.reply_status,
            "ms": int(self.total_s * 1e6) / 1000,  # to the microsecond, at a third of round()'s price
            "overhead_ms": int(self.overhead_s * 1e6) / 1000,
        }
        if self.claim is not None:
            _add_keys(entry, self.claim)
        if self.code:
            entry["code"] = self.code
        if self.blocked_by:
            entry["blocked_by"] = _hidden(self.blocked_by)
        if self.fence:
            entry["fence"] = self.fence
        if self.outcome:
            entry["outcome"] = self.outcome
        if self.status:
            entry["status"] = self.status
        if self.upstream_s:
            entry["upstream_ms"] = int(self.upstream_s * 1e6) / 1000
        if self.store_s:
            entry["store_ms"] = int(self.store_s * 1e6) / 1000
        if self.ungated:
            entry["ungated"] = self.ungated
        if self.would:
            entry["would"] = self.would
        return entry


def stamp(at_s: float) -> str:
    """RFC 3339, to the microsecond."""
    second = int(at_s)
    return f"{_second(second)}.{str(int((at_s - second) * 1e6) + 1_000_000)[1:]}Z"


@lru_cache(4)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def short(name: str) -> str:
    """The hash under which an entity appears in decision lines."""
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def _add_keys(entry: dict[str, object], claim: Claim) -> None:
    if claim.intent is not None:
        entry["intent"] = claim.intent.key[:12]
    if claim.locks:
        entry["locks"] = [short(name) for name in claim.locks[:MOST_LOCKS]]
        if len(claim.locks) > MOST_LOCKS:
            entry["locks_more"] = len(claim.locks) - MOST_LOCKS


def _hidden(blocked_by: str) -> str:
    """``lock:<name>`` with the name hashed, as in ``locks``; anything else as it is."""
    kind, _, name = blocked_by.partition(":")
    return f"lock:{short(name)}" if kind == "lock" else blocked_by


def _tame(value: object) -> object:
    return value[:LONGEST_NAME].encode("utf-8", "replace").decode() if isinstance(value, str) else value
