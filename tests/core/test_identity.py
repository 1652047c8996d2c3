from base64 import b64encode
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.call import Headers, Identity
from sidecar.core.identity import KNOWN_LIMIT, Identities, Rule, Source, User
from sidecar.core.refusal import Refusal
from tests.core.calls import call

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
USERS = {
    "acme": User("acme", sha256(b"right").digest(), "acme-prod"),
    "bob": User("bob", sha256(b"other").digest(), "bob"),
}


def basic(name: str, token: str) -> str:
    return "Basic " + b64encode(f"{name}:{token}".encode()).decode()


def who(headers: dict[str, str], identities: Identities | None = None) -> Identity:
    return (identities or Identities()).identify(call(headers=headers))


@pytest.mark.parametrize(
    ("headers", "identity"),
    [
        ({}, ("default", "default", "", "interactive")),
        ({"X-Agent-Tenant": "acme"}, ("acme", "default", "", "interactive")),
        ({"x-agent-tenant": "acme", "X-AGENT-WORKFLOW": "w"}, ("acme", "w", "", "interactive")),
        (
            {"Proxy-Authorization": basic("acme", "x"), "X-Agent-Tenant": "no"},
            ("acme", "default", "", "interactive"),
        ),
        ({"Proxy-Authorization": basic("", "x"), "X-Agent-Tenant": "t"}, ("t", "default", "", "interactive")),
        ({"Proxy-Authorization": "Bearer x"}, ("default", "default", "", "interactive")),
        ({"Proxy-Authorization": "Basic ???"}, ("default", "default", "", "interactive")),
        ({"baggage": "x=1, tenant = a%2Fb;p=1"}, ("a/b", "default", "", "interactive")),
        ({"baggage": "tenant=b", "X-Agent-Tenant": "h"}, ("h", "default", "", "interactive")),
        ({"traceparent": TRACE}, ("default", "default", "4bf92f3577b34da6a3ce929d0e0e4736", "interactive")),
        ({"traceparent": TRACE, "X-Agent-Run": "r"}, ("default", "default", "r", "interactive")),
        ({"traceparent": f"00-{'0' * 32}-00f067aa0ba902b7-01"}, ("default", "default", "", "interactive")),
        ({"traceparent": "nonsense"}, ("default", "default", "", "interactive")),
        ({"X-Agent-Priority": "background"}, ("default", "default", "", "background")),
    ],
)
def test_identity_comes_from_the_first_source_that_says_something(
    headers: dict[str, str], identity: tuple[str, ...]
) -> None:
    assert who(headers) == Identity(*identity)


def test_a_pin_beats_every_header_and_user() -> None:
    pinned = Identities(tenant=Rule(pin="mine"), workflow=Rule(pin="flow"))
    said = {"X-Agent-Tenant": "yours", "X-Agent-Workflow": "w", "Proxy-Authorization": basic("you", "x")}
    assert who(said, pinned) == Identity("mine", "flow", "", "interactive")
    with_users = Identities(tenant=Rule(pin="mine"), users=USERS)
    assert who({"Proxy-Authorization": basic("acme", "right")}, with_users).tenant == "mine"


def test_a_known_user_is_his_tenant_whatever_the_headers_say() -> None:
    said = {"Proxy-Authorization": basic("acme", "right"), "X-Agent-Tenant": "bob", "baggage": "tenant=bob"}
    assert who(said, Identities(users=USERS)).tenant == "acme-prod"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Proxy-Authorization": basic("acme", "wrong")},
        {"Proxy-Authorization": basic("acme", "")},
        {"Proxy-Authorization": basic("acme", "other")},
        {"Proxy-Authorization": basic("nobody", "right")},
        {"Proxy-Authorization": basic("", "")},
        {"Proxy-Authorization": "Bearer right"},
        {"Proxy-Authorization": "Basic " + b64encode(b"\xff\xfe").decode()},
        {"Authorization": basic("acme", "right")},
    ],
)
def test_whoever_proves_no_token_is_asked_for_credentials(headers: dict[str, str]) -> None:
    with pytest.raises(Refusal) as no:
        who(headers, Identities(users=USERS))
    assert no.value.code == "proxy-auth-required"
    assert "right" not in no.value.detail
    assert "NAME:TOKEN" in no.value.detail


@pytest.mark.parametrize("value", ["a\tb", "x" * 129, "café", " ", "a\x7f", "a b "])
@pytest.mark.parametrize("header", ["X-Agent-Tenant", "X-Agent-Workflow", "X-Agent-Run"])
def test_a_value_that_is_no_short_printable_text_is_refused(header: str, value: str) -> None:
    with pytest.raises(Refusal) as no:
        who({header: value})
    assert no.value.code == "bad-request"
    assert header in no.value.detail
    assert value not in no.value.detail or value == " "


def test_a_priority_that_nobody_configured_is_refused_with_those_that_are() -> None:
    with pytest.raises(Refusal, match="use one of background, interactive"):
        who({"X-Agent-Priority": "urgent"})


def test_what_a_caller_said_is_remembered_but_never_confused() -> None:
    identities = Identities()
    for tenant in [f"t{n}" for n in range(KNOWN_LIMIT + 10)] * 2:
        assert who({"X-Agent-Tenant": tenant}, identities).tenant == tenant
    one = who({"X-Agent-Tenant": "a", "X-Agent-Workflow": "b"}, identities)
    two = who({"X-Agent-Tenant": "b", "X-Agent-Workflow": "a"}, identities)
    assert (one.tenant, one.workflow, two.tenant, two.workflow) == ("a", "b", "b", "a")


def test_two_callers_whose_baggage_differs_are_two() -> None:
    identities = Identities()
    assert [who({"baggage": f"tenant={name}"}, identities).tenant for name in "aba"] == ["a", "b", "a"]


def test_a_second_baggage_field_counts_too() -> None:
    made = call()
    raw = [*made.headers.raw, (b"baggage", b"a=1"), (b"Baggage", b"tenant=two")]
    both = made._replace(headers=Headers(raw))
    assert Identities().identify(both).tenant == "two"


def test_identity_headers_and_members_are_ours_and_the_rest_is_not() -> None:
    sources = (
        Source.parse("header:X-Team"),
        Source.parse("header:Authorization"),
        Source.parse("baggage:team"),
    )
    strip = Identities(tenant=Rule(sources)).strip
    assert b"x-team" in strip.headers
    assert b"authorization" not in strip.headers
    assert strip.baggage == {"team"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("header", "needs a name, like header:X-Agent-Run"),
        ("header:", "needs a name"),
        ("header:a b", "needs a name"),
        ("baggage:", "needs a name, like baggage:run"),
        ("cookie:x", "unknown source 'cookie:x'"),
        ("", "unknown source"),
    ],
)
def test_a_bad_source_says_so(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Source.parse(text)


@given(
    st.text(st.characters(max_codepoint=255), max_size=150),
    st.sampled_from(["Proxy-Authorization", "baggage", "traceparent"]),
)
def test_whatever_a_header_holds_identity_is_good_or_refused(value: str, name: str) -> None:
    try:
        identity = who({name: value})
    except Refusal:
        return
    assert identity.tenant
    assert (identity.tenant + identity.run).isascii()
