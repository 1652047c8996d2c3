import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.wire.body import HIGH, Body, Whole
from sidecar.wire.response import MAX_HEAD_BYTES, MAX_INTERIM, LiveAnswer, Malformed, Reader
from tests.wire.scripted import drain, request

H = b"HTTP/1.1 200 OK\r\n"
CHUNKED = H + b"Transfer-Encoding: chunked\r\n\r\n"


class Wire:
    """Stands where the connection would."""

    paused = 0
    aborted = False

    def pause_reading(self) -> None:
        self.paused += 1

    def resume_reading(self) -> None:
        self.paused -= 1

    def abort(self) -> None:
        self.aborted = True


def reader(method: str = "GET", **fields: object) -> Reader:
    it = Reader(Wire())
    it.request = request(1, method, **fields)
    return it


def fed(data: bytes, cut: int = 0, method: str = "GET", **fields: object) -> Reader:
    """A reader after ``data``, in pieces of ``cut`` bytes; in one where that is zero."""
    it = reader(method, **fields)
    for at in range(0, len(data), cut or len(data)):
        it.feed(data[at : at + (cut or len(data))])
    return it


def complete(it: Reader) -> tuple[LiveAnswer, bytes]:
    assert it.complete
    assert it.answer is not None
    body = it.answer.body.whole
    assert body is not None
    return it.answer, body


cuts = pytest.mark.parametrize("cut", [0, 1, 2, 7])


@cuts
@pytest.mark.parametrize(
    ("data", "body"),
    [
        (H + b"Content-Length: 2\r\n\r\nhi", b"hi"),
        (H + b"Content-Length: 0\r\n\r\n", b""),
        (H + b"Content-Length: 002\r\n\r\nhi", b"hi"),
        (CHUNKED + b"2\r\nhi\r\n0\r\n\r\n", b"hi"),
        (CHUNKED + b"2;name=value\r\nhi\r\n1\r\n!\r\n0\r\n\r\n", b"hi!"),
        (H + b"Transfer-Encoding: CHUNKED \r\n\r\n2\r\nhi\r\n0\r\n\r\n", b"hi"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", b""),
        (b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", b"x"),
        (b"HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\nx", b"x"),
    ],
)
def test_a_complete_answer_leaves_the_connection_reusable(data: bytes, body: bytes, cut: int) -> None:
    it = fed(data, cut)
    assert complete(it)[1] == body
    assert it.reusable


@cuts
def test_head_fields_arrive_in_order_and_spelling(cut: int) -> None:
    answer, _ = complete(
        fed(b"HTTP/1.1 201 Made\r\nX-a: 1\r\nx-A:\t2 \r\nEmpty:\r\nContent-Length: 0\r\n\r\n", cut)
    )
    assert (answer.status, answer.reason) == (201, b"Made")
    assert list(answer.headers.raw)[:3] == [(b"X-a", b"1"), (b"x-A", b"2 "), (b"Empty", b"")]


@cuts
def test_trailers_follow_the_body(cut: int) -> None:
    answer, body = complete(fed(CHUNKED + b"2\r\nhi\r\n0\r\nX-Sum: 7\r\nY: z\r\n\r\n", cut))
    assert body == b"hi"
    assert list(answer.body.trailers) == [(b"X-Sum", b"7"), (b"Y", b"z")]


@cuts
@pytest.mark.parametrize("framing", [b"Content-Length: 99", b"Transfer-Encoding: chunked"])
def test_an_answer_to_head_has_no_body(framing: bytes, cut: int) -> None:
    assert complete(fed(H + framing + b"\r\n\r\n", cut, "HEAD"))[1] == b""


def test_a_connection_carries_on_after_an_answer_to_head() -> None:
    it = fed(H + b"Content-Length: 99\r\n\r\n", method="HEAD")
    assert complete(it)[0].headers.get(b"content-length") == b"99"
    assert it.reusable
    it.forget()
    it.request = request(1)
    it.feed(H + b"Content-Length: 2\r\n\r\nhi")
    assert complete(it)[1] == b"hi"
    assert it.reusable


@pytest.mark.parametrize(
    "data",
    [
        H + b"Content-Length: 2\r\n\r\nhiX",
        H + b"Content-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        H + b"Content-Length: 2\r\nConnection: close\r\n\r\nhi",
        H + b"Content-Length: 2\r\nConnection: close\r\n\r\nhi and more",
        CHUNKED + b"2\r\nhi\r\n0\r\n\r\nHT",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi",
    ],
)
def test_an_answer_that_stands_may_leave_a_connection_that_does_not(data: bytes) -> None:
    it = fed(data)
    answer, body = complete(it)
    assert body == b"hi"
    assert not it.reusable
    assert list(answer.body.trailers) == []


@pytest.mark.parametrize(
    "data",
    [
        H + b"Content-Length: 99\r\n\r\nx",
        H + b"Transfer-Encoding: chunked\r\n\r\n5\r\n",
        H + b"\r\n",  # only a close would delimit it
        b"HTTP/1.1 204 No Content\r\n\r\nhello",
    ],
)
def test_bytes_after_an_answer_without_a_body_spoil_the_connection(data: bytes) -> None:
    it = fed(data, method="HEAD")
    assert it.complete
    assert not it.reusable


@cuts
def test_only_a_clean_end_completes_what_nothing_delimits(cut: int) -> None:
    it = fed(H + b"\r\nuntil the end", cut)
    assert not it.complete
    assert it.end() is it.answer
    assert complete(it)[1] == b"until the end"
    assert not it.reusable


@pytest.mark.parametrize(
    "data", [b"", b"HTT", H, H + b"Content-Length: 3\r\n\r\nhi", CHUNKED + b"2\r\nhi\r\n"]
)
def test_an_end_anywhere_else_completes_nothing(data: bytes) -> None:
    it = fed(data) if data else reader()
    assert it.end() is None


@cuts
@pytest.mark.parametrize(
    "data",
    [
        b"garbage",
        b"\r\n" + H + b"Content-Length: 0\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"ICE/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 20 Short\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 2000 Long\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n",
        H + b"Content-Length: 0\n\r\n",
        H + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
        H + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
        H + b"Content-Length: 2, 2\r\n\r\nhi",
        H + b"Content-Length: \r\n\r\n",
        H + b"Content-Length: +2\r\n\r\nhi",
        H + b"Content-Length: -2\r\n\r\nhi",
        H + b"Content-Length: 99999999999999999999999\r\n\r\nhi",
        H + b"Content-Length: " + b"0" * 5000 + b"2\r\n\r\nhi",
        H + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        H + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        H + b"Transfer-Encoding: gzip\r\n\r\nhi",
        H + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        H + b"Transfer-Encoding: chunked, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        H + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\nhi",
        H + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        H + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        H + b"X : y\r\n\r\n",
        H + b": y\r\n\r\n",
        H + b"X: y\r\n folded\r\n\r\n",
        H + b"X: y\rz\r\n\r\n",
        H + b"X: y\x00z\r\n\r\n",
        CHUNKED + b"2\nhi\r\n0\r\n\r\n",
        CHUNKED + b"2\r\nhi0\r\n\r\n",
        CHUNKED + b"-2\r\nhi\r\n",
        CHUNKED + b"0x2\r\nhi\r\n",
        CHUNKED + b"2 \r\nhi\r\n",
        CHUNKED + b"fffffffffffffffff\r\nhi",
        CHUNKED + b"0\r\nX: y\nZ: 1\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\nraw",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nraw",
        b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_malformed(data: bytes, cut: int) -> None:
    with pytest.raises(Malformed):
        fed(data, cut)


def test_a_reason_phrase_loses_its_control_characters() -> None:
    answer, _ = complete(fed(b"HTTP/1.1 200 O\x00K\x07 \xe9\r\nContent-Length: 0\r\n\r\n"))
    assert answer.reason == b"OK \xe9"


@cuts
def test_interim_answers_are_told_apart_from_the_answer(cut: int) -> None:
    it = fed(
        b"HTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 5\r\n\r\n"
        + H
        + b"Content-Length: 2\r\n\r\nhi",
        cut,
    )
    assert complete(it)[1] == b"hi"
    assert [(status, list(headers.raw)) for status, headers in it.interim] == [
        (103, [(b"Link", b"</a>"), (b"Content-Length", b"5")])
    ]
    assert it.reusable


@cuts
def test_interim_answers_without_end_are_malformed(cut: int) -> None:
    one = b"HTTP/1.1 102 Processing\r\n\r\n"
    fed(one * MAX_INTERIM, cut)
    with pytest.raises(Malformed, match="interim"):
        fed(one * (MAX_INTERIM + 1), cut)


@pytest.mark.parametrize("cut", [0, 4096])
@pytest.mark.parametrize(
    "data",
    [
        H + b"X: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n",
        H + b"X: y\r\n" * (MAX_HEAD_BYTES // 4) + b"\r\n",
        b"HTTP/1.1 200 " + b"a" * (MAX_HEAD_BYTES + 1),
        CHUNKED + b"2;" + b"a" * (2 * MAX_HEAD_BYTES),
    ],
)
def test_fields_without_end_are_malformed(data: bytes, cut: int) -> None:
    with pytest.raises(Malformed, match="bytes of header"):
        fed(data, cut)


def test_trailers_without_end_are_malformed() -> None:
    with pytest.raises(Malformed, match="trailer"):
        fed(CHUNKED + b"2\r\nhi\r\n0\r\nX: " + b"a" * (2 * MAX_HEAD_BYTES), 4096)


def test_a_large_body_right_behind_its_head_is_no_large_head() -> None:
    size = 3 * MAX_HEAD_BYTES
    assert complete(fed(H + b"Content-Length: %d\r\n\r\n" % size + b"x" * size))[1] == b"x" * size


UPGRADE = {"headers": [(b"Host", b"crm.test"), (b"Connection", b"Upgrade"), (b"Upgrade", b"chat")]}
SWITCH = b"HTTP/1.1 101 Switching\r\nUpgrade: chat\r\nConnection: upgrade\r\n\r\n"


def test_a_switch_that_was_asked_for_hands_over_what_follows_its_head() -> None:
    it = fed(SWITCH + b"raw \x00", **UPGRADE)
    assert complete(it)[0].status == 101
    assert it.early == b"raw \x00"


def test_a_second_answer_never_touches_the_first_ones_trailers() -> None:
    answer, _ = complete(fed(CHUNKED + b"0\r\nX: 1\r\n\r\n" + H + b"Y: 2\r\nContent-Length: 0\r\n\r\n"))
    assert list(answer.body.trailers) == [(b"X", b"1")]


def test_a_long_body_pauses_its_wire_until_it_is_read() -> None:
    wire = Wire()
    it = Reader(wire)
    it.request = request(1)
    it.feed(H + b"Content-Length: %d\r\n\r\n" % (4 * HIGH))
    it.feed(b"x" * (HIGH + 1))
    assert wire.paused == 1
    assert it.answer is not None
    assert len(asyncio.run(it.answer.body.read())) == HIGH + 1
    assert wire.paused == 0


def test_a_body_that_ended_lets_the_wire_go_even_unread() -> None:
    wire = Wire()
    it = Reader(wire)
    it.request = request(1)
    it.feed(H + b"Content-Length: %d\r\n\r\n" % (2 * HIGH) + b"x" * (2 * HIGH))
    assert it.complete
    assert wire.paused == 0


def test_abandoning_an_answer_drops_its_connection_unless_it_is_complete() -> None:
    wire = Wire()
    half = LiveAnswer(
        200, b"OK", complete(fed(H + b"Content-Length: 0\r\n\r\n"))[0].headers, Body(wire, 5), wire
    )
    half.body.end()
    half.abandon()
    assert not wire.aborted
    half.body = Body(wire, 5)
    half.abandon()
    assert wire.aborted


ANSWERS = [
    H + b"Content-Length: 11\r\n\r\nhello world",
    CHUNKED + b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: 1\r\n\r\n",
    b"HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n" + H + b"Content-Length: 0\r\n\r\n",
    H + b"\r\nuntil close",
    H + b"Content-Length: 3\r\n\r\nabcX",
    CHUNKED + b"zz\r\n",
]


def story(data: bytes, cuts: list[int]) -> tuple[object, ...]:
    """What a reader makes of ``data``, cut at ``cuts``."""
    it = reader()
    try:
        for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True):
            if start < stop and not it.complete:
                it.feed(data[start:stop])
    except Malformed:
        return ("malformed",)
    it.end()
    if it.answer is None:
        return ("nothing",)
    body = it.answer.body
    return it.answer.status, list(it.answer.headers.raw), body.whole, list(body.trailers), it.complete


@given(st.sampled_from(ANSWERS), st.lists(st.integers(0, 60), max_size=8))
def test_segments_do_not_change_the_story(data: bytes, at: list[int]) -> None:
    cuts = sorted(min(place, len(data)) for place in at)
    assert story(data, cuts) == story(data, [])


@given(
    st.lists(
        st.sampled_from(
            [
                *ANSWERS,
                H,
                b"\r\n",
                b"Content-Length: 5\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"HTTP/1.1 101 S\r\n",
            ]
        )
        | st.binary(max_size=20),
        max_size=8,
    ),
    st.sampled_from(["GET", "HEAD", "POST"]),
)
def test_whatever_arrives_is_an_answer_or_malformed_and_nothing_else(
    pieces: list[bytes], method: str
) -> None:
    it = reader(method)
    try:
        for piece in pieces:
            if piece and not it.complete:
                it.feed(piece)
    except Malformed:
        return
    it.end()
    assert not it.complete or it.answer is not None


@pytest.mark.parametrize("data", [H + b"Content-Length: 2\r\n\r\nhi", CHUNKED + b"2\r\nhi\r\n0\r\n\r\n"])
def test_an_answer_of_one_piece_costs_no_body_that_could_grow(data: bytes) -> None:
    assert isinstance(complete(fed(data))[0].body, Whole)
    assert isinstance(complete(fed(data, 1))[0].body, Body)


def test_a_reader_that_forgot_keeps_nothing_of_the_answer() -> None:
    it = fed(b"HTTP/1.1 103 Hints\r\n\r\n" + CHUNKED + b"2\r\nhi\r\n1\r\n!\r\n0\r\nX: y\r\n\r\n")
    complete(it)
    it.interim = ()
    it.forget()
    it.feed(b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n")
    answer, body = complete(it)
    assert (answer.reason, body, list(answer.body.trailers), it.interim) == (b"", b"", [], ())


async def test_a_whole_body_is_there_until_it_is_read_and_is_read_once() -> None:
    body = Whole(b"hi")
    body.fail(ValueError("too late"))
    assert (body.whole, body.length, body.ended) == (b"hi", 2, True)
    assert await body.read() == b"hi"
    assert body.whole is None
    assert await body.read() == b""


def test_the_body_of_a_complete_answer_reads_to_its_end() -> None:
    answer, _ = complete(fed(CHUNKED + b"2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n"))
    assert asyncio.run(drain(answer.body)) == b"hi!"
