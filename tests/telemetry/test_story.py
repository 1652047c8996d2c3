import json
from datetime import datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.core.call import Headers, Identity
from sidecar.core.refusal import Refusal
from sidecar.telemetry.story import LONGEST_LINE_BYTES, MOST_LOCKS, Story, short
from tests.telemetry.stories import a_call, a_claim, a_story

SECRET = "s3cr3t-value"


def told(story: Story) -> dict[str, object]:
    story.end(now_s=100.5)
    entry: dict[str, object] = json.loads(story.line(at_s=1_764_000_000.25))
    return entry


def test_a_line_says_who_did_what_and_what_became_of_it() -> None:
    story = a_story(claim=a_claim("deal:42"))
    story.verdict, story.fence, story.outcome = "executed", 12, "completed"
    story.status = story.reply_status = 200
    story.wait_ms, story.upstream_s, story.store_s, story.read_s = 125, 0.25, 0.12675, 0.0625

    assert told(story) == {
        "ts": "2025-11-24T16:00:00.250000Z",
        "call": "c1",
        "run": "run-7",
        "workflow": "sync",
        "tenant": "acme",
        "tool": "hubspot",
        "route": "deal.update",
        "lane": "write",
        "method": "PATCH",
        "host": "api.hubapi.com",
        "intent": "0123456789ab",
        "locks": [short("deal:42")],
        "verdict": "executed",
        "wait_ms": 125,
        "fence": 12,
        "outcome": "completed",
        "status": 200,
        "reply_status": 200,
        "ms": 500.0,
        "upstream_ms": 250.0,
        "store_ms": 1.75,
        "overhead_ms": 62.5,
    }


def test_a_route_that_only_observes_says_what_it_would_have_said() -> None:
    story = a_story(claim=a_claim("deal:42"))
    story.verdict, story.ungated, story.would = "executed", "observe", "locked"

    entry = told(story)

    assert (entry["verdict"], entry["ungated"], entry["would"]) == ("executed", "observe", "locked")


def test_a_refusal_keeps_what_was_known_before_it() -> None:
    story = a_story(claim=a_claim("deal:42"))
    story.wait_ms = 20
    story.refused(Refusal("upstream-timeout", "No answer in 30 s.", outcome="unknown"))

    entry = told(story)

    assert entry["verdict"] == "refused"
    assert entry["code"] == "upstream-timeout"
    assert entry["outcome"] == "unknown"
    assert entry["reply_status"] == 504
    assert entry["wait_ms"] == 20


def test_what_blocked_a_call_joins_the_lines_of_that_entity() -> None:
    story = a_story(claim=a_claim("deal:42"))
    story.refused(Refusal("locked", "Another call holds it.", blocked_by="lock:deal:42", wait_ms=10_000))

    entry = told(story)

    assert entry["blocked_by"] == f"lock:{entry['locks'][0]}"
    assert entry["wait_ms"] == 10_000


def test_our_own_time_is_never_negative() -> None:
    story = a_story()
    story.upstream_s, story.wait_ms = 0.4, 400  # clocks of two machines rounded against us

    assert told(story)["overhead_ms"] == 0


@pytest.mark.parametrize(
    "story",
    [
        a_story(a_call(path=f"/v1/tokens/{SECRET}")),
        a_story(a_call(query=f"api_key={SECRET}")),
        a_story(a_call(headers=Headers([(b"Authorization", f"Bearer {SECRET}".encode())]))),
        a_story(a_call(headers=Headers([(SECRET.encode(), b"x")]))),
        a_story(a_call(peer_user=SECRET)),
        a_story(claim=a_claim(f"contact:{SECRET}")),
    ],
    ids=["path", "query", "header value", "header name", "proxy user", "lock"],
)
def test_no_secret_is_ever_in_a_line(story: Story) -> None:
    story.refused(Refusal("locked", f"detail {SECRET}", blocked_by=f"lock:contact:{SECRET}"))
    story.end(101.0)

    assert SECRET not in story.line(0.0).decode()


@example("\ud800", "\udfff")
@example("\n", "\x00\u2028")
@given(st.text(max_size=400), st.text(max_size=400))
def test_a_line_is_one_line_whatever_callers_call_themselves(name: str, lock: str) -> None:
    story = a_story(a_call(host=name, method=name), a_claim(lock))
    story.identity = Identity(name, name, name, name)
    story.refused(Refusal("locked", "", blocked_by=f"cap:tenant:{name}"))
    story.end(101.0)

    line = story.line(1_764_000_000.0)

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line)["verdict"] == "refused"


def test_a_line_stays_short_whatever_callers_send() -> None:
    name = "\x00" * 100_000
    story = a_story(a_call(host=name, method=name), a_claim(*(f"contact:{n}" for n in range(5_000))))
    story.identity = Identity(name, name, name, name)
    story.refused(Refusal("locked", "", blocked_by=f"cap:tenant:{name}"))

    entry = told(story)

    assert len(story.line(0.0)) < 4 * LONGEST_LINE_BYTES
    assert len(entry["locks"]) == MOST_LOCKS
    assert entry["locks_more"] == 5_000 - MOST_LOCKS


def test_a_call_that_nobody_matched_has_a_line_too() -> None:
    story = Story(a_call(), now_s=100.0)
    story.refused(Refusal("proxy-auth-required", "Give the user's token."))

    entry = told(story)

    assert (entry["tool"], entry["route"], entry["lane"], entry["run"]) == (
        "unmatched",
        "unmatched",
        "none",
        "",
    )
    assert datetime.fromisoformat(str(entry["ts"])).year == 2025
    assert "locks" not in entry
    assert "intent" not in entry
