"""A refusal as one kind of client understands it, so that no SDK's own retries make a crowd of one no.

SDKs retry by themselves, and each by other signs: a header field of the vendor's, or a status alone.  ``retryable``
says what a refusal deserves; a client is told so in the signs that it reads.  Known by ``User-Agent``, which is a name
and no proof: who lies about it gets its refusals in another spelling, and nothing else.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sidecar.core.call import Headers


@dataclass(frozen=True, slots=True)
class Client:
    """How the HTTP clients of one kind are told no."""

    user_agent: "re.Pattern[str]"
    retry: Literal["retryable", "never"] = "retryable"
    """Which refusals its own retries are good for."""
    header: str = ""
    """The field that it obeys: ``true``, send it again, or ``false``.  Empty: it knows none."""
    statuses: Mapping[int, int] = field(default_factory=dict)
    """What is said instead of a status that it would retry, where it shall not."""
    error: str = ""
    """The member of a body that it knows an error by, whatever the status.  Empty: the status does."""

    def retries(self, retryable: bool) -> bool:
        """Whether it shall send a call again that was refused so."""
        return retryable and self.retry == "retryable"

    def status(self, status: int, retryable: bool) -> int:
        """The status of a refusal, for it."""
        return status if self.retries(retryable) else self.statuses.get(status, status)


def pattern(text: str) -> "re.Pattern[str]":
    """``Stripe/*``: every ``*`` is any text, and case does not count."""
    return re.compile(".*".join(map(re.escape, text.split("*"))), re.IGNORECASE | re.DOTALL)


def client_of(clients: Sequence[Client], headers: Headers) -> Client | None:
    """The first that the call's ``User-Agent`` fits."""
    if not clients:
        return None
    agent = headers.text(b"user-agent") or ""
    return next((client for client in clients if client.user_agent.fullmatch(agent)), None)
