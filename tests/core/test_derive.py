import json
from dataclasses import replace
from itertools import combinations

import pytest

from sidecar.core.call import Headers
from sidecar.core.claim import Claim
from sidecar.core.derive import derive
from sidecar.core.pattern import HostPattern
from sidecar.core.refusal import Refusal
from sidecar.core.route import Base, DownstreamKey, IntentSpec, Route, StoreSpec, Tool
from sidecar.core.table import Matched
from sidecar.core.template import Template
from tests.core.calls import JSON, WHO, call, match, route, table, tool, view

BODY = b'{"text":"hi","n":1}'
DAY_MS = 86_400_000
CRM = tool(caps={"write": 2})


def claim(
    spec: IntentSpec | None = None,
    *,
    its: Tool = CRM,
    method: str = "POST",
    url: str = "http://api.test/notes",
    headers: dict[str, str] | None = None,
    body: bytes = BODY,
    who: object = WHO,
    **fields: object,
) -> Claim:
    made = call(method, url, JSON | (headers or {}))
    taken = route(its, "note.create", intent=spec or IntentSpec(), **fields)
    return derive(Matched(taken, view(made, body, {"id": "42"}, who)))  # type: ignore[arg-type]


def key(**options: object) -> str:
    intent = claim(**options).intent  # type: ignore[arg-type]
    assert intent is not None
    return intent.key


def test_a_default_write_is_locked_on_its_path_and_remembered_for_a_minute() -> None:
    claimed = derive(match(table(CRM), call("PATCH", "http://api.test/deals/42/", JSON), BODY))
    assert claimed.intent is not None
    assert (claimed.tool, claimed.route, claimed.lane, claimed.locks) == (
        "crm",
        "default",
        "write",
        ("crm:/deals/42",),
    )
    assert (claimed.intent.until, claimed.intent.window_ms, claimed.intent.fingerprint) == (
        "change",
        60_000,
        "",
    )
    assert [cap.name for cap in claimed.caps] == [
        "tool:crm:write",
        "run:acme/run-7",
        "workflow:acme/dunning",
        "tenant:acme",
        "lane:write",
        "global",
    ]
    assert (claimed.call, claimed.workflow, claimed.run, claimed.flow.tenant) == (
        "call-1",
        "dunning",
        "run-7",
        "acme",
    )
    assert (claimed.wait_ms, claimed.timeout_ms, claimed.store_down) == (10_000, 30_000, "refuse")


def test_a_default_read_and_a_foreign_call_ask_for_nothing() -> None:
    assert derive(match(table(tool()), call("GET", "http://api.test/deals"))).empty
    assert derive(match(table(tool()), call("POST", "http://elsewhere.test/deals"))).empty


@pytest.mark.parametrize(
    "same",
    [
        {"body": b'{ "n": 1, "text": "hi" }'},
        {"url": "http://api.test/notes/"},
        {"url": "http://api.test/x/../notes"},
        {"headers": {"X-Agent-Run": "other", "User-Agent": "x", "Accept": "y"}},
        {"url": "https://api.test/notes"},
        {"who": WHO._replace(run="other")},
        {"who": WHO._replace(workflow="other")},
        {"who": WHO._replace(priority="background")},
    ],
)
def test_twins_have_one_key(same: dict[str, object]) -> None:
    assert key(**same) == key()


OTHERS: list[dict[str, object]] = [
    {},
    {"body": b'{"text":"ho","n":1}'},
    {"body": b'{"text":"hi","n":"1"}'},
    {"body": b""},
    {"method": "PUT"},
    {"url": "http://api.test/other"},
    {"url": "http://api.test/notes?x=1"},
    {"url": "http://api.test/notes?x=2"},
    {"who": WHO._replace(tenant="other")},
    {"headers": {"Authorization": "Bearer a"}},
    {"headers": {"Authorization": "Bearer b"}},
    {"headers": {"X-Api-Key": "Bearer a"}},
    {"its": tool(name="erp")},
    {"headers": {"Idempotency-Key": "k"}},
    {"headers": {"Idempotency-Key": "k", "Authorization": "Bearer a"}},
    {"headers": {"Idempotency-Key": "k"}, "who": WHO._replace(tenant="other")},
    {"spec": IntentSpec(scope="workflow")},
    {"spec": IntentSpec(scope="run")},
    {"spec": IntentSpec(Template.parse("{body.text}"))},
    {"spec": IntentSpec(Template.parse("{body.text}"), scope="run")},
    {"spec": IntentSpec(Template.parse("note.create {body.text}"))},
]


@pytest.mark.parametrize(("one", "two"), list(combinations(OTHERS, 2)))
def test_whoever_or_whatever_differs_has_another_key(one: dict[str, object], two: dict[str, object]) -> None:
    assert key(**one) != key(**two)


def test_the_order_of_a_query_matters_among_repeats_only() -> None:
    def query(text: str) -> str:
        return key(url=f"http://api.test/notes?{text}")

    assert query("a=1&b=2") == query("b=2&a=1") == query("b=%32&a=1")
    assert query("a=1&a=2") != query("a=2&a=1")
    assert query("a=1&b=2") != query("a=1%26b=2")


def test_a_key_is_a_digest_and_shows_nothing_of_the_call() -> None:
    assert len(key()) == 40
    assert set(key()) <= set("0123456789abcdef")


def test_two_routes_with_one_template_are_two_intents() -> None:
    spec = IntentSpec(Template.parse("{path.id}"))
    seen = Matched(route(CRM, "update", intent=spec), view(call(), params={"id": "1"}))
    assert derive(seen).intent != derive(seen._replace(route=route(CRM, "delete", intent=spec))).intent


@pytest.mark.parametrize(
    ("scope", "run", "workflow"), [("tenant", True, True), ("workflow", True, False), ("run", False, False)]
)
def test_the_scope_says_among_whom_a_twin_is_a_twin(scope: str, run: bool, workflow: bool) -> None:
    spec = IntentSpec(scope=scope)  # type: ignore[arg-type]
    assert (key(spec=spec) == key(spec=spec, who=WHO._replace(run="other"))) == (run or scope != "run")
    assert (key(spec=spec) == key(spec=spec, who=WHO._replace(workflow="other"))) == (
        workflow or scope == "run"
    )


def test_the_scope_of_a_run_needs_a_run() -> None:
    with pytest.raises(Refusal) as no:
        claim(IntentSpec(scope="run"), who=WHO._replace(run=""))
    assert no.value.code == "key-underivable"
    assert "X-Agent-Run" in no.value.detail


def test_an_explicit_key_names_a_request_for_the_whole_retention() -> None:
    for method in ("POST", "PATCH"):
        intent = claim(method=method, headers={"Idempotency-Key": "k-1"}).intent
        assert intent is not None
        assert (intent.until, intent.window_ms) == ("window", DAY_MS)
        assert intent.fingerprint


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({}, True),
        ({"body": b'{"n":1,"text":"hi"}'}, True),
        ({"body": b'{"n":2,"text":"hi"}'}, False),
        ({"url": "http://api.test/other"}, False),
        ({"url": "http://api.test/notes?a=1"}, False),
        ({"method": "PUT"}, False),
    ],
)
def test_the_fingerprint_tells_whether_it_is_the_same_request(other: dict[str, object], same: bool) -> None:
    headers = {"Idempotency-Key": "k-1"}
    one, two = claim(headers=headers).intent, claim(headers=headers, **other).intent  # type: ignore[arg-type]
    assert one is not None
    assert two is not None
    assert one.key == two.key
    assert (one.fingerprint == two.fingerprint) == same


def test_a_quoted_key_and_a_bare_one_are_the_same() -> None:
    assert key(headers={"Idempotency-Key": '"k-1"'}) == key(headers={"Idempotency-Key": " k-1 "})


def test_what_an_explicit_key_counts_for_is_the_routes_to_say() -> None:
    said = {"Idempotency-Key": "k-1"}
    ignoring, requiring = IntentSpec(explicit="ignore"), IntentSpec(explicit="require")
    assert key(spec=ignoring, headers=said) == key(spec=ignoring)
    assert key(spec=requiring, headers=said) == key(headers=said)
    with pytest.raises(Refusal) as no:
        claim(requiring)
    assert (no.value.code, no.value.status) == ("bad-request", 400)


@pytest.mark.parametrize("value", ["", "x" * 256, "k\x01", "ké"])
def test_a_key_that_no_api_would_take_is_refused(value: str) -> None:
    with pytest.raises(Refusal) as no:
        claim(headers={"Idempotency-Key": value})
    assert no.value.code == "bad-request"


def test_two_different_keys_in_one_call_are_refused() -> None:
    made = call(headers=JSON | {"Idempotency-Key": "a"})
    for second, refused in ((b"a", False), (b"b", True)):
        raw = Headers([*made.headers.raw, (b"idempotency-key", second)])
        seen = Matched(route(CRM, "x", intent=IntentSpec()), view(made._replace(headers=raw), BODY))
        if refused:
            with pytest.raises(Refusal, match="bad-request"):
                derive(seen)
        else:
            assert derive(seen).intent is not None


@pytest.mark.parametrize(
    ("method", "until"),
    [("POST", "window"), ("GET", "window"), ("PUT", "change"), ("PATCH", "change"), ("DELETE", "change")],
)
def test_whether_a_change_ends_a_twin_depends_on_what_the_method_does(method: str, until: str) -> None:
    intent = claim(method=method).intent
    written = claim(IntentSpec(until="window"), method=method).intent
    assert intent is not None
    assert written is not None
    assert (intent.until, written.until) == (until, "window")


def resends(method: str = "POST", its: Tool = CRM, resolve: str | None = None) -> tuple[bool, int]:
    intent = claim(method=method, its=its, resolve=resolve).intent
    assert intent is not None
    return intent.resend, intent.resend_ms


KEYED = tool(downstream=DownstreamKey("header", "Idempotency-Key", DAY_MS))


@pytest.mark.parametrize(
    ("method", "its", "resolve", "answer"),
    [
        ("POST", CRM, None, (False, 0)),
        ("PATCH", CRM, None, (False, 0)),
        ("PUT", CRM, None, (True, 0)),
        ("DELETE", CRM, None, (True, 0)),
        ("PUT", CRM, "hold", (False, 0)),
        ("POST", CRM, "resend", (False, 0)),
        ("POST", KEYED, None, (True, DAY_MS - 60_000)),
        ("POST", KEYED, "resend", (True, DAY_MS - 60_000)),
        ("POST", KEYED, "hold", (False, 0)),
        ("POST", tool(downstream=DownstreamKey("header", "K", 20_000)), None, (False, 0)),
        ("PUT", tool(downstream=DownstreamKey("header", "K", 20_000)), None, (True, 0)),
    ],
)
def test_an_unknown_outcome_is_sent_again_only_where_twice_is_once(
    method: str, its: Tool, resolve: str | None, answer: tuple[bool, int]
) -> None:
    assert resends(method, its, resolve) == answer


def locks(*templates: str, body: object) -> tuple[str, ...]:
    parsed = tuple(map(Template.parse, templates))
    return claim(locks=parsed, body=json.dumps(body).encode()).locks


def test_locks_are_sorted_and_without_repeats() -> None:
    batch = {"inputs": [{"id": "b"}, {"id": "a"}, {"id": "b"}], "owner": "a"}
    assert locks("contact:{body.inputs[*].id}", "contact:{body.owner}", body=batch) == (
        "contact:a",
        "contact:b",
    )
    assert locks("contact:{body.owner}", body=batch) == ("contact:a",)
    assert locks("contact:{body.inputs[*].id}", body=batch) == ("contact:a", "contact:b")


def test_a_call_may_not_lock_more_than_256_records_in_all() -> None:
    ids = [{"id": n} for n in range(200)]
    with pytest.raises(Refusal, match="more than 256 records"):
        locks("a:{body.x[*].id}", "b:{body.x[*].id}", body={"x": ids})


def test_a_lock_that_cannot_be_derived_refuses_the_call() -> None:
    with pytest.raises(Refusal, match="key-underivable"):
        locks("contact:{body.id}", body={})


SHOPS = tool(name="shops", hosts=(HostPattern.parse("*.shops.test"),))


def test_two_places_of_one_tool_share_no_answer() -> None:
    one, two = "http://a.shops.test/notes", "http://b.shops.test/notes"
    assert key(its=SHOPS, url=one) != key(its=SHOPS, url=two)
    joined = replace(SHOPS, base=Base.parse("https://all.test"))
    assert key(its=joined, url=one) == key(its=joined, url=two)


def test_a_call_is_one_intent_whichever_door_it_came_by() -> None:
    forward = call("POST", "http://api.test/notes", JSON)
    reverse = forward._replace(host="", port=0, intake="reverse", tool="crm")
    one, two = (derive(match(table(CRM), made, BODY)) for made in (forward, reverse))
    assert (one.intent, one.locks) == (two.intent, two.locks)


@pytest.mark.parametrize(
    ("place", "urls", "bodies"),
    [
        ("query", ("http://api.test/notes?requestid=a", "http://api.test/notes?requestid=b"), (BODY, BODY)),
        ("body", ("http://api.test/notes",) * 2, (b'{"t":1,"requestid":"a"}', b'{"requestid":"b","t":1}')),
    ],
)
def test_a_key_that_an_sdk_mints_per_attempt_is_no_part_of_the_intent(
    place: str, urls: tuple[str, str], bodies: tuple[bytes, bytes]
) -> None:
    keyed = tool(downstream=DownstreamKey(place, "requestid"))  # type: ignore[arg-type]
    spec = IntentSpec(explicit="ignore")

    def derived(which: int, chosen: IntentSpec) -> Claim:
        taken = table(keyed, route(keyed, "x", "POST", "/notes", intent=chosen))
        return derive(match(taken, call("POST", urls[which], JSON), bodies[which]))

    assert derived(0, spec).intent == derived(1, spec).intent
    trusted = [derived(which, IntentSpec()).intent for which in (0, 1)]
    assert trusted[0] is not None
    assert trusted[1] is not None
    assert trusted[0].key != trusted[1].key
    assert trusted[0].fingerprint == trusted[1].fingerprint


def test_credentials_may_ride_in_the_query() -> None:
    keyed = tool(credentials=("query:api_key",))
    spec = IntentSpec(Template.parse("{body.text}"))
    one, two = ("http://api.test/notes?api_key=" + secret for secret in "ab")
    assert key(spec=spec, its=keyed, url=one) != key(spec=spec, its=keyed, url=two)


def test_what_the_route_says_arrives_in_the_claim() -> None:
    taken: Route = route(
        replace(CRM, timeout_ms=5_000),
        "refund",
        lane="high_risk",
        intent=IntentSpec(window_ms=7),
        store=StoreSpec(retention_ms=9),
        quarantine="resolved",
    )
    claimed = derive(Matched(taken, view(call(headers=JSON), BODY)))
    assert claimed.intent is not None
    assert (claimed.timeout_ms, claimed.quarantine, claimed.durable, claimed.lane) == (
        5_000,
        "resolved",
        True,
        "high_risk",
    )
    assert claimed.intent.window_ms == 7
    explicit = derive(Matched(taken, view(call(headers=JSON | {"Idempotency-Key": "k"}), BODY)))
    assert explicit.intent is not None
    assert explicit.intent.window_ms == 9


def group_key(template: str, method: str, url: str, body: bytes, **options: object) -> str:
    spec = IntentSpec(Template.parse(template), "ignore", until="window", group="deal.close")
    return key(spec=spec, method=method, url=url, body=body, **options)


def test_routes_of_a_group_share_an_intent_whatever_their_methods_and_shapes() -> None:
    put = group_key("{path.id}", "PUT", "http://api.test/deals/42", b"{}")
    post = group_key("{body.deal}", "POST", "http://api.test/close", b'{"deal": 42}')
    assert put == post == group_key("{body.deal}", "POST", "http://api.test/close", b'{"deal": "42"}')
    assert put != group_key("{body.deal}", "POST", "http://api.test/close", b'{"deal": 43}')


def test_a_group_is_no_door_into_another_tool_tenant_or_account_nor_into_a_route_of_its_name() -> None:
    def made(**options: object) -> str:
        return group_key("{path.id}", "PUT", "http://api.test/deals/42", b"{}", **options)

    named = IntentSpec(Template.parse("{path.id}"), "ignore", until="window")
    route_named = replace(route(CRM, "deal.close", intent=named))
    other = derive(
        Matched(route_named, view(call("PUT", "http://api.test/deals/42", JSON), b"{}", {"id": "42"}))
    )
    assert other.intent is not None
    keys = {
        made(),
        made(its=replace(CRM, name="erp")),
        made(who=WHO._replace(tenant="other")),
        made(headers={"Authorization": "Bearer other"}),
        other.intent.key,
    }
    assert len(keys) == 5


def test_what_another_door_may_have_done_is_never_sent_again_to_be_sure() -> None:
    spec = IntentSpec(Template.parse("{path.id}"), "ignore", until="window", group="deal.close")
    alone = replace(spec, group="")
    its = tool(downstream=DownstreamKey("header", "Idempotency-Key", DAY_MS))
    assert claim(alone, its=its, method="PUT").intent.resend  # type: ignore[union-attr]
    assert not claim(spec, its=its, method="PUT").intent.resend  # type: ignore[union-attr]
    assert not claim(spec, method="PUT").intent.resend  # type: ignore[union-attr]


def test_parts_of_a_groups_key_cannot_be_taken_for_each_other() -> None:
    def made(body: bytes) -> str:
        return group_key("{body.a} {body.b}", "POST", "http://api.test/x", body)

    assert made(b'{"a": "x y", "b": "z"}') != made(b'{"a": "x", "b": "y z"}')
    assert made(b'{"a": {"k": 1, "l": 2}, "b": "z"}') == made(b'{"b": "z", "a": {"l": 2, "k": 1}}')
