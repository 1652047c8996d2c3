"""The name in a hello, whoever wrote it and however it was cut."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as some

from sidecar.wire.hello import LARGEST, Incomplete, server_name
from tests.wire.hellos import extension, hello, message, named, real, records, vector


@pytest.mark.parametrize("name", ["crm.test", "a.b.c.d.e.test", "xn--mnchen-3ya.example"])
def test_a_real_client_is_understood(name: str) -> None:
    assert server_name(real(name)) == name


def test_a_real_client_that_names_nobody_is_understood() -> None:
    assert server_name(real(None)) == ""
    assert server_name(records(message(None))) == ""
    assert server_name(hello()) == ""


@pytest.mark.parametrize(
    ("said", "meant"),
    [(b"CRM.Test", "crm.test"), (b"crm.test.", "crm.test"), (b"a_b-1", "a_b-1"), (b"10.0.0.1", "10.0.0.1")],
)
def test_a_name_is_told_in_its_canonical_spelling(said: bytes, meant: str) -> None:
    assert server_name(hello(extension(10, b"x"), named(said), extension(0x0A0A, b""))) == meant


@pytest.mark.parametrize("size", [1, 2, 3, 40, 100])
def test_it_may_come_in_several_records(size: int) -> None:
    assert server_name(records(message(named(b"crm.test")), size)) == "crm.test"


def test_what_follows_it_is_none_of_its_business() -> None:
    assert server_name(hello(named(b"crm.test")) + b"\x14\x03\x03\0\x01\x01 and early data") == "crm.test"


def test_every_beginning_of_it_is_incomplete() -> None:
    for whole in (real("crm.test"), records(message(named(b"crm.test")), 7)):
        for end in range(1, len(whole)):
            with pytest.raises(Incomplete):
                server_name(whole[:end])


MALFORMED = {
    "two names": hello(extension(0, vector(b"\0" + vector(b"a.test", 2) + b"\0" + vector(b"b.test", 2), 2))),
    "named twice": hello(named(b"a.test"), named(b"b.test")),
    "another kind of name": hello(named(b"a.test", kind=1)),
    "an empty name": hello(named(b"")),
    "an empty list": hello(extension(0, vector(b"", 2))),
    "a list that lies about its length": hello(extension(0, b"\0\xff" + b"\0" + vector(b"a.test", 2))),
    "bytes behind the list": hello(extension(0, vector(b"\0" + vector(b"a.test", 2), 2) + b"x")),
    "a name with a NUL": hello(named(b"crm.test\0.evil.test")),
    "a name with a line's end": hello(named(b"crm.test\r\nHost: x")),
    "a name with a port": hello(named(b"crm.test:443")),
    "a name in UTF-8": hello(named("münchen.test".encode())),
    "a name that is too long": hello(named(b"a" * 256)),
    "an extension that lies about its length": hello(b"\0\0\xff\xff" + b"x"),
    "a cut extension": hello(b"\0"),
    "no compression": records(b"\x01" + vector(b"\x03\x03" + bytes(32) + b"\0" + b"\0\0", 3)),
    "another message": records(b"\x02" + vector(bytes(40), 3)),
    "another kind of record": b"\x17" + hello(named(b"a.test"))[1:],
    "an empty record": b"\x16\x03\x01\0\0" + hello(named(b"a.test")),
    "another record inside it": hello(named(b"a.test"))[:0]
    + b"\x16\x03\x01\0\x02\x01\0"
    + b"\x15\x03\x01\0\x02\x02\x31",
    "another protocol's version": b"\x16\x02" + hello(named(b"a.test"))[2:],
    "a record that is too large": b"\x16\x03\x01\x40\x01",
    "a hello that is too large": records(b"\x01" + (LARGEST + 1).to_bytes(3) + bytes(10)),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_what_is_malformed_is_refused(what: str) -> None:
    with pytest.raises(ValueError, match="it"):
        server_name(MALFORMED[what])


def test_a_hello_without_end_is_refused_before_it_fills_the_memory() -> None:
    endless = records(b"\x01\0\x40\0" + bytes(1 << 14), 1)[: 2 * LARGEST + 1]
    with pytest.raises(ValueError, match="too many records"):
        server_name(endless)


@given(some.binary(max_size=300))
def test_anything_else_is_incomplete_or_refused(data: bytes) -> None:
    with pytest.raises((Incomplete, ValueError)):
        server_name(b"\x16\x03" + data[:2] + data)


@given(some.binary(min_size=1, max_size=40), some.integers(0, 200))
def test_a_broken_hello_breaks_nothing_else(noise: bytes, at: int) -> None:
    whole = bytearray(hello(extension(10, b"abc"), named(b"crm.test"), extension(43, b"xyz")))
    whole[at : at + len(noise)] = noise
    with contextlib.suppress(Incomplete, ValueError):
        assert isinstance(server_name(bytes(whole)), str)
