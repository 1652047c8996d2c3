from typing import Any

import cel
import pytest

from sidecar.core.condition import FUNCTIONS, Condition
from sidecar.core.refusal import Refusal
from tests.core.calls import FORM, JSON, call, view


def holds(
    text: str, body: bytes, headers: dict[str, str] = JSON, url: str = "http://api.test/refunds?limit=20"
) -> bool:
    return Condition.parse(text).holds(view(call("POST", url, headers), body).read)


@pytest.mark.parametrize(
    ("text", "body", "answer"),
    [
        ("body.amount > 0", b'{"amount":5}', True),
        ("body.amount > 0", b'{"amount":0}', False),
        ("body.amount > 0.5", b'{"amount":5}', True),
        ("body.amount > 0", b"{}", False),
        ("body.a.b > 0", b'{"a":{}}', False),
        ("body.items[3] > 0", b'{"items":[1]}', False),
        ("has(body.amount) && body.amount > 0", b"{}", False),
        ("!has(body.amount) || body.amount > 0", b"{}", True),
        ("body.items.exists(x, x.id == 2)", b'{"items":[{"id":1},{"id":2}]}', True),
        ("method == 'POST' && host == 'api.test' && path == '/refunds'", b"", True),
        ("query.limit == '20'", b"", True),
        ("query.limit > 10", b"", True),
        ("header['x-kind'] == 'a'", b"", False),
        ("header['content-type'] == 'application/json'", b"", True),
        ("tenant == 'acme' && workflow == 'dunning' && run.startsWith('run-')", b"", True),
        ("body.n == 36893488147419103232.0", b'{"n":36893488147419103232}', True),
        ("'yes'", b"", False),
    ],
)
def test_a_condition_holds_or_does_not(text: str, body: bytes, answer: bool) -> None:
    assert holds(text, body) is answer


@pytest.mark.parametrize(
    ("text", "body", "answer"),
    [
        ("body.amount > 100", b"amount=500", True),
        ("body.amount > 100", b"amount=5", False),
        ("body.amount > 1.5", b"amount=2.5", True),
        ("int(body.amount) > 100", b"amount=500", True),
        ("body.zip == '01234'", b"zip=01234", True),
        ("body.meta.n > 1 && body.tags[1] > 1", b"meta[n]=2&tags[]=1&tags[]=2", True),
    ],
)
def test_the_numbers_of_a_form_compare_as_numbers(text: str, body: bytes, answer: bool) -> None:
    assert holds(text, body, FORM) is answer


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("body.amount > 0", b'{"amount":"much"}'),
        ("has(body.x)", b"[1]"),
        ("body.amount > 0", b'{"amount":{}}'),
        ("body.amount > 0", b'{"amount":[5]}'),
        ("10 / body.n > 1", b'{"n":0}'),
        ("int(body.n) > 1", b'{"n":"x"}'),
        ("body.n + 9223372036854775807 > 0", b'{"n":5}'),
    ],
)
def test_a_type_that_does_not_fit_is_refused_not_let_by(text: str, body: bytes) -> None:
    with pytest.raises(Refusal) as no:
        holds(text, body)
    assert no.value.code == "key-underivable"
    assert text in no.value.detail
    assert "much" not in no.value.detail


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("body.amount >", "not valid CEL at 1:14: Syntax error"),
        ("", "not valid CEL at 1:1"),
        ("bdy.amount > 0", "unknown name 'bdy' in the condition; it may read body, header"),
        ("answer.status == 200", "unknown name 'answer'"),
        ("sized(body) > 0", "unknown function 'sized'"),
        ("1 == 1 || " * 1000 + "true", "at most 4096 characters"),
        ("(" * 600 + "1" + ")" * 600, "not valid CEL"),
    ],
)
def test_a_bad_condition_says_so_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as error:
        Condition.parse(text)
    assert "\n" not in str(error.value)


def test_only_what_the_expression_names_is_read() -> None:
    read = []

    def reading(name: str) -> Any:
        read.append(name)
        return "POST"

    assert Condition.parse("method == 'POST'").holds(reading)
    assert read == ["method"]
    assert not Condition.parse("method == 'POST'").reads_body
    assert Condition.parse("has(body.x)").reads_body


def test_other_names_may_be_allowed() -> None:
    condition = Condition.parse("answer.status == 200", frozenset({"answer"}))
    assert condition.holds(lambda name: {"status": 200})


CALLS = (
    "{}('1')",
    "{}(1)",
    "'a'.{}('a')",
    "timestamp('2020-01-01T00:00:00Z').{}()",
    "{}('1s')",
    "{}('true')",
)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_known_function_exists(name: str) -> None:
    forms = [*CALLS, "{}('2020-01-01T00:00:00Z')"]
    assert any(runs(form.format(name)) for form in forms)


def runs(text: str) -> bool:
    try:
        cel.compile(text).execute({})
    except (RuntimeError, TypeError, ValueError):
        return False
    return True


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"amount":500,"amount":500}', JSON),
        (b'{"amount":500', JSON),
        (b'{"amount":500}', {"Content-Type": "text/plain"}),
        (b'{"amount":500}', {}),
        (b"amount=500&amount[x]=1", FORM),
    ],
)
def test_a_body_that_says_to_others_what_it_hides_from_us_is_refused(
    body: bytes, headers: dict[str, str]
) -> None:
    with pytest.raises(Refusal) as no:
        holds("body.amount > 100", body, headers)
    assert no.value.code == "key-underivable"
    assert "500" not in no.value.detail


def test_a_number_written_as_text_is_the_number() -> None:
    assert holds("body.amount > 100", b'{"amount":"500"}')
    assert not holds("body.amount > 100", b'{"amount":"5"}')
