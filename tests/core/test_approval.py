"""What an approval is bound to, when one is needed, and what a person sees."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.approval import LONGEST_SHOWN, ApprovalSpec, rendered, shown
from sidecar.core.call import Identity
from sidecar.core.condition import Condition
from sidecar.core.guard import Approval
from sidecar.core.refusal import Refusal
from sidecar.core.route import Tool
from sidecar.core.template import Template
from tests.core.calls import FORM, JSON, WHO, call, tool, view

URL = "http://api.test/refunds?dry=0"
AUTH = JSON | {"Authorization": "Bearer one"}


def spec(when: str = "", its: Tool | None = None, **fields: Any) -> ApprovalSpec:
    condition = Condition.parse(when) if when else None
    return ApprovalSpec(its or tool(), "refund", condition, 20_000, 3_600_000, 1, **fields)


def asked(its: ApprovalSpec, body: bytes = b"{}", **changed: Any) -> list[Approval]:
    made = call(
        changed.get("method", "POST"), changed.get("url", URL), {**AUTH, **changed.get("headers", {})}
    )
    return list(its.of(view(made, body, who=changed.get("who", WHO))))


@pytest.mark.parametrize(
    ("body", "needed"),
    [
        (b'{"amount": 10001}', True),
        (b'{"amount": 10000}', False),
        (b'{"amount": "10001"}', True),
        (b'{"amount": 1e99}', True),
        (b"{}", True),  # a refund without an amount refunds everything
        (b"", True),
        (b'{"amounts": 1}', True),
    ],
)
def test_a_call_needs_an_approval_where_the_condition_holds_or_cannot_be_judged(
    body: bytes, needed: bool
) -> None:
    assert bool(asked(spec("body.amount > 10000"), body)) is needed


def test_a_call_may_be_let_off_for_lacking_a_field_where_that_is_written() -> None:
    assert asked(spec("has(body.amount) && body.amount > 10000")) == []


@pytest.mark.parametrize("body", [b'{"amount": "much"}', b'{"amount": 1, "amount": 99999}', b"{"])
def test_a_body_that_might_say_something_else_to_the_upstream_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as no:
        asked(spec("body.amount > 10000"), body)
    assert no.value.code == "key-underivable"


SAME = [
    {"body": b'{ "b" : 2, "a": 1 }'},
    {"headers": {"X-Stainless-Retry-Count": "1"}},
    {"who": WHO._replace(run="run-8", priority="background")},
]


@pytest.mark.parametrize("changed", SAME)
def test_the_same_request_asked_again_is_the_same(changed: dict[str, Any]) -> None:
    (first,), (second,) = (
        asked(spec(), b'{"a":1,"b":2}'),
        asked(spec(), **{"body": b'{"a":1,"b":2}'} | changed),
    )
    assert first.request == second.request


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "PUT"},
        {"url": "http://other.test/refunds?dry=0"},
        {"url": "http://api.test/refund?dry=0"},
        {"url": "http://api.test/refunds?dry=1"},
        {"url": "http://api.test/refunds"},
        {"body": b'{"a":"1"}'},
        {"body": b'{"a":1,"b":2}'},
        {"headers": {"Authorization": "Bearer two"}},
        {"headers": {"Content-Type": "application/vnd.api+json"}},
        {"who": Identity("globex", "dunning", "run-7", "interactive")},
        {"who": Identity("acme", "sales", "run-7", "interactive")},
    ],
    ids=str,
)
def test_whatever_changes_what_is_done_or_for_whom_changes_the_request(changed: dict[str, Any]) -> None:
    options = dict(changed)
    body = options.pop("body", b'{"a":1}')
    (first,), (second,) = asked(spec(), b'{"a":1}'), asked(spec(), body, **options)
    assert first.request != second.request


def test_two_tools_at_one_host_share_no_approval() -> None:
    (first,), (second,) = asked(spec()), asked(spec(its=tool(name="billing")))
    assert first.request != second.request


def test_a_run_counts_within_its_tenant_and_nobodys_run_counts_for_none() -> None:
    runs = [
        asked(spec(), who=WHO._replace(tenant=tenant, run=run))[0].run
        for tenant, run in (("a", "b/c"), ("a/b", "c"))
    ]
    assert runs[0] != runs[1]
    assert asked(spec(), who=WHO._replace(run=""))[0].run == ""


def test_a_read_that_went_well_has_used_its_approval() -> None:
    assert asked(spec(), method="GET")[0].effect is False
    assert asked(spec())[0].effect is True


def test_a_person_sees_what_the_route_shows_and_nothing_else() -> None:
    templates = (("to", Template.parse("{body.to} cc {body.cc}")), ("of", Template.parse("{form.x}")))
    (it,) = asked(spec(show=templates), b'{"to": ["a@b.c", "d@e.f"], "password": "hunter2"}')
    assert json.loads(it.seen) == {
        "method": "POST",
        "host": "api.test",
        "path": "/refunds",
        "show": {"to": '["a@b.c","d@e.f"] cc ', "of": ""},
    }


def test_what_is_cut_says_so() -> None:
    assert shown("x" * LONGEST_SHOWN) == "x" * LONGEST_SHOWN
    assert shown("x" * 301) == "x" * 300 + "... (301 characters)"


@given(st.text(st.characters(exclude_categories=()), max_size=400))
def test_nothing_that_a_call_says_can_drive_a_terminal_or_break_the_store(text: str) -> None:
    line = shown(text)
    assert line.isprintable()
    line.encode()


def test_a_form_is_shown_as_it_reads() -> None:
    made = call(headers=FORM)
    assert rendered(Template.parse("{form.amount} {body}"), view(made, b"amount=5&to=x")).startswith(
        "5 form "
    )
