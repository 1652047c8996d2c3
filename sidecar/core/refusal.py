"""Every no that the sidecar can say, and the one place where a no becomes a reply.

The table is public contract: agents branch on ``code`` and SDKs on ``status``.  ``retryable`` answers the question a
model asks first: would the same call, sent again later and unchanged, have a chance?
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import orjson

from sidecar.core.call import Answer
from sidecar.core.client import Client


@dataclass(frozen=True, slots=True)
class Code:
    """What a code always means."""

    status: int
    title: str
    retryable: bool
    proxy_error: str
    """The nearest error type of RFC 9209 section 2.3, for ``Proxy-Status``."""


_DENIED = "http_request_denied"
_PROTOCOL = "http_request_error"

CODES: Final[Mapping[str, Code]] = {
    "bad-request": Code(400, "The request is not valid HTTP", False, _PROTOCOL),
    "header-too-large": Code(431, "The header block is too large", False, _PROTOCOL),
    "body-too-large": Code(413, "The body is larger than this route may look into", False, _PROTOCOL),
    "proxy-auth-required": Code(407, "The proxy needs credentials", False, _DENIED),
    "egress-denied": Code(403, "This destination is not allowed", False, "destination_ip_prohibited"),
    "key-underivable": Code(422, "The call lacks a field that its key needs", False, _DENIED),
    "key-reused": Code(422, "The same key was used for another request", False, _DENIED),
    "locked": Code(409, "Another call holds this record", True, _DENIED),
    "in-progress": Code(409, "The same call is still running", True, _DENIED),
    "outcome-unknown": Code(409, "An earlier attempt may have been applied", False, _DENIED),
    "answer-not-kept": Code(409, "The call was done already; its answer was not kept", False, _DENIED),
    "prior-step-missing": Code(409, "A step that must come first has not happened", False, _DENIED),
    "prior-step-stale": Code(409, "The step that must come first was too long ago", False, _DENIED),
    "prior-step-running": Code(409, "The step that must come first is still running", True, _DENIED),
    "stale-read": Code(412, "Another run changed this record since it was read", False, _DENIED),
    "approval-pending": Code(409, "A person must approve this call", True, _DENIED),
    "approval-denied": Code(403, "A person denied this call", False, _DENIED),
    "queue-full": Code(429, "Too many calls wait already", True, _DENIED),
    "cap-timeout": Code(429, "No slot came free in time", True, _DENIED),
    "rate-limited": Code(429, "The rate is used up", True, _DENIED),
    "tool-paused": Code(429, "This tool is paused", True, _DENIED),
    "store-unavailable": Code(503, "The store cannot be reached", True, "proxy_internal_error"),
    "draining": Code(503, "The sidecar is stopping", True, "proxy_internal_error"),
    "upstream-unreachable": Code(502, "The upstream could not be reached", True, "destination_unavailable"),
    "upstream-failed": Code(502, "The upstream broke off", False, "connection_terminated"),
    "upstream-timeout": Code(504, "The upstream did not answer in time", False, "connection_read_timeout"),
    "internal": Code(500, "The sidecar failed", False, "proxy_internal_error"),
}


class Refusal(Exception):
    """A no said on purpose, with its reason and the way out.

    ``detail`` is read by a model: it says what happened and what to do next, and never holds a secret.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        retry_after_ms: int | None = None,
        holder_run: str = "",
        blocked_by: str = "",
        approval: str = "",
        outcome: Literal["", "not_sent", "unknown"] = "",
        wait_ms: int = 0,
        retryable: bool | None = None,
        unseen: str = "",
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.retry_after_ms = retry_after_ms
        self.holder_run = holder_run
        self.blocked_by = blocked_by
        self.approval = approval
        """Where the admin port shows the question that a person has to answer."""
        self.outcome = outcome
        self.wait_ms = wait_ms
        self.unseen = unseen
        """The entity whose state nobody knows here, where the route says how to ask for it.  Never told."""
        self.retryable = CODES[code].retryable if retryable is None else retryable

    @property
    def status(self) -> int:
        """The HTTP status that this code always has."""
        return CODES[self.code].status

    def as_answer(self, call: str, route: str, client: Client | None = None) -> Answer:
        """The refusal as ``application/problem+json`` (RFC 9457).  ``route`` is empty where none matched."""
        status = self.status if client is None else client.status(self.status, self.retryable)
        body = orjson.dumps(self._problem(route, status, "" if client is None else client.error))
        headers = [
            (b"Content-Type", b"application/problem+json"),
            (b"Sidecar-Verdict", verdict("refused", call, route, self.wait_ms, reason=self.code)),
            (
                b"Proxy-Status",
                f'agent-sidecar; error={CODES[self.code].proxy_error}; details="{self.code}"'.encode(),
            ),
        ]
        if self.retry_after_ms is not None:
            headers.append((b"Retry-After", b"%d" % -(-self.retry_after_ms // 1000)))
        if self.code == "proxy-auth-required":
            headers.append((b"Proxy-Authenticate", b'Basic realm="agent-sidecar", charset="UTF-8"'))
        if client is not None and client.header:
            word = b"true" if client.retries(self.retryable) else b"false"
            headers.append((client.header.encode("latin-1"), word))
        return Answer(status, headers, body)

    def _problem(self, route: str, status: int, error: str) -> dict[str, object]:
        code = CODES[self.code]
        told = {"type": f"urn:sidecar:{self.code}", "code": self.code, "message": self.detail}
        optional = {
            "route": route,
            "retry_after_ms": self.retry_after_ms,
            "holder_run": self.holder_run,
            "blocked_by": self.blocked_by,
            "approval": self.approval,
            "outcome": self.outcome,
        }
        return (
            {
                "type": f"urn:sidecar:{self.code}",
                "title": code.title,
                "status": status,
                "detail": self.detail,
                "code": self.code,
                "retryable": self.retryable,
            }
            | {name: value for name, value in optional.items() if value not in ("", None)}
            | ({error: told} if error else {})
        )


def verdict(word: str, call: str, route: str, wait_ms: int, *, fence: int = 0, reason: str = "") -> bytes:
    """The ``Sidecar-Verdict`` field: a word and its parameters, as a structured field (RFC 8941 item)."""
    named = f"; route={route}" if route else ""
    granted = f"; fence={fence}" if fence else ""
    refused = f"; reason={reason}" if reason else ""
    return f"{word}; call={call}{named}; wait={wait_ms}{granted}{refused}".encode("latin-1")
