"""What an upstream's answer proves of an earlier attempt."""

from typing import Any

import orjson
import pytest

from sidecar.core.call import Headers
from sidecar.core.condition import Condition
from sidecar.core.headers import Departures
from sidecar.core.identity import Strip
from sidecar.core.probe import PROBE_NAMES, AnswerSpec, Found, ProbeSpec
from sidecar.core.refusal import Refusal
from sidecar.core.route import DownstreamKey
from sidecar.core.template import Template
from tests.core import calls

JSON = Headers([(b"Content-Type", b"application/json"), (b"X-Total", b"1")])
FILLED = {"data": [{"id": "re_1", "amount": 40, "charge": "ch_1", "ref": "77"}]}


def condition(text: str) -> Condition:
    return Condition.parse(text, PROBE_NAMES)


def spec(applied: str = "size(answer.body.data) > 0", path: str = "/v1/refunds", **others: Any) -> ProbeSpec:
    if "not_applied" in others:
        others["not_applied"] = condition(others["not_applied"])
    return ProbeSpec(Template.parse(path), condition(applied), **others)


def found(probe: ProbeSpec, status: int, body: Any, headers: Headers = JSON) -> Found:
    asked = calls.view(calls.call(headers=calls.FORM), b"charge=ch_1&amount=40")
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return probe.found(asked, status, headers, content)[0]


@pytest.mark.parametrize(
    ("applied", "status", "body", "what"),
    [
        ("size(answer.body.data) > 0", 200, FILLED, "applied"),
        ("size(answer.body.data) > 0", 200, {"data": []}, "not_applied"),
        ("answer.status == 200", 200, b"anything", "applied"),
        ("answer.headers['x-total'] == '1'", 204, b"", "applied"),
        ("answer.body.data.exists(r, r.amount == body.amount)", 200, FILLED, "applied"),  # 40 and "40"
        ("answer.body.data.exists(r, r.amount == 41)", 200, FILLED, "not_applied"),
        ("size(answer.body.data) > 0", 404, {"data": []}, "cannot_tell"),
        ("size(answer.body.data) > 0", 200, {"items": []}, "cannot_tell"),  # a field that is missing
        ("size(answer.body.data) > 0", 200, {"data": 5}, "cannot_tell"),
        ("answer.body.data.exists(r, r.chrage == 'x')", 200, FILLED, "cannot_tell"),
        ("size(answer.body.data) > 0", 200, b"<html>", "cannot_tell"),
        ("answer.body.data[0].amount", 200, FILLED, "cannot_tell"),  # no yes and no no
        *(
            ("answer.status > 0", status, FILLED, "cannot_tell")
            for status in (301, 304, 401, 403, 407, 408, 425, 429, 500, 503)
        ),
    ],
)
def test_only_what_is_proven_is_proven(applied: str, status: int, body: Any, what: Found) -> None:
    assert found(spec(applied), status, body) == what


@pytest.mark.parametrize(
    ("status", "body", "what"),
    [(404, {}, "not_applied"), (200, FILLED, "applied"), (200, {"data": []}, "cannot_tell")],
)
def test_where_not_applied_is_written_nothing_else_amounts_to_it(status: int, body: Any, what: Found) -> None:
    assert found(spec(not_applied="answer.status == 404"), status, body) == what


def test_an_answer_that_says_both_says_nothing() -> None:
    both = spec("answer.status == 200", not_applied="answer.status == 200")
    assert found(both, 200, {}) == "cannot_tell"


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (AnswerSpec(), 200, orjson.dumps(FILLED)),
        (AnswerSpec(201, body=condition("answer.body.data[0].id")), 201, b'"re_1"'),
        (AnswerSpec(body=condition("{'id': answer.body.data[0].id}")), 200, b'{"id":"re_1"}'),
        (
            AnswerSpec(body=condition("answer.body.data.filter(r, r.amount == body.amount)[0].ref")),
            200,
            b'"77"',  # 40 is "40" of a form, and what is text in the answer stays text
        ),
    ],
)
def test_a_retry_gets_the_probes_answer_or_one_made_of_it(
    answer: AnswerSpec, status: int, body: bytes
) -> None:
    asked = calls.view(calls.call(headers=calls.FORM), b"amount=40")
    _, made = spec(answer=answer).found(asked, 200, JSON, orjson.dumps(FILLED))
    assert made is not None
    assert (made.status, made.body) == (status, body)


def test_an_effect_that_has_no_answer_is_an_effect_all_the_same() -> None:
    probe = spec(answer=AnswerSpec(body=condition("answer.body.nothing")))
    assert probe.found(calls.view(), 200, JSON, orjson.dumps(FILLED)) == ("applied", None)


def test_a_probe_is_sent_as_whoever_retries_and_says_nothing_of_what_he_sent() -> None:
    its = calls.tool(
        downstream=DownstreamKey("header", "X-Key"), credentials=("header:authorization", "query:token")
    )
    headers = {
        "Authorization": "Bearer sk",
        "Stripe-Account": "acct_1",
        "User-Agent": "Stripe/1",
        "Accept": "*/*",
        "Content-Type": "text/plain",
        "Content-Length": "3",
        "Idempotency-Key": "k",
        "X-Key": "k2",
        "If-Match": "e",
        "Range": "bytes=0-1",
        "Accept-Encoding": "gzip",
        "X-Agent-Run": "r",
        "Expect": "x",
        "Connection": "upgrade",
        "Upgrade": "websocket",
        "X-HTTP-Method-Override": "POST",
    }
    made = calls.call("POST", "https://api.test/v1/refunds?token=t%201&expand=all", headers)
    out = Departures(Strip()).asking(its, made, "GET", "/v1/refunds?charge=ch_1", 5000)
    assert [name.decode() for name, _ in out.headers] == [
        *("Host", "Authorization", "Stripe-Account", "User-Agent", "Accept", "Via")
    ]
    assert (out.method, out.target, out.safe) == ("GET", b"/v1/refunds?charge=ch_1&token=t%201", True)


@pytest.mark.parametrize(
    ("path", "body", "target"),
    [
        ("/r?c={body.c}", b'{"c": "a&b=c d/\xc3\xa9"}', "/r?c=a%26b%3Dc%20d%2F%C3%A9"),
        ("/r/{body.c}/x", b'{"c": "../../admin?x#y"}', "/r/..%2F..%2Fadmin%3Fx%23y/x"),
        ("/r?c={body.c}", b'{"c": [1, "b"]}', "/r?c=1%2Cb"),
    ],
)
def test_a_value_never_leaves_its_place_in_the_target(path: str, body: bytes, target: str) -> None:
    asked = calls.view(calls.call(headers=calls.JSON), body)
    assert Template.parse(path).target(asked) == target


@pytest.mark.parametrize("body", [b'{"c": ".."}', b'{"c": "."}', b'{"d": 1}', b'{"c": {"x": 1}}'])
def test_a_target_that_would_lead_elsewhere_is_none(body: bytes) -> None:
    with pytest.raises(Refusal):
        Template.parse("/r/{body.c}/x").target(calls.view(calls.call(headers=calls.JSON), body))


def test_a_probe_that_reads_the_body_makes_its_route_read_it() -> None:
    for probe, reads in (
        (spec(), False),
        (spec(path="/{body.c}"), True),
        (spec("answer.status == body.c"), True),
    ):
        assert probe.reads_body is reads
        made = calls.route(calls.tool(), "r", "GET", resolve="probe", probe=probe)
        assert made.reads_body is reads
