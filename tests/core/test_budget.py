"""An amount is read exactly or not at all, and counts in the sum of whoever it belongs to."""

import pickle
from io import BytesIO
from typing import Any

import orjson
import pytest

from sidecar.core.budget import MOST, BudgetSpec, shown, units
from sidecar.core.call import Identity
from sidecar.core.guard import Budget
from sidecar.core.refusal import Refusal
from sidecar.core.template import Template
from sidecar.settings import _Sender
from tests.core.calls import FORM, JSON, WHO, call, view

HOUR_MS = 3_600_000


def spec(amount: str = "{body.amount}", **fields: Any) -> BudgetSpec:
    return BudgetSpec("crm", "refunds", Template.parse(amount), 500, HOUR_MS, **fields)


def of(it: BudgetSpec, body: Any, who: Identity = WHO) -> tuple[Budget, ...]:
    return it.of(view(call(headers=JSON), orjson.dumps(body), who=who))


def refused(it: BudgetSpec, body: Any, who: Identity = WHO) -> Refusal:
    with pytest.raises(Refusal) as caught:
        of(it, body, who)
    assert caught.value.code == "key-underivable"
    return caught.value


@pytest.mark.parametrize(
    ("value", "decimals", "is_worth"),
    [
        (7, 0, 7),
        (7.0, 0, 7),
        ("7", 0, 7),
        (0, 0, 0),
        (19.99, 2, 1999),
        ("19.99", 2, 1999),
        ("19.9", 2, 1990),
        (0.1 + 0.2, 2, None),
        (1e3, 0, 1000),
        (1e-3, 2, None),
        (19.999, 2, None),
        ("19.990", 2, 1999),
        (MOST, 0, MOST),
        (MOST + 1, 0, None),
        (2**80, 0, None),
        ("9" * 17, 0, None),
        (1e308, 0, None),
        (-1, 0, None),
        (-0.0, 0, None),
        ("-1", 0, None),
        ("+1", 0, None),
        ("1e3", 0, None),
        ("0x10", 0, None),
        (" 1", 0, None),
        ("\u0661", 0, None),
        ("1,000", 0, None),
        ("", 0, None),
        (True, 0, None),
        (None, 0, None),
        (float("nan"), 0, None),
        (float("inf"), 0, None),
        ("NaN", 0, None),
        ({}, 0, None),
    ],
)
def test_an_amount_is_a_plain_number_of_so_many_decimals(
    value: Any, decimals: int, is_worth: int | None
) -> None:
    assert units(value, decimals) == is_worth


def test_a_list_is_summed_and_one_bad_amount_spoils_it() -> None:
    assert of(spec("{body.items[*].amount}"), {"items": [{"amount": 3}, {"amount": "4"}]})[0].amount == 7
    refused(spec("{body.items[*].amount}"), {"items": [{"amount": 3}, {"amount": -4}]})
    refused(spec("{body.items[*].amount}"), {"items": [{"amount": 3}, {}]})
    refused(spec("{body.items[*].amount}"), {"items": []})
    refused(spec("{body.items}"), {"items": [MOST, MOST]})


def test_a_missing_amount_is_never_nothing_and_none_at_all_asks_nothing() -> None:
    no = refused(spec(), {})
    assert "body.amount" in no.detail
    assert of(spec(), {"amount": 0}) == ()


def test_the_refusal_of_an_amount_says_what_it_must_be_and_not_what_it_is() -> None:
    no = refused(spec(decimals=2), {"amount": "4111-1111"})
    assert "at most 2 decimals" in no.detail
    assert "4111" not in no.detail


def test_a_form_has_amounts_too() -> None:
    it = spec().of(view(call(headers=FORM), b"amount=12&charge=ch_1"))
    assert it == (Budget("refunds", "crm:refunds:tenant:acme", 12, 500, HOUR_MS, 0),)


@pytest.mark.parametrize(
    ("per", "name"),
    [
        ("tenant", "crm:refunds:tenant:acme"),
        ("workflow", "crm:refunds:workflow:acme:dunning"),
        ("run", "crm:refunds:run:acme:run-7"),
        ("global", "crm:refunds"),
    ],
)
def test_a_sum_is_of_a_scope(per: Any, name: str) -> None:
    assert of(spec(per=per), {"amount": 1})[0].name == name


def test_names_cannot_be_made_to_meet_anothers_sum() -> None:
    crafted = WHO._replace(tenant="acme:usd")
    keyed = spec(key=Template.parse("{body.currency}"))
    assert of(spec(), {"amount": 1}, crafted)[0].name == "crm:refunds:tenant:acme%3Ausd"
    assert of(keyed, {"amount": 1, "currency": "usd"})[0].name == "crm:refunds:tenant:acme:usd"
    refused(keyed, {"amount": 1, "currency": ["usd", "eur"]})


def test_a_budget_for_each_run_needs_one() -> None:
    assert "X-Agent-Run" in refused(spec(per="run"), {"amount": 1}, WHO._replace(run="")).detail


def test_a_spec_travels_from_the_reading_child() -> None:
    pipe = BytesIO()
    _Sender(pipe, pickle.HIGHEST_PROTOCOL).dump(spec(key=Template.parse("{body.currency}")))
    again = pickle.loads(pipe.getvalue())
    assert of(again, {"amount": 1, "currency": "usd"})[0].name == "crm:refunds:tenant:acme:usd"
    assert again.reads_body


def test_an_amount_is_shown_as_people_write_it() -> None:
    assert [shown(1999, 2), shown(5, 0), shown(0, 2)] == ["19.99", "5", "0.00"]
