"""Names in keys: never ambiguous, never long, never able to leave their cell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.gate.keyspace import place_name, prefix
from sidecar.gate.safe import safe
from tests.gate.scripts import claim, terms


@given(st.text(), st.text())
def test_two_names_are_two_keys(one: str, other: str) -> None:
    assert (safe(one) == safe(other)) == (one == other)


@given(st.text())
def test_a_safe_name_is_short_printable_and_has_no_pattern_or_tag_in_it(name: str) -> None:
    assert len(safe(name)) <= 128
    assert not set(safe(name)) & set("{}*?[]\\ \n\r\t\x00")
    assert safe(name).isascii()


def test_a_plain_name_stays_readable() -> None:
    assert safe("deal:42/line-1@x.com") == "deal:42/line-1@x.com"


@pytest.mark.parametrize("cell", ["", "a{b", "a}b", "a b", "x" * 65, "a\n"])
def test_a_cell_that_could_leave_its_tag_is_refused(cell: str) -> None:
    with pytest.raises(ValueError, match="namespace"):
        prefix(cell)


def test_what_a_holder_says_of_itself_cannot_be_forged_by_its_own_fields() -> None:
    said = terms(claim("c1", run="run\nfake"))[4]
    assert said.split("\n")[:2] == ["run fake", "dunning"]


def test_places_are_numbered_as_the_store_numbers_them() -> None:
    asked = claim("c1", "x", ("deal:1", "deal:2"), {"global": 1})
    names = [place_name(asked, at) for at in range(4)]
    assert names == ["intent", "lock:deal:1", "lock:deal:2", "cap:global"]


def test_a_flow_with_spaces_stays_one_flow() -> None:
    flow = terms(claim("c1", tenant="a b"))[5]
    assert flow.split(" ")[-1] == "a%20b"
