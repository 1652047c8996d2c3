"""What an SDK's own retry logic sees of a refusal."""

import json

import pytest

from sidecar.core.call import Answer, Headers
from sidecar.core.client import Client, client_of, pattern
from sidecar.core.refusal import Refusal

STRIPE = Client(pattern("Stripe/*"), header="Stripe-Should-Retry")
HUBSPOT = Client(pattern("hubspot-api-client-nodejs*"), statuses={500: 409, 502: 409, 503: 409, 504: 409})
NEVER = Client(pattern("*"), retry="never", header="X-Retry", statuses={429: 403})
UNKNOWN = Refusal("upstream-failed", "It broke off.", outcome="unknown")
BUSY = Refusal("queue-full", "Too many wait.", retry_after_ms=1500)


def header(answer: Answer, name: bytes) -> bytes | None:
    return Headers(answer.headers).get(name)


@pytest.mark.parametrize(("refusal", "word"), [(UNKNOWN, b"false"), (BUSY, b"true")])
def test_an_sdk_that_reads_a_header_is_told_whether_to_try_again(refusal: Refusal, word: bytes) -> None:
    answer = refusal.as_answer("c1", "r", STRIPE)
    assert header(answer, b"stripe-should-retry") == word
    assert answer.status == refusal.status


def test_an_sdk_that_retries_every_5xx_is_not_shown_one_where_it_must_not() -> None:
    answer = UNKNOWN.as_answer("c1", "r", HUBSPOT)
    assert answer.status == json.loads(answer.body)["status"] == 409
    assert json.loads(answer.body)["code"] == "upstream-failed"


def test_an_sdk_that_knows_errors_by_the_body_alone_finds_one_there() -> None:
    client = Client(pattern("Stripe/*"), error="error")
    said = json.loads(UNKNOWN.as_answer("c1", "r", client).body)
    assert said["error"] == {
        "type": "urn:sidecar:upstream-failed",
        "code": "upstream-failed",
        "message": "It broke off.",
    }
    assert "error" not in json.loads(UNKNOWN.as_answer("c1", "r", STRIPE).body)


def test_a_refusal_that_may_be_retried_keeps_its_status() -> None:
    assert Refusal("store-unavailable", "Away.").as_answer("c1", "r", HUBSPOT).status == 503


def test_an_sdk_without_patience_is_never_told_to_try_again() -> None:
    answer = BUSY.as_answer("c1", "r", NEVER)
    assert (answer.status, header(answer, b"x-retry")) == (403, b"false")
    assert json.loads(answer.body)["retryable"] is True  # what a model reads is the truth all the same


def test_who_is_not_named_gets_the_refusal_as_it_is() -> None:
    assert UNKNOWN.as_answer("c1", "r").status == 502


def test_the_first_client_that_fits_the_user_agent_counts() -> None:
    def told(agent: str) -> Client | None:
        return client_of((STRIPE, HUBSPOT, NEVER), Headers([(b"User-Agent", agent.encode("latin-1"))]))

    assert told("Stripe/v1 PythonBindings/16.1.0") is STRIPE
    assert told("stripe/v1") is STRIPE
    assert told("HubSpot-api-client-nodejs; 13.5.0") is HUBSPOT
    assert told("my Stripe/v1") is NEVER
    assert client_of((NEVER,), Headers([])) is NEVER
    assert client_of((STRIPE,), Headers([])) is None
    assert client_of((), Headers([])) is None


def test_only_a_star_is_special_in_a_pattern() -> None:
    assert pattern("a.b[1]*").fullmatch("a.b[1]\n2")
    assert not pattern("a.b").fullmatch("aXb")
