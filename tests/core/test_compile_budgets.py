"""Budgets and groups as they are written: every mistake has its message, at its place."""

import re
from pathlib import Path

import pytest

from sidecar.core.budget import BudgetSpec
from tests.core.test_compile import HEAD, compiled, refused, route_of

BUDGET = HEAD + 'budgets:\n  refunds: {amount: "{body.amount}", limit: 500000, window: 24h}\n'
ROUTE = (
    BUDGET
    + "routes:\n  - name: refund.create\n    match: {method: POST, path: '/refunds/{id}'}\n    locks: "
    + '["a:{path.id}"]\n'
)
"""A route's own fields begin in line 11, column 5."""
GROUP = HEAD + "routes:\n  - name: deal.close\n    match: {method: PUT, path: '/deals/{id}'}\n"
OTHER = "  - name: deal.make\n    match: {method: POST, path: /deals}\n    locks: ['deal:{body.id}']\n"


def written(budget: str, route: str = "    budgets: [refunds]\n") -> str:
    return ROUTE.replace('{amount: "{body.amount}", limit: 500000, window: 24h}', budget) + route


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            ROUTE + "    budgets: [refund]",
            (
                "11:15: budgets[0] of route 'refund.create': 'refund' is not a budget of this tool; did you mean "
                "'refunds'?"
            ),
        ),
        (
            ROUTE + "    budgets: [zzz]",
            (
                "11:15: budgets[0] of route 'refund.create': 'zzz' is not a budget of this tool; "
                "name one of 'budgets' in this file"
            ),
        ),
        (
            ROUTE + "    budgets: [{budget: refund}]",
            (
                "11:24: budgets[0].budget of route 'refund.create': 'refund' is not a budget of this tool; "
                "did you mean 'refunds'?"
            ),
        ),
        (
            ROUTE + "    budgets: [refunds, refunds]",
            "11:24: budgets[1] of route 'refund.create': 'refunds' is named twice; a call counts in a budget once",
        ),
        (
            written("{limit: 5, window: 24h}"),
            "11:15: neither budget 'refunds' nor this route says the 'amount' of a call",
        ),
        (
            written("{amount: '{body.amount}', limit: 5.5, window: 24h}"),
            (
                "6:45: budgets.refunds.limit: '5.5' must be from 1 to 9007199254740991 in units of its last decimal, "
                "and have "
                "at most 0 decimals; 'decimals' says how many there may be"
            ),
        ),
        (
            written("{amount: '{body.amount}', limit: 0, window: 24h}"),
            (
                "6:45: budgets.refunds.limit: '0' must be from 1 to 9007199254740991 in units of its last decimal, "
                "and have "
                "at most 0 decimals; 'decimals' says how many there may be"
            ),
        ),
        (
            written("{amount: '{body.amount}', limit: lots, window: 24h}"),
            "6:45: budgets.refunds.limit: 'lots' is not an amount; write a number like 500000 or 5000.00",
        ),
        (
            written("{amount: '{body.amount}', limit: 5, window: 1s}"),
            "6:56: budgets.refunds.window: '1s' must be from 1m to 90d",
        ),
        (
            written("{amount: '{body.amount}', limit: 5}"),
            "6:12: missing field 'window' in budgets.refunds",
        ),
        (
            written("{amount: '{body.amount}', limit: 5, window: 24h, per: tenants}"),
            "6:66: budgets.refunds.per: 'tenants' is not tenant, workflow, run or global; did you mean 'tenant'?",
        ),
        (
            written("{amount: '{body.amount}', limit: 5, window: 24h, decimals: 10}"),
            "6:71: budgets.refunds.decimals: '10' must be from 0 to 9",
        ),
        (
            written("{amount: 'EUR {body.amount}', limit: 5, window: 24h}"),
            (
                "6:21: budgets.refunds.amount: 'EUR {body.amount}' is no amount; write one field without filters, "
                "like {body.amount}"
            ),
        ),
        (
            written("{amount: '{body.amount|digits}', limit: 5, window: 24h}"),
            (
                "6:21: budgets.refunds.amount: '{body.amount|digits}' is no amount; write one field without filters, "
                "like {body.amount}"
            ),
        ),
        (
            written("{amount: '{path.amount}', limit: 5, window: 24h}"),
            "6:28: budgets.refunds.amount: unknown path parameter 'amount'; known are id",
        ),
        (
            written("{amount: '{body.amount}', limit: 5, window: 24h, key: '{bdy.currency}'}"),
            "6:68: budgets.refunds.key: unknown source 'bdy'; did you mean 'body'?",
        ),
        (
            ROUTE + "    budgets: [{budget: refunds, amount: 'five'}]",
            (
                "11:41: budgets[0].amount of route 'refund.create': 'five' is no amount; write one field without "
                "filters, "
                "like {body.amount}"
            ),
        ),
        (
            GROUP + "    intent: {group: deal.close}",
            "8:14: a group needs a 'key': what makes calls by its doors the same, like {body.deal} at each of them",
        ),
        (
            GROUP + "    intent: {key: '{path.id}', group: deal.close, explicit: trust}",
            (
                "8:61: intent.explicit of route 'deal.close': 'trust' would let a caller's own key go past the group; "
                "write 'ignore'"
            ),
        ),
        (
            GROUP + "    intent: {key: '{path.id}', group: deal.close}\n    unknown: {resolve: resend}",
            (
                "9:24: unknown.resolve of route 'deal.close': 'resend' may do by this door what another may have done; "
                "write 'hold' or 'probe'"
            ),
        ),
        (
            GROUP + "    intent: {key: '{path.id}', group: 'a b'}",
            (
                "8:39: intent.group of route 'deal.close': 'a b' is not a name; use letters, digits, '.', '_' and '-', "
                "at most 64"
            ),
        ),
    ],
)
def test_a_mistake_is_told_where_it_stands(text: str, message: str) -> None:
    assert refused(text) == [f"routes/a.yaml:{message}"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ROUTE, "6:3: warning: no route counts in budget 'refunds'; name it in a route's 'budgets'"),
        (
            ROUTE.replace("POST", "GET") + "    budgets: [refunds]",
            "11:5: warning: route 'refund.create' counts nothing: GET, HEAD and OPTIONS have no effect to sum",
        ),
        (
            GROUP + "    intent: {key: '{path.id}', group: deal.close}\n",
            "8:32: warning: group 'deal.close' has one route, 'deal.close', and shares its intents with none",
        ),
        (
            GROUP
            + "    intent: {key: '{path.id}', group: g}\n"
            + OTHER
            + "    intent: {key: '{body.id}', group: g, window: 1m}\n",
            (
                "12:42: warning: group 'g': window is 60 s here and 600 s at route 'deal.close'; a twin is judged by "
                "the door "
                "that it comes to"
            ),
        ),
        (
            GROUP
            + "    intent: {key: '{path.id}', group: g, until: change}\n"
            + OTHER
            + "    intent: {key: '{body.id}', group: g}\n",
            (
                "12:5: warning: group 'g': until is window here and change at route 'deal.close'; a twin is judged "
                "by the door "
                "that it comes to"
            ),
        ),
        (
            GROUP
            + "    intent: {key: '{path.id}', group: g}\n"
            + OTHER
            + "    intent: {key: '{body.id}', group: g, scope: run}\n",
            (
                "12:42: warning: group 'g': scope is run here and tenant at route 'deal.close'; a twin is judged by "
                "the door "
                "that it comes to"
            ),
        ),
    ],
)
def test_what_holds_less_than_it_seems_is_warned_of(text: str, message: str) -> None:
    assert [str(problem) for problem in compiled(text).warnings] == [f"routes/a.yaml:{message}"]


def test_doors_that_agree_are_not_warned_of() -> None:
    text = (
        GROUP
        + "    intent: {key: '{path.id}', group: g}\n"
        + OTHER
        + "    intent: {key: '{body.id}', group: g}\n"
    )
    config = compiled(text)
    assert config.warnings == ()
    assert [route.intent.until for route in config.sites[0].routes if route.intent] == ["window", "window"]


def test_a_limit_is_in_the_unit_of_its_amounts_and_a_route_may_say_where_its_amount_is() -> None:
    text = written(
        "{amount: '{body.amount}', limit: 5000.00, window: 1h, decimals: 2, per: global, key: '{body.currency}'}",
        "    budgets: [{budget: refunds, amount: '{body.total}'}]\n",
    )
    (spec,) = route_of(text).guards
    assert isinstance(spec, BudgetSpec)
    assert (spec.limit, spec.window_ms, spec.per, spec.amount.text) == (
        500000,
        3600000,
        "global",
        "{body.total}",
    )
    assert route_of(text).reads_body


def test_the_page_shows_what_loads() -> None:
    page = Path(__file__).parents[2] / "docs" / "pause-and-budgets.md"
    budgets, groups = re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    config = compiled(budgets, HEAD + groups)
    assert not [it for it in config.warnings if "budget" in it.message or "group" in it.message]
