import pytest

from sidecar.core.call import Call, Headers
from sidecar.core.derive import derive
from sidecar.core.headers import NAMES_LIMIT, Departures, end_to_end, outbound_body, relayed, stored
from sidecar.core.identity import Identities, Rule, Source
from sidecar.core.outbound import Outbound
from sidecar.core.pattern import HostPattern
from sidecar.core.route import Base, DownstreamKey, IntentSpec, Tool
from sidecar.core.table import Matched
from sidecar.core.template import Template
from tests.core.calls import JSON, call, match, route, table, tool

CRM = tool()
Fields = list[tuple[bytes, bytes]]


def leaving(
    made: Call, its: Tool = CRM, identities: Identities | None = None, origin: str = "call-1"
) -> Outbound:
    matched = match(table(its), made)
    return Departures((identities or Identities()).strip).outbound(matched, derive(matched), origin)


def crossing(*fields: tuple[str, str]) -> list[tuple[str, str]]:
    made = call("GET")
    raw = [(name.encode(), value.encode()) for name, value in fields]
    left = leaving(made._replace(headers=Headers([*made.headers.raw, *raw])))
    assert left.headers[0] == (b"Host", b"api.test")
    assert left.headers[-1] == (b"Via", b"1.1 agent-sidecar")
    return [(name.decode(), value.decode()) for name, value in left.headers[1:-1]]


@pytest.mark.parametrize(
    "field",
    [
        ("Connection", "keep-alive"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("proxy-authorization", "Basic x"),
        ("PROXY-ANYTHING", "x"),
        ("TE", "trailers"),
        ("Transfer-Encoding", "chunked"),
        ("Content-Length", "5"),
        ("Upgrade", "h2c"),
        ("Expect", "100-continue"),
        ("X-Agent-Tenant", "acme"),
        ("x-agent-run-end", "1"),
        ("X-AGENT-NEWER", "x"),
        ("Host", "other.test"),
    ],
)
def test_what_is_the_hops_or_ours_stays_here(field: tuple[str, str]) -> None:
    assert crossing(field, ("X-Kept", "1")) == [("X-Kept", "1")]


def test_everything_else_keeps_its_spelling_order_and_bytes() -> None:
    fields = [
        ("aCCept", "*/*"),
        ("Trailer", "X-T"),
        ("Via", "1.0 other"),
        ("Cookie", "a=1"),
        ("X-Twice", "1"),
        ("X-Twice", "2"),
        ("traceparent", "00-x"),
        ("Authorization", "Bearer x"),
        ("Idempotency-Key", "k"),
    ]
    assert crossing(*fields) == fields


def test_fields_that_connection_names_stay_here() -> None:
    assert (
        crossing(("Connection", "X-Hop, close"), ("connection", "X-Two"), ("X-Hop", "1"), ("x-two", "2"))
        == []
    )


def test_a_second_connection_field_behind_a_plain_one_names_fields_too() -> None:
    named = (("Connection", "keep-alive"), ("Connection", "X-Hop"), ("X-Hop", "1"), ("A", "b"))
    assert crossing(*named) == [("A", "b")]
    raw = [(name.encode(), value.encode()) for name, value in named]
    assert (b"X-Hop", b"1") not in relayed(Headers(raw))
    assert (b"X-Hop", b"1") not in stored(Headers(raw))


def test_an_upgrade_request_keeps_both_of_its_fields_and_nothing_else_of_its_connection() -> None:
    asked = [
        ("Connection", "keep-alive, Upgrade, X-Hop"),
        ("Upgrade", "websocket"),
        ("X-Hop", "1"),
        ("A", "b"),
    ]
    assert crossing(*asked) == [("A", "b"), ("Connection", "Upgrade"), ("Upgrade", "websocket")]


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("tenant=acme", None),
        ("tenant=acme,user=7", "user=7"),
        ("user=7, tenant = acme;p=1 ,x=1", "user=7,x=1"),
        ("ten%61nt=acme", None),
        ("tenants=1", "tenants=1"),
        ("user=7", "user=7"),
    ],
)
def test_identity_leaves_the_baggage_and_the_rest_travels_on(value: str, left: str | None) -> None:
    assert crossing(("baggage", value)) == ([("baggage", left)] if left else [])


def test_headers_that_config_reads_identity_from_stay_here() -> None:
    team = Identities(tenant=Rule((Source.parse("header:X-Team"), Source.parse("header:Authorization"))))
    made = call("GET", headers={"X-Team": "a", "Authorization": "Bearer x"})
    assert [name for name, _ in leaving(made, identities=team).headers] == [b"Host", b"Authorization", b"Via"]


@pytest.mark.parametrize(
    ("url", "base", "host", "port", "authority", "target"),
    [
        ("http://api.test/a%2Fb?x=%20&y", None, "api.test", 80, b"api.test", b"/a%2Fb?x=%20&y"),
        ("https://api.test/", None, "api.test", 443, b"api.test", b"/"),
        ("http://api.test/a", "https://real.test", "real.test", 443, b"real.test", b"/a"),
        ("http://api.test/a", "http://real.test:8080/v1/", "real.test", 8080, b"real.test:8080", b"/v1/a"),
        ("http://api.test/a//../b", "http://[::1]:80", "::1", 80, b"[::1]", b"/a//../b"),
        ("http://api.test/a", "http://[::1]:81", "::1", 81, b"[::1]:81", b"/a"),
    ],
)
def test_a_call_goes_where_its_target_or_its_tools_upstream_says(
    url: str, base: str | None, host: str, port: int, authority: bytes, target: bytes
) -> None:
    left = leaving(call("GET", url), tool(base=Base.parse(base) if base else None))
    assert (left.host, left.port, left.headers[0], left.target) == (host, port, (b"Host", authority), target)


def test_options_star_and_the_reverse_form_are_sent_in_their_own_way() -> None:
    assert leaving(call("OPTIONS")._replace(path="*")).target == b"*"
    reverse = call("GET")._replace(host="", port=0, intake="reverse", tool="crm")
    left = leaving(reverse)
    assert (left.scheme, left.host, left.port) == ("https", "api.test", 443)
    other = leaving(reverse, tool(hosts=(HostPattern.parse("*.x.test"), HostPattern.parse("api.test:8443"))))
    assert (other.host, other.port, other.headers[0][1]) == ("api.test", 8443, b"api.test:8443")


def test_a_foreign_call_passes_as_it_is() -> None:
    left = leaving(call("POST", "http://elsewhere.test/a/../b?x#y"))
    assert (left.host, left.target, left.safe) == ("elsewhere.test", b"/a/../b?x#y", False)


@pytest.mark.parametrize(
    ("method", "safe"), [("GET", True), ("HEAD", True), ("POST", False), ("PUT", False), ("DELETE", False)]
)
def test_only_a_safe_method_may_be_written_twice(method: str, safe: bool) -> None:
    assert leaving(call(method)).safe is safe


def keyed(place: str, name: str, max_length: int = 255, explicit: str = "trust") -> Tool:
    return tool(downstream=DownstreamKey(place, name, max_length=max_length))  # type: ignore[arg-type]


def sent(
    its: Tool, made: Call, body: bytes = b'{"a":1}', origin: str = "call-1", explicit: str = "trust"
) -> tuple[Outbound, bytes]:
    taken = route(its, "x", intent=IntentSpec(explicit=explicit))  # type: ignore[arg-type]
    matched: Matched = match(table(its, taken), made, body)
    claim = derive(matched)
    return Departures(Identities().strip).outbound(matched, claim, origin), outbound_body(
        matched, claim, origin, body
    )


def value_of(left: Outbound, name: bytes) -> list[bytes]:
    return [value for key, value in left.headers if key.lower() == name]


HEADER = keyed("header", "Idempotency-Key")


def test_a_resend_carries_the_key_of_the_first_attempt_and_a_new_run_another() -> None:
    made = call(headers=JSON)
    first, resent, anew = (
        value_of(sent(HEADER, made._replace(id=name), origin=origin)[0], b"idempotency-key")
        for name, origin in (("call-1", "call-1"), ("call-2", "call-1"), ("call-3", "call-3"))
    )
    assert first == resent
    assert first != anew
    assert len(first) == 1
    assert first[0].startswith(b"sc-")


def test_a_trusted_key_stays_the_callers_and_an_ignored_one_is_replaced() -> None:
    made = call(headers=JSON | {"X-A": "1", "idempotency-KEY": "mine", "X-B": "2"})
    assert value_of(sent(HEADER, made)[0], b"idempotency-key") == [b"mine"]
    left = sent(HEADER, made, explicit="ignore")[0]
    assert value_of(left, b"idempotency-key")[0].startswith(b"sc-")
    assert [name for name, _ in left.headers[2:-1]] == [b"X-A", b"Idempotency-Key", b"X-B"]


def test_a_trusted_key_is_written_where_the_upstream_reads_it() -> None:
    made = call(headers=JSON | {"Idempotency-Key": "mine"})
    left = sent(keyed("header", "PayPal-Request-Id"), made)[0]
    assert value_of(left, b"paypal-request-id") == value_of(left, b"idempotency-key") == [b"mine"]
    assert sent(keyed("query", "requestid"), made)[0].target == b"/notes?requestid=mine"


def test_a_key_is_cut_to_what_the_upstream_takes() -> None:
    short = keyed("header", "Idempotency-Key", 20)
    assert len(value_of(sent(short, call(headers=JSON))[0], b"idempotency-key")[0]) == 20
    long = call(headers=JSON | {"Idempotency-Key": "x" * 50})
    one, two = (value_of(sent(short, long, origin=origin)[0], b"idempotency-key")[0] for origin in "ab")
    assert one == two  # his key names the request, whichever attempt this is
    assert len(one) == 20


def test_a_key_in_the_query_leaves_the_other_parameters_byte_for_byte() -> None:
    its = keyed("query", "request id")
    left, _ = sent(
        its, call("POST", "http://api.test/n?a=%20b&request%20id=old&c&a=+", JSON), explicit="ignore"
    )
    query = left.target.partition(b"?")[2]
    assert query.startswith(b"a=%20b&c&a=+&request%20id=sc-")


@pytest.mark.parametrize(
    ("body", "start"),
    [
        (b'{"a":1}', b'{"idempotency_key":"sc-'),
        (b' {"a": 1.10}', b' {"idempotency_key":"sc-'),
        (b"{}", b'{"idempotency_key":"sc-'),
    ],
)
def test_a_key_in_a_json_body_leaves_the_rest_byte_for_byte(body: bytes, start: bytes) -> None:
    left = sent(keyed("body", "idempotency_key"), call(headers=JSON), body)[1]
    assert left.startswith(start)
    assert left.endswith(body.lstrip()[1:])
    assert left.count(b",") == (b"a" in body)


def test_a_key_that_stands_in_the_body_already_is_replaced_unless_it_is_trusted() -> None:
    its, body = keyed("body", "key"), b'{"key":"mine","a":1}'
    assert b'"key":"mine"' in sent(its, call(headers=JSON), body)[1]
    left = sent(its, call(headers=JSON), body, explicit="ignore")[1]
    assert b"mine" not in left
    assert left.count(b'"key"') == 1


def test_a_key_in_a_form_is_one_more_field() -> None:
    made = call(headers={"Content-Type": "application/x-www-form-urlencoded"})
    left = sent(keyed("body", "key"), made, b"a=%20&key=old&b", explicit="ignore")[1]
    assert left.startswith(b"a=%20&b&key=sc-")


def test_a_call_without_intent_gets_no_key() -> None:
    its = keyed("header", "Idempotency-Key")
    matched = match(table(its, route(its, "x", intent=None)), call(headers=JSON))
    left = Departures(Identities().strip).outbound(matched, derive(matched), "call-1")
    assert value_of(left, b"idempotency-key") == []
    assert outbound_body(matched, derive(matched), "call-1", b"x") == b"x"


def test_an_answer_goes_back_without_the_hops_fields_and_without_a_forged_verdict() -> None:
    fields: Fields = [
        (b"Content-Type", b"text/plain"),
        (b"Set-Cookie", b"a=1"),
        (b"set-cookie", b"b=1"),
        (b"Trailer", b"X-T"),
    ]
    hops: Fields = [
        (b"Connection", b"close, X-Hop"),
        (b"X-Hop", b"1"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Content-Length", b"5"),
        (b"Keep-Alive", b"1"),
        (b"Upgrade", b"h2"),
        (b"Proxy-Authenticate", b"Basic"),
        (b"Sidecar-Verdict", b"replayed"),
    ]
    assert relayed(Headers([*fields, *hops])) == [*fields, (b"Via", b"1.1 agent-sidecar")]
    assert end_to_end([*hops[2:4], (b"X-T", b"1")]) == [(b"X-T", b"1")]


def test_an_answer_that_switches_protocols_says_to_which() -> None:
    headers = Headers(
        [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"), (b"Sec-WebSocket-Accept", b"x")]
    )
    assert relayed(headers, switching=True) == [
        (b"Sec-WebSocket-Accept", b"x"),
        (b"Connection", b"Upgrade"),
        (b"Upgrade", b"websocket"),
        (b"Via", b"1.1 agent-sidecar"),
    ]
    assert relayed(headers) == [(b"Sec-WebSocket-Accept", b"x"), (b"Via", b"1.1 agent-sidecar")]


def test_inventing_names_fills_no_memory() -> None:
    departures = Departures(Identities().strip)
    matched = match(table(CRM), call("GET"))
    for number in range(NAMES_LIMIT + 10):
        made = matched.view.call._replace(
            headers=Headers([(b"X-%d" % number, b"1"), (b"proxy-%d" % number, b"1")])
        )
        seen = match(table(CRM), made) if number == 0 else Matched(matched.route, _with(matched, made))
        left = departures.outbound(seen, derive(seen), "x")
        assert left.headers[1] == (b"X-%d" % number, b"1")
        assert len(left.headers) == 3
    assert len(departures._crossing) <= NAMES_LIMIT


def _with(matched: Matched, made: Call) -> "Matched.view":  # type: ignore[name-defined]
    view = matched.view
    return type(view)(made, view.who, view.host, view.path, view.content, view.params)


def test_a_lock_does_not_change_what_is_sent() -> None:
    its = table(CRM, route(CRM, "x", locks=(Template.parse("a:{path}"),)))
    matched = match(its, call("PUT", "http://api.test/a//b/"))
    assert Departures(Identities().strip).outbound(matched, derive(matched), "x").target == b"/a//b/"
