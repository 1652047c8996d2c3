import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.core.refusal import Refusal
from sidecar.wire import head, lines
from sidecar.wire.head import Head
from sidecar.wire.lines import LONGEST, MOST, Written, plain_headers

NAMES = st.sampled_from(
    [
        b"Host",
        b"Accept",
        b"X-A",
        b"Content-Length",
        b"Connection",
        b"Cookie",
        b"Proxy-Connection",
        b"Te",
        b"Upgrade",
    ]
)
VALUES = st.sampled_from(
    [
        b"",
        b"a",
        b"keep-alive",
        b"close",
        b"7",
        b"07",
        b"+7",
        b"a\tb",
        b"\xe9",
        b" x ",
        b"a\x01",
        b"\r",
        b"a:b",
    ]
)
LINES = st.lists(st.tuples(NAMES, st.sampled_from([b":", b": ", b":\t", b" :"]), VALUES), max_size=6)


@given(LINES)
@example([(b"Host", b":", b"a"), (b"Content-Length", b":", b"7 ")])
def test_what_is_plain_means_what_llhttp_says_it_means(said: list[tuple[bytes, bytes, bytes]]) -> None:
    block = b"\r\n".join(b"".join(parts) for parts in said)
    ours = plain_headers(block) if block else None
    if ours is None:
        return
    fields: list[tuple[bytes, bytes]] = []

    class Listener:
        def on_header(self, name: bytes, value: bytes) -> None:
            fields.append((name, value.rstrip()))

    httptools.HttpRequestParser(Listener()).feed_data(b"POST / HTTP/1.1\r\n" + block + b"\r\n\r\n")
    assert ours.raw == fields


@given(
    st.sampled_from([b"GET", b"POST", b"OPTIONS", b"FOO", b"get"]),
    st.text(st.characters(max_codepoint=255), max_size=12).map(lambda text: text.encode("latin-1")),
    LINES,
)
def test_a_plain_head_is_read_as_any_other_is(
    method: bytes, rest: bytes, said: list[tuple[bytes, bytes, bytes]]
) -> None:
    block = b"".join(b"%b%b%b\r\n" % parts for parts in [(b"Host", b":", b"a"), *said])
    data = b"%b http://a/%b HTTP/1.1\r\n%b\r\n" % (method, rest, block)
    if b"\r\n\r\n" in data[:-4]:
        return
    assert _meaning(data) == _meaning(data, asked=True)


def _meaning(data: bytes, asked: bool = False) -> object:
    """What a head says, or that it is refused; ``asked``: by the parser's word alone."""
    try:
        if not asked:
            it = Head(data)
        else:
            it = Head(b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n")
            it._read(data)
    except Refusal:
        return "refused"
    return it.method, it.origin, it.path, it.query, it.length, it.close, it.expects, list(it.headers.raw)


@pytest.mark.parametrize(
    "line",
    [b"Transfer-Encoding: chunked", b"Upgrade: x", b"Expect: 100-continue", b"Connection: close", b"Content-Length: +1",
     b" folded: x", b"no colon", b"A : b", b"A: b\x00", b"A: \r", b"Proxy-Connection: close",
     b"Connection: x, keep-alive"],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_left_to_the_parser(line: bytes) -> None:
    assert plain_headers(b"Host: a\r\n" + line) is None


def test_a_name_that_comes_twice_is_left_to_the_parser() -> None:
    assert plain_headers(b"Content-Length: 7\r\ncontent-length: 7") is None


def test_a_line_that_never_repeats_fills_no_memory() -> None:
    for number in range(3 * MOST):
        assert plain_headers(b"X-Id: %d" % number) is not None
    assert len(lines._read) <= MOST
    plain_headers(b"X-Id: " + b"1" * LONGEST)
    assert not any(len(text) > LONGEST for text in lines._read)


def test_a_field_cannot_become_two_lines() -> None:
    for value in (b"a\nb", b"a\rb", b"a\r\nX: y"):
        with pytest.raises(Refusal) as no:
            Written()[b"A", value]
        assert no.value.outcome == "not_sent"


def test_fields_that_never_repeat_fill_no_memory() -> None:
    table = Written()
    for number in range(3 * MOST):
        assert table[b"X-Id", b"%d" % number] == b"X-Id: %d\r\n" % number
    assert len(table) <= MOST


def test_a_request_line_too_long_is_refused_however_plain() -> None:
    with pytest.raises(Refusal) as no:
        Head(b"GET http://a/%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * head.MAX_LINE_BYTES))
    assert no.value.code == "header-too-large"
