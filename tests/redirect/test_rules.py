"""The rules as they are written; what the kernel makes of them is tested in a pod, ``e2e/test_enforced.py``."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from sidecar.redirect.rules import CHAIN, TABLE, Redirect, iptables, iptables_removed, nft

PLAIN = Redirect(uid=1337, to=15001)
EXCLUDING = replace(PLAIN, exclude=(ip_network("10.96.0.0/12"), ip_network("fd00::/8")))


def test_they_replace_whatever_was_there_in_one_transaction() -> None:
    lines = nft(PLAIN).splitlines()
    assert lines[:3] == [f"table inet {TABLE}", f"delete table inet {TABLE}", f"table inet {TABLE} {{"]
    for table in ("nat", "filter"):
        text = iptables(PLAIN, 4, hooked=())
        assert f"*{table}\n:{CHAIN} - [0:0]\n-I OUTPUT -j {CHAIN}\n" in text
    assert "-I OUTPUT" not in iptables(PLAIN, 4, hooked=("nat", "filter"))


def test_the_sidecars_own_user_is_let_through_before_anybody_is_redirected() -> None:
    for text, passed, sent in (
        (nft(PLAIN), "meta skuid 1337 accept", "redirect to :15001"),
        (iptables(PLAIN, 4, hooked=()), "--uid-owner 1337", "--to-ports 15001"),
    ):
        assert 0 < text.index(passed) < text.index(sent)


def test_each_family_has_its_own_exceptions() -> None:
    text = nft(EXCLUDING)
    assert text.count("ip daddr { 10.96.0.0/12 } accept") == 2
    assert text.count("ip6 daddr { fd00::/8 } accept") == 2
    assert "10.96.0.0/12" not in iptables(EXCLUDING, 6, hooked=())
    assert "-d fd00::/8 -j RETURN" in iptables(EXCLUDING, 6, hooked=())


@pytest.mark.parametrize(
    "other", [replace(PLAIN, uid=1), replace(PLAIN, to=1), replace(PLAIN, ports=(443,)), EXCLUDING]
)
def test_other_arguments_leave_another_mark(other: Redirect) -> None:
    assert other.mark != PLAIN.mark
    assert PLAIN.mark == Redirect(1337, 15001).mark
    assert nft(PLAIN).count(PLAIN.mark) == iptables(PLAIN, 4, hooked=()).count(PLAIN.mark) == 2


def test_nothing_is_removed_where_nothing_is() -> None:
    assert iptables_removed(()).strip() == ""
    assert iptables_removed(("nat",)) == f"*nat\n:{CHAIN} - [0:0]\n-D OUTPUT -j {CHAIN}\n-X {CHAIN}\nCOMMIT\n"
