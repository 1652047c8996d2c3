"""Calls that wait for people, and the people, for tests of the scripts."""

import hashlib
import json
from typing import Any

from sidecar.core.claim import Claim
from sidecar.core.guard import Approval
from tests.gate.scripts import Scripts, claim

TTL_MS = 3_600_000
HOLD_MS = 20_000


def approval(request: str = "refund 7", **fields: Any) -> Approval:
    """What a route asks for this request: one approver, and bounds that nobody meets by accident."""
    known: dict[str, Any] = {
        "name": "crm:deal.update",
        "request": hashlib.sha1(request.encode(), usedforsecurity=False).hexdigest(),
        "hold_ms": HOLD_MS,
        "ttl_ms": TTL_MS,
        "approvers": 1,
        "tenant": "acme",
        "run": "4:acme/run-1",
        "per_run": 50,
        "per_tenant": 50,
        "effect": True,
        "announced": True,
        "seen": json.dumps({"method": "POST", "host": "crm.test", "path": "/refunds", "show": {"to": "ada"}}),
    }
    return Approval(**known | fields)


def asking(
    call: str, request: str = "refund 7", *, guard: dict[str, Any] | None = None, **claimed: Any
) -> Claim:
    """A claim that needs an approval; its intent is the request, unless the test says otherwise."""
    intent = claimed.pop("intent", request)
    return claim(call, intent, guards=(approval(request, **guard or {}),), **claimed)


def pending(scripts: Scripts, asked: Claim, mode: str = "ask") -> str:
    """Ask, which must end in a question; its id."""
    word, nth, _patience, said, found, *_ = scripts.admit(asked, mode)
    assert (word, nth, said) == ("guarded", len(asked.guards) - 1, "pending"), said
    return str(found)


def decide(
    scripts: Scripts, question: str, verdict: str = "approve", by: str = "Grace", why: str = ""
) -> str:
    return str(scripts.run("decide", question, verdict, by, by.casefold(), why)[0])


def questions(scripts: Scripts, question: str = "") -> list[dict[str, Any]]:
    return [json.loads(one) for one in scripts.run("approvals", question, 100)[2:]]
