from dataclasses import replace

import pytest

from sidecar.core.approval import ApprovalSpec
from sidecar.core.condition import Condition
from sidecar.core.cost import Cost
from sidecar.core.explain import explain
from sidecar.core.identity import Identities
from sidecar.core.refusal import Refusal
from sidecar.core.route import IntentSpec
from sidecar.core.table import Table
from sidecar.core.template import Template
from tests.core.calls import FLEET, JSON, call, route, table, tool

CRM = tool()
TABLE = table(
    CRM,
    route(
        CRM,
        "deal.update",
        "PATCH",
        "/deals/{id}",
        when=Condition.parse("has(body.stage)"),
        locks=(Template.parse("deal:{path.id}"),),
        intent=IntentSpec(Template.parse("{path.id} {body.stage}"), "ignore", window_ms=600_000),
    ),
)


def test_an_explanation_names_the_route_and_why_and_what_it_asks_for() -> None:
    made = call(
        "PATCH",
        "http://api.test/deals//7",
        JSON | {"Authorization": "Bearer s3cret", "X-Agent-Tenant": "acme"},
    )
    told = explain(TABLE, Identities(), made, b'{"stage":"won"}')
    assert (told.tool, told.route, told.lane, told.path, told.params) == (
        "crm",
        "deal.update",
        "write",
        "/deals/7",
        {"id": "7"},
    )
    assert told.why == "host api.test; method PATCH; path /deals/{id}; when has(body.stage)"
    assert told.locks == ("deal:7",)
    assert (told.intent_kind, told.intent) == ("written", 'deal.update 3:"7" 5:"won"')
    assert (told.until, told.window_ms, told.who.tenant, told.mode) == ("change", 600_000, "acme", "enforce")
    assert told.reads_body
    assert "s3cret" not in repr(told)


@pytest.mark.parametrize(
    ("method", "url", "why"),
    [
        ("PATCH", "http://api.test/deals/7", "host api.test; no route names PATCH /deals/7"),
        ("GET", "http://elsewhere.test/", "no tool has the host elsewhere.test"),
        (
            "CONNECT",
            "https://api.test/",
            "CONNECT to api.test:443 is tunnelled blind: what passes inside cannot be seen",
        ),
    ],
)
def test_what_no_route_names_is_told_as_such(method: str, url: str, why: str) -> None:
    assert explain(TABLE, Identities(), call(method, url), b"").why == why


def test_a_connect_that_is_opened_is_told_as_such() -> None:
    opening = Table(TABLE.sites, FLEET, intercepts=True)
    told = explain(opening, Identities(), call("CONNECT", "https://api.test/"), b"")
    assert (
        told.why == "CONNECT to api.test:443 is opened: each call inside is gated like https://api.test/..."
    )
    told = explain(opening, Identities(), call("CONNECT", "https://elsewhere.test/"), b"")
    assert "tunnelled blind" in told.why


def test_a_read_is_told_to_pass_ungated_and_the_reverse_form_by_its_tool() -> None:
    made = call("GET", "http://api.test/x")._replace(host="", port=0, intake="reverse", tool="crm")
    told = explain(TABLE, Identities(), made, b"")
    assert told.empty
    assert told.why.startswith("/_tool/crm/; no route names GET /x")


def test_an_explanation_is_refused_where_the_call_would_be() -> None:
    with pytest.raises(Refusal, match="bad-request"):
        explain(TABLE, Identities(), call("PATCH", "http://api.test/a%zz"), b"")


def test_an_explanation_tells_rates_with_what_the_call_takes_of_them() -> None:
    its = tool(rate=(100, 10_000))
    standing = FLEET.standing("write", None, True, "crm", (1, 9), its.rates)
    rated = route(its, "batch", "POST", "/batch", cost=Cost.parse("{body.inputs}"))
    told = explain(
        table(its, replace(rated, standing=standing)),
        Identities(),
        call("POST", "http://api.test/batch", JSON),
        b'{"inputs": [1, 2, 3]}',
    ).as_json()
    assert told["rates"] == [{"name": "tool:crm", "most": 100, "period_ms": 10_000, "cost": 3}]
    assert {"name": "tool:crm:write", "least": 1, "most": 9} in told["caps"]  # type: ignore[operator]


def test_a_call_that_needs_an_approval_says_what_people_would_see() -> None:
    its = tool()
    spec = ApprovalSpec(its, "refund", None, 0, 3_600_000, 2, (("of", Template.parse("{body.of}")),))
    asking = table(its, route(its, "refund", "POST", "/refunds", guards=(spec,)))
    told = explain(asking, Identities(), call("POST", "http://api.test/refunds", JSON), b'{"of": "7"}')
    assert told.approval is not None
    shown = told.as_json()["approval"]
    assert isinstance(shown, dict)
    assert (shown["approvers"], shown["seen"]["show"]) == (2, {"of": "7"})
