from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.refusal import Refusal
from sidecar.wire.egress import METADATA, Egress, classify, literal

LOOPBACK = "a loopback address"
PRIVATE = "a private address"
LINK_LOCAL = "a link-local address"
RESERVED = "a reserved address"
UNSPECIFIED = "an unspecified address"
MULTICAST = "a multicast address"
CGNAT = "a carrier-grade NAT address"


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        # as written
        ("127.0.0.1", LOOPBACK),
        ("127.255.255.254", LOOPBACK),
        ("10.1.2.3", PRIVATE),
        ("172.16.0.1", PRIVATE),
        ("172.31.255.255", PRIVATE),
        ("192.168.1.1", PRIVATE),
        ("100.64.0.1", CGNAT),
        ("169.254.1.1", LINK_LOCAL),
        ("0.0.0.0", UNSPECIFIED),
        ("0.1.2.3", UNSPECIFIED),
        ("224.0.0.251", MULTICAST),
        ("240.0.0.1", RESERVED),
        ("255.255.255.255", RESERVED),
        ("192.0.2.7", RESERVED),
        ("198.18.0.1", RESERVED),
        ("::1", LOOPBACK),
        ("::", UNSPECIFIED),
        ("fe80::1", LINK_LOCAL),
        ("fc00::1", PRIVATE),
        ("fd12:3456::1", PRIVATE),
        ("fec0::1", PRIVATE),
        ("ff02::1", MULTICAST),
        ("2001:db8::1", RESERVED),
        ("100::1", RESERVED),
        ("4000::1", RESERVED),
        ("64:ff9b:1::a00:1", RESERVED),
        # metadata
        ("169.254.169.254", METADATA),
        ("169.254.170.2", METADATA),
        ("100.100.100.200", METADATA),
        ("168.63.129.16", METADATA),
        ("fd00:ec2::254", METADATA),
        ("fd20:ce::254", METADATA),
        # other spellings of IPv4
        ("2130706433", LOOPBACK),
        ("0177.0.0.1", LOOPBACK),
        ("0x7f.1", LOOPBACK),
        ("0X7F000001", LOOPBACK),
        ("017700000001", LOOPBACK),
        ("127.1", LOOPBACK),
        ("127.0.1", LOOPBACK),
        ("127.0.0.1.", LOOPBACK),
        ("0", UNSPECIFIED),
        ("0x", UNSPECIFIED),
        ("10.65535", PRIVATE),
        ("2852039166", METADATA),
        ("0xa9fea9fe", METADATA),
        ("169.254.43518", METADATA),
        # IPv4 inside IPv6
        ("::ffff:127.0.0.1", LOOPBACK),
        ("::ffff:7f00:1", LOOPBACK),
        ("[::ffff:10.0.0.1]", PRIVATE),
        ("::127.0.0.1", LOOPBACK),
        ("::7f00:1", LOOPBACK),
        ("64:ff9b::7f00:1", LOOPBACK),
        ("64:ff9b::10.0.0.1", PRIVATE),
        ("2002:7f00:1::", LOOPBACK),
        ("2002:a00:1::1", PRIVATE),
        ("2001:0:a00:1::", PRIVATE),  # Teredo: the server
        ("2001:0:808:808:0:0:80ff:fffe", LOOPBACK),  # Teredo: the client, inverted
        ("::ffff:169.254.169.254", METADATA),
        ("64:ff9b::a9fe:a9fe", METADATA),
        ("2002:a9fe:a9fe::", METADATA),
        # public
        ("8.8.8.8", None),
        ("134744072", None),
        ("100.63.255.255", None),
        ("172.32.0.1", None),
        ("2606:4700::1111", None),
        ("::ffff:8.8.8.8", None),
        ("64:ff9b::808:808", None),
        ("2002:808:808::1", None),
    ],
)
def test_an_address_is_classed_by_where_its_packets_go(host: str, kind: str | None) -> None:
    address = literal(host)
    assert address is not None
    assert classify(address) == kind


@pytest.mark.parametrize("host", ["crm.test", "127.0.0.1.crm.test", "", "a.1b", "1.2.3.4.5.example"])
def test_a_name_is_no_address(host: str) -> None:
    assert literal(host) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "a..b",
        "fe80::1%eth0",
        "::1%lo",
        "[fe80::1%25eth0]",
        "1.2.3.4.5",
        "256.0.0.1",
        "4294967296",
        "08.0.0.1",
        "127.0.0.0x100",
        "crm.test/x",
        "crm test",
        "user@crm.test",
        "crm.test\r\nX: y",
        "crm\x00.test",
        "\uff11\uff12\uff17.0.0.1",
        "127。0。0。1",
        "metadata。google。internal",
        "a" * 64 + ".test",
        ":::",
        "-1.2.3.4.",
    ],
)
def test_what_is_neither_name_nor_address_is_refused_before_it_is_resolved(host: str) -> None:
    assert literal(host) is None
    with pytest.raises(Refusal) as refused:
        Egress().check_name(host, 443)
    assert refused.value.code == "upstream-unreachable"
    assert refused.value.outcome == "not_sent"


@pytest.mark.parametrize(
    "host", ["metadata.google.internal", "METADATA.google.internal.", "metadata", "instance-data"]
)
def test_a_metadata_name_is_refused_before_it_is_resolved(host: str) -> None:
    with pytest.raises(Refusal) as refused:
        Egress().check_name(host, 80)
    assert refused.value.code == "egress-denied"
    Egress(deny=["private"]).check_name(host, 80)


def test_an_allowed_network_wins() -> None:
    egress = Egress(allow=["10.1.0.0/16", "::1/128"])
    assert egress.objection(ip_address("10.1.2.3")) is None
    assert egress.objection(ip_address("::ffff:10.1.2.3")) is None
    assert egress.objection(ip_address("10.2.0.1")) == PRIVATE
    assert egress.objection(ip_address("::1")) is None
    assert egress.objection(ip_address("127.0.0.1")) == LOOPBACK


def test_a_wide_allowance_does_not_open_the_metadata_service() -> None:
    metadata = ip_address("169.254.169.254")
    assert Egress(allow=["0.0.0.0/0"]).objection(metadata) == METADATA
    assert Egress(allow=["169.254.169.254/32"]).objection(metadata) is None


def test_each_word_of_deny_stands_for_its_own_class() -> None:
    metadata, private = ip_address("169.254.169.254"), ip_address("10.0.0.1")
    assert Egress(deny=["metadata"]).objection(private) is None
    assert Egress(deny=["metadata"]).objection(metadata) == METADATA
    assert Egress(deny=["private"]).objection(private) == PRIVATE
    assert Egress(deny=[]).objection(private) is None
    with pytest.raises(ValueError, match="'metadata' and 'private', not 'loopback'"):
        Egress(deny=["loopback"])


def test_of_several_addresses_only_the_allowed_ones_are_used() -> None:
    public, private = ip_address("8.8.8.8"), ip_address("10.0.0.1")
    assert Egress().admit("crm.test", [private, public]) == [public]


def test_a_refusal_names_the_host_the_class_and_the_line_that_would_allow_it() -> None:
    with pytest.raises(Refusal) as refused:
        Egress().admit("crm.test", [ip_address("10.2.3.4")])
    assert refused.value.code == "egress-denied"
    assert refused.value.status == 403
    assert "crm.test leads to 10.2.3.4, a private address" in refused.value.detail
    assert 'egress: {allow: ["10.2.3.4/32"]}' in refused.value.detail


@given(st.text(max_size=40) | st.from_regex(r"[0-9a-fx.:%\[\]]{1,40}", fullmatch=True))
def test_any_host_is_an_address_or_a_name_or_a_refusal(host: str) -> None:
    if literal(host) is None:
        try:
            Egress().check_name(host, 1)
        except Refusal:
            return
        assert host.isascii()


@given(st.ip_addresses(v=4))
def test_an_embedded_address_is_never_freer_than_the_bare_one(address: object) -> None:
    value = int(address)  # type: ignore[call-overload]
    for prefix in (0xFFFF << 32, 0x64FF9B << 96):
        assert classify(ip_address((prefix | value).to_bytes(16))) == classify(ip_address(value))
    assert classify(ip_address((0x2002 << 112 | value << 80).to_bytes(16))) == classify(ip_address(value))
