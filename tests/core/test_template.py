import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.call import Identity
from sidecar.core.field import TemplateError
from sidecar.core.refusal import Refusal
from sidecar.core.template import LONGEST_NAME, Template
from sidecar.core.view import View
from tests.core.calls import FORM, JSON, WHO, call, view

REQUEST = view(
    call(
        "PATCH",
        "http://api.test/deals/42?expand=a&tag=x&tag=y&empty=",
        JSON | {"X-Ref": " AB-12 ", "X-Many": "1"},
    ),
    json.dumps(
        {
            "charge": "ch_1",
            "amount": 5,
            "rate": 2.5,
            "whole": 3.0,
            "on": True,
            "none": None,
            "empty": "",
            "inputs": [{"id": "1"}, {"id": 2}],
            "gaps": [{"id": "1"}, {}],
            "nothing": [],
            "props": {"b": 1, "a": 2},
        }
    ).encode(),
    {"id": "42"},
)
FORM_REQUEST = view(
    call("POST", "http://api.test/refunds", FORM), b"charge=ch_1&amount=5&metadata[order_id]=7&to[]=a&to[]=b"
)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("deal:{path.id}", ["deal:42"]),
        ("all", ["all"]),
        ("{path}", ["/deals/42"]),
        ("crm:{path}", ["crm:/deals/42"]),
        ("charge:{body.charge}", ["charge:ch_1"]),
        ("n:{body.amount}", ["n:5"]),
        ("n:{body.whole}", ["n:3"]),
        ("n:{body.rate}", ["n:2.5"]),
        ("n:{body.on}", ["n:true"]),
        ("contact:{body.inputs[*].id}", ["contact:1", "contact:2"]),
        ("{query.expand}", ["a"]),
        ("{query.tag}", ["x", "y"]),
        ("{header.x-ref}", [" AB-12 "]),
        ("{header.X-Ref|trim|lower}", ["ab-12"]),
        ("{header.X-Ref|digits}", ["12"]),
        ("{body.inputs[*].id|digits}", ["1", "2"]),
        ("{tenant} {workflow} {run}", ["acme dunning run-7"]),
        ("{method} {host}", ["PATCH api.test"]),
        ("{{x}} {path.id}", ["{x} 42"]),
        ("{path.id}-{query.tag}", ["42-x", "42-y"]),
        ("{body.inputs[?id=='1'].id}", ["1"]),
        ('{body."charge"}', ["ch_1"]),
        ("{body.{c: charge}.c}", ["ch_1"]),
    ],
)
def test_names_of_entities(text: str, names: list[str]) -> None:
    assert Template.parse(text).names(REQUEST) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{form.charge}", ["ch_1"]),
        ("{body.metadata.order_id}", ["7"]),
        ("{form.metadata.order_id}", ["7"]),
        ("{form.to}", ["a", "b"]),
    ],
)
def test_forms_are_read_like_json(text: str, names: list[str]) -> None:
    assert Template.parse(text).names(FORM_REQUEST) == names


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("deal:{body.missing}", "body.missing"),
        ("deal:{body.none}", "body.none"),
        ("deal:{body.empty}", "body.empty"),
        ("deal:{body.gaps[*].id}", "body.gaps[*].id"),
        ("deal:{body.nothing}", "body.nothing"),
        ("deal:{body.props}", "body.props"),
        ("deal:{body.inputs}", "body.inputs"),
        ("deal:{query.nope}", "query.nope"),
        ("deal:{query.empty}", "query.empty"),
        ("deal:{header.nope}", "header.nope"),
        ("deal:{form.charge}", "form.charge"),
        ("deal:{path|digits|trim} {body.charge|digits} {header.x-ref}x{body.on|digits}", "body.on|digits"),
    ],
)
def test_no_value_no_key_and_the_refusal_names_the_field_alone(text: str, field: str) -> None:
    with pytest.raises(Refusal) as no:
        Template.parse(text).names(REQUEST)
    assert no.value.code == "key-underivable"
    assert f"{{{field}}}" in no.value.detail
    assert "ch_1" not in no.value.detail


def test_a_run_that_nobody_named_is_no_value() -> None:
    anonymous = Identity("acme", "dunning", "", "interactive")
    with pytest.raises(Refusal, match="key-underivable"):
        Template.parse("{run}").names(view(who=anonymous))


def test_record_1_is_record_1_whoever_wrote_it_but_two_requests() -> None:
    def request(identifier: Any) -> View:
        return view(call(headers=JSON), json.dumps({"id": identifier}).encode())

    template = Template.parse("deal:{body.id}")
    assert template.names(request(1)) == template.names(request("1")) == template.names(request(1.0))
    assert template.key(request(1)) != template.key(request("1"))


def test_a_key_keeps_types_and_objects_whole_whatever_their_order() -> None:
    template = Template.parse("{path.id} {body.props} {query.tag} {body.inputs}")
    assert template.key(REQUEST) == '4:"42" 13:{"a":2,"b":1} 9:["x","y"] 21:[{"id":"1"},{"id":2}]'


def test_the_whole_body_is_a_key_whatever_its_layout() -> None:
    template = Template.parse("{path.id} {body}")
    one = view(call(headers=JSON), b'{"a":1,"b":2}', {"id": "1"})
    two = view(call(headers=JSON), b'{ "b": 2, "a": 1 }', {"id": "1"})
    assert template.key(one) == template.key(two)
    assert template.key(one) != template.key(view(call(headers=JSON), b'{"a":1}', {"id": "1"}))
    assert Template.parse("{body}").names(one) == Template.parse("{body}").names(two)


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
rows = st.tuples(texts, texts, texts)


@pytest.mark.parametrize(
    "text", ["{path.a} {path.b} {path.c}", "x{path.a}-{path.b}%{path.c}y", "{path.a}1{path.b}::{path.c}"]
)
@given(one=rows, two=rows)
def test_two_lists_of_values_never_give_one_key(
    text: str, one: tuple[str, ...], two: tuple[str, ...]
) -> None:
    template = Template.parse(text)
    first, second = (view(params=dict(zip("abc", row, strict=True))) for row in (one, two))
    assert (template.key(first) == template.key(second)) == (one == two)
    assert (template.names(first) == template.names(second)) == (one == two)


def test_an_escape_in_a_value_is_no_escape_of_ours() -> None:
    template = Template.parse("{path.a} {path.b}")
    assert template.names(view(params={"a": "x y", "b": "z"})) != template.names(
        view(params={"a": "x%20y", "b": "z"})
    )


def test_a_value_alone_in_its_name_is_written_as_it_is() -> None:
    assert Template.parse("deal:{path.a}").names(view(params={"a": "x y:z%"})) == ["deal:x y:z%"]
    assert Template.parse("deal:{path.a}:{path.b}").names(view(params={"a": "x:y", "b": "z"})) == [
        "deal:x%3Ay:z"
    ]


def test_a_long_name_ends_in_its_digest() -> None:
    one, two = (Template.parse("d:{path.a}").names(view(params={"a": "x" * 5000 + end}))[0] for end in "ab")
    assert len(one) == len(two) == LONGEST_NAME
    assert one != two


def test_more_names_than_one_call_may_lock_are_refused() -> None:
    ids = [{"id": n} for n in range(257)]
    many = view(call(headers=JSON), json.dumps({"a": ids, "b": ids[:20], "c": ids[:20]}).encode())
    for text in ("{body.a[*].id}", "{body.b[*].id}-{body.c[*].id}"):
        with pytest.raises(Refusal, match="more than 256 records"):
            Template.parse(text).names(many)


@pytest.mark.parametrize(
    ("text", "position", "complaint"),
    [
        ("deal:{bdy.id}", 6, "unknown source 'bdy'; did you mean 'body'?"),
        ("{zzz}", 1, "unknown source 'zzz'; known are path, query"),
        ("deal:{path.id|lowre}", 14, "unknown filter 'lowre'; did you mean 'lower'?"),
        ("deal:{path.kee}", 11, "unknown path parameter 'kee'; did you mean 'key'?"),
        ("deal:{path.}", 10, "'path' needs a field name"),
        ("{header}", 7, "'header' needs a field name, like {header.name}"),
        ("{form}", 5, "'form' needs a field name"),
        ("{tenant.x}", 7, "'tenant' has no fields; write {tenant}"),
        ("{body.a[}", 6, "not a JMESPath selector"),
        ("a {path.id", 2, "'{' is never closed"),
        ("a } b", 2, "'}' closes nothing"),
        ("{path.id}{method}", 9, "need text between them"),
        ("", 0, "cannot be empty"),
        ("  ", 0, "cannot be empty"),
        ("{}", 1, "unknown source ''"),
    ],
)
def test_a_bad_template_says_what_and_where(text: str, position: int, complaint: str) -> None:
    with pytest.raises(TemplateError) as error:
        Template.parse(text, frozenset({"id", "key"}))
    assert complaint in str(error.value)
    assert error.value.position == position


def test_a_path_without_parameters_says_so() -> None:
    with pytest.raises(TemplateError, match="the route's path has no parameter 'id'"):
        Template.parse("{path.id}", frozenset())


@given(st.text(max_size=40))
def test_any_text_is_a_template_or_an_error_inside_it(text: str) -> None:
    position = 0
    try:
        Template.parse(text)
    except TemplateError as error:
        position = error.position
    assert 0 <= position <= len(text)


def test_a_template_knows_whether_it_reads_the_body() -> None:
    assert Template.parse("{body.a}").reads_body
    assert Template.parse("{path} {form.a}").reads_body
    assert not Template.parse("{path} {header.a} {query}").reads_body


def test_tenant_is_read_from_the_identity() -> None:
    assert Template.parse("{tenant}").names(view(who=WHO)) == ["acme"]
