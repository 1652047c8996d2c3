import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.call import Call, Headers, Identity
from sidecar.core.condition import Condition
from sidecar.core.pattern import HostPattern, canonical_path
from sidecar.core.refusal import Refusal
from sidecar.core.route import Base
from sidecar.core.table import Site, Table, unreachable
from sidecar.core.template import Template
from tests.core.calls import FLEET, JSON, LANES, WHO, call, match, route, table, tool

CRM = tool()
ROUTES = (
    route(CRM, "batch", "POST", "/deals/batch"),
    route(CRM, "big", "POST", "/deals/{id}", when=Condition.parse("body.amount > 100")),
    route(CRM, "urgent", "POST", "/deals/{id}", when=Condition.parse("header['x-urgent'] == 'yes'")),
    route(CRM, "deal", "POST PATCH", "/deals/{id}"),
    route(CRM, "any", "", "/deals/{id}/notes/{note}"),
    route(CRM, "files", "GET", "/files/{rest...}", lane="read"),
    route(CRM, "late", "POST", "/deals/batch"),
)
TABLE = table(CRM, *ROUTES)


def taken(method: str, path: str, body: bytes = b"", its: Table = TABLE, **headers: str) -> str:
    made = call(method, f"http://api.test{path}", JSON | {n.replace("_", "-"): v for n, v in headers.items()})
    return match(its, made, body).route.name


@pytest.mark.parametrize(
    ("method", "path", "body", "name"),
    [
        ("POST", "/deals/batch", b"{}", "batch"),
        ("POST", "/deals/7", b'{"amount":500}', "big"),
        ("POST", "/deals/7", b'{"amount":5}', "deal"),
        ("POST", "/deals/7", b"", "deal"),
        ("PATCH", "/deals/7", b'{"amount":500}', "deal"),
        ("PATCH", "/deals/batch", b"", "deal"),
        ("DELETE", "/deals/7/notes/1", b"", "any"),
        ("LINK", "/deals/7/notes/1", b"", "any"),
        ("GET", "/files", b"", "files"),
        ("GET", "/files/a/b/c", b"", "files"),
        ("PUT", "/deals/7", b"", "default"),
        ("GET", "/", b"", "default"),
        ("POST", "/x/../deals//7/", b'{"amount":500}', "big"),
        ("POST", "/%64eals/%62atch", b"", "batch"),
    ],
)
def test_the_first_route_in_file_order_takes_the_call(method: str, path: str, body: bytes, name: str) -> None:
    assert taken(method, path, body) == name


def test_a_condition_may_read_the_head() -> None:
    assert taken("POST", "/deals/7", x_urgent="yes") == "urgent"


@pytest.mark.parametrize(
    ("method", "lane", "locks", "gated"),
    [("GET", "read", 0, False), ("HEAD", "read", 0, False), ("OPTIONS", "read", 0, False)]
    + [(method, "write", 1, True) for method in ("POST", "PUT", "PATCH", "DELETE", "TRACE", "LINK")],
)
def test_what_no_route_names_has_the_default_route(method: str, lane: str, locks: int, gated: bool) -> None:
    matched = match(TABLE, call(method, "http://api.test/other"))
    assert (matched.route.name, matched.route.lane.name) == ("default", lane)
    assert (len(matched.route.locks), matched.route.intent is not None) == (locks, gated)


def test_a_condition_that_nothing_follows_falls_to_the_default_route() -> None:
    its = table(CRM, route(CRM, "big", "POST", "/deals/{id}", when=Condition.parse("body.amount > 100")))
    assert taken("POST", "/deals/7", b'{"amount":5}', its) == "default"
    assert taken("POST", "/deals/7", b'{"amount":500}', its) == "big"


def test_parameters_are_read_from_the_route_that_took_the_call() -> None:
    matched = match(TABLE, call("PATCH", "http://api.test/deals/a%2Fb"))
    assert matched.view.params == {"id": "a/b"}
    assert match(TABLE, call("GET", "http://api.test/other")).view.params == {}


def test_the_body_is_read_only_where_something_looks_into_it() -> None:
    lock = (Template.parse("deal:{body.id}"),)
    its = table(
        CRM,
        route(CRM, "plain", "POST", "/plain"),
        route(CRM, "locked", "POST", "/locked", locks=lock, body_limit=7),
        route(CRM, "first", "POST", "/twice"),
        route(CRM, "second", "POST", "/twice", locks=lock),
        route(CRM, "maybe", "POST", "/maybe", when=Condition.parse("tenant == 'x'")),
    )

    def choice(path: str, method: str = "POST") -> tuple[bool, int]:
        found = its.match(call(method, f"http://api.test{path}"))
        return found.reads_body, found.body_limit

    assert choice("/plain") == (False, 1 << 20)
    assert choice("/twice") == (False, 1 << 20)  # the first takes it, whatever stands behind
    assert choice("/locked") == (True, 7)
    assert choice("/maybe") == (True, 1 << 20)  # the default route it may fall to has an intent
    assert choice("/other", "GET") == (False, 1 << 20)


HOSTS = Table(
    [
        Site.of(tool(name=name, hosts=tuple(map(HostPattern.parse, hosts)), base=base), [], LANES, FLEET)
        for name, hosts, base in (
            ("exact", ["api.example.com"], None),
            ("port", ["api.example.com:8443"], None),
            ("below", ["*.example.com"], None),
            ("deeper", ["*.eu.example.com"], None),
            ("based", [], Base.parse("https://based.test/v1")),
        )
    ],
    FLEET,
)


@pytest.mark.parametrize(
    ("host", "port", "name"),
    [
        ("api.example.com", 443, "exact"),
        ("api.example.com", 80, "exact"),
        ("api.example.com", 8443, "port"),
        ("other.example.com", 443, "below"),
        ("a.b.example.com", 443, "below"),
        ("x.eu.example.com", 443, "deeper"),
        ("example.com", 443, ""),
        ("notexample.com", 443, ""),
        ("api.example.com.evil.test", 443, ""),
    ],
)
def test_a_host_belongs_to_the_closest_pattern(host: str, port: int, name: str) -> None:
    made = call("GET", "http://x/")._replace(host=host, port=port)
    assert match(HOSTS, made).route.tool.name == name


def test_an_unmatched_host_passes_with_an_empty_route_or_is_denied() -> None:
    elsewhere = call("POST", "https://elsewhere.test/a/../b%zz")
    matched = match(TABLE, elsewhere, b"x")
    assert (matched.route.name, matched.route.tool.name, matched.route.intent, matched.route.locks) == (
        "",
        "",
        None,
        (),
    )
    with pytest.raises(Refusal) as no:
        table(CRM, unmatched="deny").match(elsewhere)
    assert no.value.code == "egress-denied"
    assert "'elsewhere.test'" in no.value.detail
    assert "crm" in no.value.detail


def test_connect_is_never_matched_to_a_route_but_may_be_denied() -> None:
    for its in (TABLE, table(CRM, unmatched="deny")):
        assert match(its, call("CONNECT")._replace(path="")).route.name == ""
    with pytest.raises(Refusal, match="egress-denied"):
        table(CRM, unmatched="deny").match(call("CONNECT", "https://elsewhere.test/"))


def test_the_reverse_form_names_its_tool() -> None:
    reverse = call("POST", "http://x/deals/7")._replace(host="", port=0, intake="reverse", tool="crm")
    matched = match(TABLE, reverse)
    assert matched.route.name == "deal"
    assert matched.view.host == "api.test"
    assert match(HOSTS, reverse._replace(tool="based")).view.host == "based.test"


@pytest.mark.parametrize("name", ["crn", "below", ""])
def test_an_unknown_tool_in_the_reverse_form_is_told_which_there_are(name: str) -> None:
    with pytest.raises(Refusal) as no:
        HOSTS.match(call()._replace(host="", port=0, intake="reverse", tool=name))
    assert no.value.code == "bad-request"
    assert "based, exact, port" in no.value.detail


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-Method-Override", "x-http-method"])
def test_a_method_override_is_refused_since_nobody_knows_who_honours_it(name: str) -> None:
    with pytest.raises(Refusal) as no:
        match(TABLE, call("POST", "http://api.test/deals/7", {name: "DELETE"}))
    assert no.value.code == "bad-request"
    assert match(TABLE, call("POST", "http://api.test/deals/7", {name: "post"})).route.name == "deal"
    assert match(TABLE, call("POST", "http://elsewhere.test/", {name: "DELETE"})).route.name == ""


def test_a_method_override_in_the_query_is_refused_too() -> None:
    with pytest.raises(Refusal, match="bad-request"):
        match(TABLE, call("POST", "http://api.test/deals/7?_method=delete"))
    assert match(TABLE, call("POST", "http://api.test/deals/7?my_method=delete")).route.name == "deal"


def test_a_path_that_servers_read_differently_is_refused_at_a_tools_host_only() -> None:
    with pytest.raises(Refusal, match="bad-request"):
        TABLE.match(call("POST", "http://api.test/a/..%2fdeals/7"))


def test_a_redirected_connection_to_a_tool_is_opened_or_refused_and_never_blind() -> None:
    https = Call.of_url("c", "CONNECT", "api.test:443", Headers([]))
    other = https._replace(host="other.test")
    seeing = Table(TABLE.sites, FLEET, intercepts=True)
    assert seeing.opens(https._replace(address="198.51.100.7"))
    assert not TABLE.opens(https), "who says CONNECT himself is tunnelled"
    assert TABLE.opens(https._replace(address="198.51.100.7", scheme="http"))
    for table_ in (seeing, TABLE):
        assert not table_.opens(other._replace(address="198.51.100.7"))
    with pytest.raises(Refusal) as refused:
        TABLE.opens(https._replace(address="198.51.100.7"))
    assert refused.value.code == "egress-denied"


def test_routes_that_can_never_match_are_found() -> None:
    found = [(later.name, earlier.name) for later, earlier in unreachable(ROUTES)]
    assert found == [("late", "batch")]
    assert unreachable([ROUTES[3], ROUTES[0]]) == [(ROUTES[0], ROUTES[3])]
    assert unreachable([ROUTES[1], ROUTES[3]]) == []
    assert unreachable([ROUTES[0], ROUTES[3]]) == []


words = st.sampled_from(["a", "b", "c"])
patterns = st.lists(words | st.sampled_from(["{p}", "{q}", "{r}"]), min_size=1, max_size=4, unique=True)


@given(st.lists(st.tuples(patterns, st.booleans()), max_size=6), st.lists(words, min_size=1, max_size=5))
def test_the_index_finds_what_trying_every_route_in_turn_would_find(
    written: list[tuple[list[str], bool]], path: list[str]
) -> None:
    routes = [
        route(CRM, str(number), "POST", "/" + "/".join([*parts, "{tail...}"] if tail else parts))
        for number, (parts, tail) in enumerate(written)
    ]
    made = call("POST", "http://api.test/" + "/".join(path))
    expected = next(
        (r.name for r in routes if r.path.match(canonical_path(made.path)[1:].split("/"))), "default"
    )
    assert match(table(CRM, *routes), made).route.name == expected


def test_who_calls_is_part_of_what_conditions_see() -> None:
    its = table(CRM, route(CRM, "mine", "POST", "/x", when=Condition.parse("tenant == 'acme'")))
    made = call("POST", "http://api.test/x")
    assert match(its, made, who=WHO).route.name == "mine"
    assert match(its, made, who=Identity("other", "w", "", "interactive")).route.name == "default"
