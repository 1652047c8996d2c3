"""What a call takes of a rate: a number, the length of a list, or the number in a field."""

import pytest

from sidecar.core.claim import Rate
from sidecar.core.cost import Cost
from sidecar.core.refusal import Refusal
from tests.core.calls import JSON, call, view

RATES = (Rate("tool:crm", 100, 10_000), Rate("route:crm:batch", 10, 1_000))


def weighed(text: str, body: bytes = b"", url: str = "http://api.test/notes") -> list[int]:
    return [rate.cost for rate in Cost.parse(text).weigh(RATES, view(call("POST", url, JSON), body))]


@pytest.mark.parametrize(
    ("text", "body", "cost"),
    [
        ("5", b"", 5),
        ("{body.inputs}", b'{"inputs": [{"id": 1}, {"id": 2}, {"id": 3}]}', 3),
        ("{body.inputs[*].id}", b'{"inputs": [{"id": 1}, {"id": 2}]}', 2),
        ("{body.inputs}", b'{"inputs": []}', 1),
        ("{body.n}", b'{"n": 7}', 7),
        ("{body.n}", b'{"n": 0}', 1),
    ],
)
def test_a_cost_is_a_number_or_what_a_field_holds(text: str, body: bytes, cost: int) -> None:
    assert weighed(text, body) == [cost, cost]


def test_a_number_in_the_query_is_a_number() -> None:
    assert weighed("{query.count}", url="http://api.test/notes?count=4") == [4, 4]


@pytest.mark.parametrize("body", [b"{}", b'{"n": "many"}', b'{"n": true}', b'{"n": -1}', b'{"n": {"a": 1}}'])
def test_a_field_that_is_no_cost_is_refused_and_never_guessed(body: bytes) -> None:
    with pytest.raises(Refusal) as no:
        weighed("{body.n}", body)
    assert no.value.code == "key-underivable"


def test_a_call_that_costs_more_than_a_rate_ever_has_is_told_to_split_and_not_to_wait() -> None:
    with pytest.raises(Refusal) as no:
        weighed("{body.n}", b'{"n": 11}')
    assert (no.value.code, no.value.retryable, no.value.blocked_by) == (
        "rate-limited",
        False,
        "rate:route:crm:batch",
    )
    assert no.value.retry_after_ms is None
    assert "10 times at most" in no.value.detail


@pytest.mark.parametrize("text", ["0", "1001", "x", "{body.a}{body.b}", "{body.a} ", "{nonsense.a}", "99999"])
def test_what_is_neither_a_number_nor_one_field_is_a_mistake(text: str) -> None:
    with pytest.raises(ValueError, match=r"a cost |need text between|unknown source"):
        Cost.parse(text)


def test_only_a_cost_in_the_body_reads_it() -> None:
    assert Cost.parse("{body.n}").reads_body
    assert not Cost.parse("{query.n}").reads_body
    assert not Cost.parse("5").reads_body
