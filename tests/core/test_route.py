import pytest

from sidecar.core.condition import Condition
from sidecar.core.route import Base, DownstreamKey, IntentSpec
from sidecar.core.template import Template
from tests.core.calls import route, tool


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://api.test", Base("https", "api.test", 443, "")),
        ("http://API.test:8080/v1/", Base("http", "api.test", 8080, "/v1")),
        ("http://[::1]:9", Base("http", "::1", 9, "")),
        ("http://api.test.", Base("http", "api.test", 80, "")),
    ],
)
def test_an_upstream_is_an_origin_and_a_prefix(url: str, base: Base) -> None:
    assert Base.parse(url) == base


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.test",
        "ftp://api.test",
        "http://",
        "http://u:p@api.test",
        "http://a/?x=1",
        "http://a/#x",
        "http://a:x",
        "http://a:99999",
    ],
)
def test_a_bad_upstream_says_so(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Base.parse(url)


BODY, HEAD = Template.parse("{body.a}"), Template.parse("{header.a}")
IN_BODY, IN_HEADER = (DownstreamKey(place, "k") for place in ("body", "header"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "downstream", "reads"),
    [
        ({}, None, False),
        ({"locks": (HEAD,)}, None, False),
        ({"locks": (HEAD, BODY)}, None, True),
        ({"when": Condition.parse("has(body.x)")}, None, True),
        ({"when": Condition.parse("method == 'x'")}, None, False),
        ({"intent": IntentSpec()}, None, True),
        ({"intent": IntentSpec(HEAD, "ignore")}, None, False),
        ({"intent": IntentSpec(BODY, "ignore")}, None, True),
        ({"intent": IntentSpec(HEAD, "trust")}, None, True),
        ({"intent": IntentSpec(HEAD, "ignore")}, IN_HEADER, False),
        ({"intent": IntentSpec(HEAD, "ignore")}, IN_BODY, True),
        ({}, IN_BODY, False),
    ],
)
def test_a_route_knows_whether_it_looks_into_the_body(
    fields: dict[str, object], downstream: DownstreamKey | None, reads: bool
) -> None:
    assert route(tool(downstream=downstream), "x", **fields).reads_body is reads
