"""Order as it is written: every mistake has its message, and what is derived is what was meant."""

import pytest

from sidecar.core.call import Headers
from sidecar.core.compile.folder import File, compile_config
from sidecar.core.config import Config
from sidecar.core.guard import Order
from sidecar.core.order import Look, OrderSpec
from sidecar.core.problems import ConfigError
from sidecar.core.refusal import Refusal
from tests.core.calls import JSON, call, view

STATES = """version: 1
entity: invoice
states: [draft, validated, paid, void]
initial: draft
transitions:
  draft: [validated, void]
  validated: [validated, paid]
"""
HEAD = "version: 1\ntool: billing\nhosts: [billing.test]\nupstream: http://billing.test\nroutes:\n"
DAY_MS = 86_400_000


def route(order: str, name: str = "pay", path: str = "/pay") -> str:
    """A route in three lines; its order begins in column 12 of the last."""
    return f"  - name: {name}\n    match: {{method: POST, path: {path}}}\n    order: {order}\n"


def compiled(*routes: str, states: str = STATES) -> Config:
    files = [("sidecar.yaml", "version: 1\n")]
    files += [("routes/a.yaml", HEAD + "".join(routes))] if routes else []
    files += [("states/invoice.yaml", states)] if states else []
    return compile_config("folder", [File(name, name, text.encode()) for name, text in files], [], {})


def refused(*routes: str, states: str = STATES) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        compiled(*routes, states=states)
    return [str(problem) for problem in caught.value.problems]


def spec(config: Config, index: int = 0) -> OrderSpec:
    (found,) = config.sites[0].routes[index].guards
    assert isinstance(found, OrderSpec)
    return found


ROUTES: list[tuple[str, str]] = [
    ("{entity: 'invoice:{body.id}'}", "8:5: an order needs 'requires', 'sets' or both"),
    ("{requires: paid}", "8:12: missing field 'entity' in order of route 'pay'"),
    (
        "{entity: 'invoice:{body}', set: paid}",
        "8:39: unknown field 'set' in order of route 'pay'; did you mean 'sets'?",
    ),
    (
        "[{entity: 'invoice:{body}', set: paid}]",
        "8:40: unknown field 'set' in order[0] of route 'pay'; did you mean 'sets'?",
    ),
    ("soon", "8:12: order of route 'pay': 'soon' must be a list; write [...]"),
    (
        "{entity: 'invoice:{body.id}', requires: validted}",
        "8:52: order.requires of route 'pay': 'validted' is no state of 'invoice'; did you mean 'validated'?",
    ),
    (
        "{entity: 'invoice:{body.id}', requires: [draft, z]}",
        "8:60: order.requires[1] of route 'pay': 'z' is no state of 'invoice'; it has draft, validated, paid, void",
    ),
    (
        "{entity: 'invoice:{body.id}', sets: piad}",
        "8:48: order.sets of route 'pay': 'piad' is no state of 'invoice'; did you mean 'paid'?",
    ),
    (
        "{entity: 'invoice:{body.id}', requires: [draft], sets: paid}",
        "8:53: order.requires[0] of route 'pay': 'draft' cannot become 'paid'; in 'invoice' only validated can",
    ),
    (
        "{entity: 'invoice:{body.id}', sets: draft}",
        (
            "8:48: order.sets of route 'pay': 'draft' follows no state of 'invoice'; an entity that nobody has seen "
            "is in it; write a transition to it"
        ),
    ),
    ("{entity: 'invoice:{path.id}', sets: paid}", "8:36: order.entity of route 'pay': "),
    ("{entity: 'x:{body.id}', sets: paid, max_age: 1h}", "8:48: 'max_age' is of no use without 'requires'"),
    ("{entity: 'x:{body.id}', sets: paid, unseen: allow}", "8:48: 'unseen' is of no use without 'requires'"),
    ("{entity: 'x:{body.id}', requires: a, retention: 1h}", "8:49: 'retention' is of no use without 'sets'"),
    (
        "{entity: 'invoice:{body.id}', requires: paid, max_age: 31d}",
        "8:67: order.max_age of route 'pay': '31d' is longer than a state of 'invoice' is remembered",
    ),
    (
        "{entity: 'x:{body.id}', requires: a, unseen: maybe}",
        "8:57: order.unseen of route 'pay': 'maybe' is neither 'refuse', 'allow' nor a mapping with a 'probe'",
    ),
    (
        "{entity: 'x:{body.id}', requires: a, unseen: {probe: {path: /x}}}",
        "8:65: missing field 'state' in order.unseen.probe of route 'pay'",
    ),
    (
        "{entity: 'x:{body.id}', requires: a, unseen: {probe: {path: x, state: answer.body.s}}}",
        (
            "8:72: order.unseen.probe.path of route 'pay': 'x' is no target; begin with '/', and write no space, '#' "
            "or '\\'"
        ),
    ),
    (
        "{entity: 'x:{body.id}', requires: a, unseen: {probe: {path: /x, state: body.s}}}",
        (
            "8:83: order.unseen.probe.state of route 'pay': 'body.s' reads nothing of the answer; write what 'answer' "
            "says of the state"
        ),
    ),
    ("{entity: 'x:{body.id}', requires: a, unseen: {probe: {path: /x, state: 'answer.'}}}", "8:"),
    (
        "[{entity: 'x:{body.id}', sets: a}, {entity: 'x:{body.id}', sets: b}]",
        "8:43: order[0].sets of route 'pay': 'a' is one of several for one entity; write one",
    ),
]


@pytest.mark.parametrize(("order", "line"), ROUTES)
def test_a_mistake_in_an_order(order: str, line: str) -> None:
    first = f"routes/a.yaml:{line}"
    found = refused(route(order))[0]
    assert found[: len(first)] == first if line.endswith((": ", ":")) else found == first


FILES: list[tuple[str, str]] = [
    ("version: 1\nstates: [a]\ninitial: a\n", "1:1: missing field 'entity'"),
    ("version: 1\nentity: x\ninitial: a\n", "1:1: missing field 'states'"),
    ("version: 1\nentity: x\nstates: [a]\n", "1:1: missing field 'initial'"),
    (
        STATES.replace("initial: draft", "initial: drft"),
        "4:10: initial: 'drft' is no state of 'invoice'; did you mean 'draft'?",
    ),
    (
        STATES.replace("  draft:", "  drft:"),
        "6:3: transitions: 'drft' is no state of 'invoice'; did you mean 'draft'?",
    ),
    (
        STATES.replace("[validated, void]", "[validated, vod]"),
        "6:22: transitions.draft[1]: 'vod' is no state of 'invoice'; did you mean 'void'?",
    ),
    (STATES.replace("void]\ninitial", "paid]\ninitial"), "3:34: states[3]: 'paid' is written twice"),
    (
        STATES.replace("transitions", "transition"),
        "5:1: unknown field 'transition'; did you mean 'transitions'?",
    ),
    (STATES.replace("entity: invoice", "entity: in voice"), "2:9: entity: 'in voice' is not a name;"),
]


@pytest.mark.parametrize(("states", "line"), FILES)
def test_a_mistake_in_a_file_of_states(states: str, line: str) -> None:
    first = f"states/invoice.yaml:{line}"
    assert any(found[: len(first)] == first for found in refused(states=states))


def test_two_files_for_one_kind_are_refused() -> None:
    files = [("states/a.yaml", STATES), ("states/b.yaml", STATES)]
    with pytest.raises(ConfigError) as caught:
        compile_config("folder", [File(name, name, text.encode()) for name, text in files], [], {})
    assert str(caught.value.problems[0]) == "states/b.yaml:2:9: entity: 'invoice' is taken by states/a.yaml"


def warned(*routes: str, states: str = STATES) -> list[str]:
    return [str(one) for one in compiled(*routes, states=states).warnings if "tunnelled" not in one.message]


def test_a_state_that_nothing_leads_to_is_warned_of() -> None:
    (warning,) = warned(states=STATES.replace("validated: [validated, paid]", "paid: [void]"))[-1:]
    assert warning == (
        "states/invoice.yaml:3:28: warning: no transition leads from 'draft' to 'paid': no invoice comes to be in it"
    )


def test_a_required_state_that_no_route_sets_is_warned_of_with_what_was_meant() -> None:
    orders = [
        route("{entity: 'lead:{body.id}', sets: qualified}", "qualify", "/q"),
        route("{entity: 'lead:{body.id}', requires: qualifed}"),
    ]
    (warning,) = warned(*orders)
    assert warning.endswith("11:49: warning: no route sets 'qualifed' of lead; did you mean 'qualified'?")


def test_a_kind_that_is_nearly_that_of_a_file_is_warned_of() -> None:
    (warning,) = warned(route("{entity: 'invoise:{body.id}', sets: paid}"))
    assert warning.endswith("8:21: warning: no file in states/ is for 'invoise'; did you mean 'invoice'?")


def test_what_a_tool_may_tell_needs_no_route_that_sets_it() -> None:
    assert warned(route(PROBED), states="") == []


PROBED = (
    "{entity: 'invoice:{body.id}', requires: validated, "
    "unseen: {probe: {path: '/invoices/{body.id}', state: answer.body.status}}}"
)


def test_a_route_that_only_sets_requires_what_its_kind_allows() -> None:
    found = spec(compiled(route("{entity: 'invoice:{body.id}', sets: paid}")))
    assert (found.requires, found.sets, found.unseen, found.initial) == (
        ("validated",),
        "paid",
        "initial",
        "draft",
    )
    assert (found.max_age_ms, found.wait_ms, found.retention_ms) == (0, 5_000, 30 * DAY_MS)


def test_without_a_file_a_route_that_only_sets_requires_nothing() -> None:
    found = spec(compiled(route("{entity: 'invoice:{body.id}', sets: paid, retention: 1d}"), states=""))
    assert (found.requires, found.unseen, found.retention_ms) == ((), "refuse", DAY_MS)


def test_the_order_of_the_design_is_read_as_it_is_written() -> None:
    text = "{entity: 'invoice:{body.invoice}', requires: [validated], max_age: 1h, wait: 5s, sets: refunded}"
    (order,) = spec(compiled(route(text), states="")).of(view(call(headers=JSON), b'{"invoice": "in_7"}'))
    assert order == Order(
        "invoice:in_7", ("validated",), 3_600_000, 5_000, "refunded", 30 * DAY_MS, "refuse", ()
    )


def test_a_batch_has_an_order_for_each_entity_and_a_missing_one_is_refused() -> None:
    found = spec(compiled(route("{entity: 'invoice:{body.ids}', requires: draft}"), states=""))
    names = [order.entity for order in found.of(view(call(headers=JSON), b'{"ids": ["b", "a", "b"]}'))]
    assert names == ["invoice:a", "invoice:b"]
    with pytest.raises(Refusal, match="key-underivable"):
        found.of(view(call(headers=JSON), b"{}"))


def test_a_refusal_can_name_the_routes_that_come_before() -> None:
    config = compiled(
        route("{entity: 'invoice:{body.id}', sets: paid}"),
        route("{entity: 'invoice:{body.id}', sets: validated}", "validate", "/validate"),
    )
    (order,) = spec(config).of(view(call(headers=JSON), b'{"id": 1}'))
    assert order.steps == ("validate",)


def test_several_orders_of_one_route_must_all_hold() -> None:
    text = "[{entity: 'a:{body.a}', requires: x}, {entity: 'b:{body.b}', requires: [y, z]}]"
    guards = compiled(route(text), states="").sites[0].routes[0].guards
    assert [(guard.entity.text, guard.requires) for guard in guards if isinstance(guard, OrderSpec)] == [
        ("a:{body.a}", ("x",)),
        ("b:{body.b}", ("y", "z")),
    ]


def test_an_observed_route_waits_for_no_step() -> None:
    text = "{entity: 'a:{body.a}', requires: x}\n    mode: observe"
    assert spec(compiled(route(text), states="")).wait_ms == 0


def look(states: str) -> Look:
    found = spec(compiled(route(PROBED), states=states))
    assert (found.unseen, found.reads_body) == ("probe", True)
    assert found.look is not None
    return found.look


@pytest.mark.parametrize(
    ("states", "status", "body", "state"),
    [
        (STATES, 200, b'{"status": "paid"}', "paid"),
        (STATES, 200, b'{"status": "unheard-of"}', ""),
        ("", 200, b'{"status": "unheard-of"}', "unheard-of"),
        ("", 404, b'{"status": "paid"}', ""),
        ("", 302, b'{"status": "paid"}', ""),
        ("", 200, b'{"status": 4}', ""),
        ("", 200, b'{"status": ""}', ""),
        ("", 200, b"{}", ""),
        ("", 200, b"<html>", ""),
    ],
)
def test_only_an_answer_that_plainly_tells_a_state_is_believed(
    states: str, status: int, body: bytes, state: str
) -> None:
    headers = Headers([(b"Content-Type", b"application/json")])
    assert look(states).found(view(), status, headers, body) == state
