"""Stories to tell in tests: a PATCH of one deal, made by one run of acme."""

from sidecar.core.call import Call, Headers, Identity
from sidecar.core.claim import Claim, Flow, Intent
from sidecar.telemetry.story import Story

WHO = Identity("acme", "sync", "run-7", "interactive")


def a_call(**changes: object) -> Call:
    facts: dict[str, object] = {
        "id": "c1",
        "method": "PATCH",
        "scheme": "https",
        "host": "api.hubapi.com",
        "port": 443,
        "path": "/crm/v3/objects/deals/42",
        "query": "",
        "headers": Headers([]),
        "intake": "forward",
    }
    return Call(**{**facts, **changes})


def a_claim(*locks: str) -> Claim:
    intent = Intent("0123456789abcdef" * 2, "", "change", 60_000, resend=False, resend_ms=0)
    return Claim(
        "c1", "hubspot", "deal.update", "write", "sync", "run-7", Flow("acme", "interactive"), intent, locks
    )


def a_story(call: Call | None = None, claim: Claim | None = None) -> Story:
    story = Story(call or a_call(), now_s=100.0)
    story.tool, story.route, story.lane = "hubspot", "deal.update", "write"
    story.identity = WHO
    story.claim = claim
    return story
