"""What a route asks of a whole run: locks that outlast the call, reads that count, writes on what was read.

A run's last call may say so itself, on any route: ``X-Agent-Run-End: true``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from sidecar.core.guard import EndRun, Fresh, Guard, Hold, Observe
from sidecar.core.refusal import Refusal
from sidecar.core.template import Template
from sidecar.core.view import View

DEFAULT_IDLE_MS: Final = 120_000
"""A model may think for a minute between two calls; who forgot to end a run holds others up for no longer."""
END_HEADER: Final = b"x-agent-run-end"


@dataclass(frozen=True, slots=True)
class HoldSpec:
    """A lock that the run keeps when the call has ended."""

    key: Template
    idle_ms: int = DEFAULT_IDLE_MS

    @property
    def reads_body(self) -> bool:
        return self.key.reads_body

    def of(self, view: View) -> Iterable[Guard]:
        """Raises Refusal ``key-underivable`` where the call names no run."""
        if not view.who.run:
            raise _no_run("keeps its record for the whole run")
        return [Hold(name, self.idle_ms) for name in self.key.names(view)]


@dataclass(frozen=True, slots=True)
class SeenSpec:
    """Entities that the call reads, or that it must have read as they are."""

    kind: Literal["observes", "fresh"]
    key: Template

    @property
    def reads_body(self) -> bool:
        return self.key.reads_body

    def of(self, view: View) -> Iterable[Guard]:
        """Raises Refusal ``key-underivable`` where a write must be fresh and names no run."""
        if self.kind == "fresh" and not view.who.run:
            raise _no_run("takes only writes that are based on what the same run read last")
        if not view.who.run:
            return ()  # a read of nobody's is a read all the same
        make = Observe if self.kind == "observes" else Fresh
        return [make(name) for name in self.key.names(view)]


@dataclass(frozen=True, slots=True)
class EndSpec:
    """A call that says that it is its run's last; where no route holds by run, nobody looks for it."""

    reads_body = False

    def of(self, view: View) -> Iterable[Guard]:
        """Raises Refusal ``bad-request`` for a header that says neither."""
        said = view.call.headers.text(END_HEADER)
        if said is None or not view.who.run:
            return ()
        word = said.strip().lower()
        if word not in ("true", "false"):
            raise Refusal(
                "bad-request",
                "X-Agent-Run-End must be 'true' or 'false'. Nothing was sent. Send 'X-Agent-Run-End: true' with the "
                "last call of a run, and leave it out everywhere else.",
            )
        return (EndRun(),) if word == "true" else ()


def _no_run(what: str) -> Refusal:
    return Refusal(
        "key-underivable",
        f"This route {what}, and the call does not say which run it belongs to. Nothing was sent. Send an X-Agent-Run "
        "header (or traceparent) with the id of this run, the same one on all its calls.",
    )
