import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.refusal import Refusal
from sidecar.wire.body import Body
from sidecar.wire.framing import MAX_CHUNK_LINE_BYTES, MAX_TRAILER_BYTES, decoder
from tests.wire.agents import Far


class Decoded:
    """What a decoder made of some segments."""

    def __init__(self, length: int | None, segments: list[bytes]) -> None:
        self.body = Body(Far(), length)
        self.rest: bytes | None = None
        self.refused = ""
        it = decoder(self.body)
        for place, segment in enumerate(segments):
            try:
                it.send(segment)
            except StopIteration as over:
                self.rest = over.value + b"".join(segments[place + 1 :])
                break
            except Refusal as no:
                self.refused = f"{no.code}: {no.detail}"
                break

    @property
    def all(self) -> object:
        return self.body.whole, tuple(self.body.trailers), self.rest, self.refused


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    segments, at = [], 0
    for size in sizes:
        segments.append(data[at : at + size])
        at += size
    return [segment for segment in [*segments, data[at:]] if segment]


GOOD = {
    b"0\r\n\r\n": (b"", ()),
    b"3\r\nabc\r\n0\r\n\r\n": (b"abc", ()),
    b"3\r\nabc\r\n002\r\nde\r\n000\r\n\r\n": (b"abcde", ()),
    b'A;name=value;q="a;b";flag\r\n0123456789\r\n0;x\r\n\r\n': (b"0123456789", ()),
    b"1\r\n\r\r\n1\r\n\n\r\n0\r\n\r\n": (b"\r\n", ()),
    b"0\r\nExpires: never \r\nX-Sum:\tabc\r\n\r\n": (b"", ((b"Expires", b"never"), (b"X-Sum", b"abc"))),
}

BAD = {
    "no size": b"\r\nabc\r\n0\r\n\r\n",
    "no hex": b"g\r\nabc\r\n0\r\n\r\n",
    "a prefix": b"0x3\r\nabc\r\n0\r\n\r\n",
    "a sign": b"+3\r\nabc\r\n0\r\n\r\n",
    "a negative size": b"-3\r\nabc\r\n0\r\n\r\n",
    "an underscore": b"0_3\r\nabc\r\n0\r\n\r\n",
    "an overflowing size": b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "a blank after the size": b"3 \r\nabc\r\n0\r\n\r\n",
    "a blank before the size": b" 3\r\nabc\r\n0\r\n\r\n",
    "LF after the size": b"3\nabc\r\n0\r\n\r\n",
    "CR after the size": b"3\rabc\r\n0\r\n\r\n",
    "two CRs after the size": b"3\r\r\nabc\r\n0\r\n\r\n",
    "LF after the data": b"3\r\nabc\n0\r\n\r\n",
    "nothing after the data": b"3\r\nabc0\r\n\r\n",
    "more data than announced": b"3\r\nabcd\r\n0\r\n\r\n",
    "NUL in an extension": b"3;a\0\r\nabc\r\n0\r\n\r\n",
    "LF in an extension": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "an extension without a name": b"3;\r\nabc\r\n0\r\n\r\n",
    "a quote without an end": b'3;a="b\r\nabc\r\n0\r\n\r\n',
    "a long extension": b"3;" + b"a" * MAX_CHUNK_LINE_BYTES + b"\r\nabc\r\n0\r\n\r\n",
    "LF after the last chunk": b"0\n\n",
    "LF after a trailer": b"0\r\nA: b\n\r\n",
    "a folded trailer": b"0\r\nA: b\r\n c\r\n\r\n",
    "a trailer without a colon": b"0\r\nA\r\n\r\n",
    "a blank before a trailer's colon": b"0\r\nA : b\r\n\r\n",
    "NUL in a trailer": b"0\r\nA: \0\r\n\r\n",
    "bare CR in a trailer": b"0\r\nA: b\rc\r\n\r\n",
    "a length in the trailers": b"0\r\nContent-Length: 3\r\n\r\n",
    "a coding in the trailers": b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a host in the trailers": b"0\r\nHOST: evil.test\r\n\r\n",
    "endless trailers": b"0\r\n" + b"A: b\r\n" * (MAX_TRAILER_BYTES // 5) + b"\r\n",
}


@pytest.mark.parametrize("data", GOOD)
def test_chunks_become_the_body_and_what_follows_is_left(data: bytes) -> None:
    whole, trailers = GOOD[data]
    it = Decoded(None, [data + b"GET next"])
    assert it.all == (whole, trailers, b"GET next", "")


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_broken_chunks_are_refused(data: bytes) -> None:
    it = Decoded(None, [data])
    assert it.refused.startswith("bad-request: ")
    assert not it.body.ended


@given(st.sampled_from([*GOOD, *BAD.values()]), st.lists(st.integers(1, 6), max_size=40))
def test_how_the_network_cuts_chunks_changes_nothing(data: bytes, sizes: list[int]) -> None:
    data += b"GET next"
    assert Decoded(None, cut(data, sizes)).all == Decoded(None, [data]).all


@given(st.lists(st.binary(min_size=1, max_size=50)), st.lists(st.integers(1, 30), max_size=20))
def test_any_body_survives_any_chunking(pieces: list[bytes], sizes: list[int]) -> None:
    data = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    assert Decoded(None, cut(data, sizes)).all == (b"".join(pieces), (), b"", "")


@given(st.binary(min_size=1, max_size=80), st.lists(st.integers(1, 9), max_size=20))
def test_any_bytes_are_chunks_or_refused_or_not_enough(data: bytes, sizes: list[int]) -> None:
    assert Decoded(None, cut(data, sizes)).all == Decoded(None, [data]).all


@given(st.binary(min_size=1, max_size=50), st.binary(max_size=20), st.lists(st.integers(1, 9), max_size=20))
def test_a_body_of_known_length_ends_where_it_says(body: bytes, rest: bytes, sizes: list[int]) -> None:
    assert Decoded(len(body), cut(body + rest, sizes)).all == (body, (), rest, "")
