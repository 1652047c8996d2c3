import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.core.refusal import Refusal
from sidecar.wire.head import MAX_FIELDS, MAX_LINE_BYTES, Head, Partial

LINE = b"POST http://crm.test/deals HTTP/1.1\r\n"
HOST = b"Host: crm.test\r\n"
LIMIT = 64 * 1024

MALFORMED = {
    "a length and a coding": LINE + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a coding and a length": LINE + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
    "two lengths": LINE + HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n",
    "one length twice": LINE + HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\n",
    "a list of lengths": LINE + HOST + b"Content-Length: 3, 3\r\n\r\n",
    "a length with a sign": LINE + HOST + b"Content-Length: +5\r\n\r\n",
    "a negative length": LINE + HOST + b"Content-Length: -5\r\n\r\n",
    "a length in hex": LINE + HOST + b"Content-Length: 0x5\r\n\r\n",
    "a length with an underscore": LINE + HOST + b"Content-Length: 1_0\r\n\r\n",
    "an empty length": LINE + HOST + b"Content-Length: \r\n\r\n",
    "an overflowing length": LINE + HOST + b"Content-Length: 18446744073709551616\r\n\r\n",
    "obs-fold": LINE + HOST + b"A: b\r\n c\r\n\r\n",
    "obs-fold first": LINE + b" Host: crm.test\r\n\r\n",
    "bare CR in a value": LINE + HOST + b"A: b\rc\r\n\r\n",
    "bare CR in the line": b"GET http://crm.test/\rHost: x\r\n\r\n",
    "bare LF in a value": LINE + HOST + b"A: b\nC: d\r\n\r\n",
    "bare LF after the line": b"GET http://crm.test/ HTTP/1.1\nHost: crm.test\r\n\r\n",
    "only bare LFs": b"GET http://crm.test/ HTTP/1.1\nHost: crm.test\n\n",
    "LF before the line": b"\nGET http://crm.test/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "two empty lines first": b"\r\n\r\nGET http://crm.test/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "NUL in a value": LINE + HOST + b"A: b\0c\r\n\r\n",
    "NUL in a name": LINE + HOST + b"A\0: b\r\n\r\n",
    "a control character in a value": LINE + HOST + b"A: b\x01c\r\n\r\n",
    "DEL in a value": LINE + HOST + b"A: b\x7fc\r\n\r\n",
    "a blank before the colon": LINE + HOST + b"Content-Length : 3\r\n\r\n",
    "a field without a colon": LINE + HOST + b"A\r\n\r\n",
    "a field without a name": LINE + HOST + b": b\r\n\r\n",
    "a name that is no token": LINE + HOST + b"A(b): c\r\n\r\n",
    "a name outside ASCII": LINE + HOST + b"\xe9: c\r\n\r\n",
    "a coding that is unknown": LINE + HOST + b"Transfer-Encoding: gzip\r\n\r\n",
    "a coding before chunked": LINE + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "a coding after chunked": LINE + HOST + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
    "chunked twice": LINE + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "identity, then chunked": LINE
    + HOST
    + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunked in quotes": LINE + HOST + b'Transfer-Encoding: "chunked"\r\n\r\n',
    "chunked with a parameter": LINE + HOST + b"Transfer-Encoding: chunked;q=1\r\n\r\n",
    "no coding named": LINE + HOST + b"Transfer-Encoding:\r\n\r\n",
    "a coding on HTTP/1.0": b"POST http://crm.test/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "no Host": LINE + b"\r\n",
    "two Hosts": LINE + HOST + b"Host: evil.test\r\n\r\n",
    "the same Host twice": LINE + HOST + b"HOST: crm.test\r\n\r\n",
    "no version": b"GET http://crm.test/\r\n\r\n",
    "HTTP/0.9": b"GET http://crm.test/ HTTP/0.9\r\n\r\n",
    "HTTP/1.2": b"GET http://crm.test/ HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/1.10": b"GET http://crm.test/ HTTP/1.10\r\n" + HOST + b"\r\n",
    "HTTP/2.0": b"GET http://crm.test/ HTTP/2.0\r\n" + HOST + b"\r\n",
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version in lower case": b"GET http://crm.test/ http/1.1\r\n" + HOST + b"\r\n",
    "RTSP": b"ANNOUNCE rtsp://crm.test RTSP/1.0\r\n\r\n",
    "ICE": b"SOURCE / ICE/1.0\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "TLS that looks like a line": b"\x16 http://crm.test/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method that is no token": b"G@T http://crm.test/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method in lower case": b"get http://crm.test/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "two blanks after the method": b"GET  http://crm.test/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "two blanks before the version": b"GET http://crm.test/  HTTP/1.1\r\n" + HOST + b"\r\n",
    "a blank after the version": b"GET http://crm.test/ HTTP/1.1 \r\n" + HOST + b"\r\n",
    "a blank before the method": b" GET http://crm.test/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "a blank in the target": b"GET http://crm.test/a b HTTP/1.1\r\n" + HOST + b"\r\n",
    "a tab in the target": b"GET http://crm.test/a\tb HTTP/1.1\r\n" + HOST + b"\r\n",
    "a control character in the target": b"GET http://crm.test/\x01 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target outside ASCII": b"GET http://crm.test/\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n",
    "an empty line only": b"\r\n\r\n",
}

TOO_LARGE = {
    "a head without an end": LINE + HOST + b"A: " + b"x" * LIMIT,
    "a head that ends too late": LINE + HOST + b"A: " + b"x" * LIMIT + b"\r\n\r\n",
    "a target without an end": b"GET http://crm.test/" + b"x" * MAX_LINE_BYTES,
    "a target that ends too late": b"GET http://crm.test/" + b"x" * MAX_LINE_BYTES + b" HTTP/1.1\r\n\r\n",
    "too many fields": LINE + HOST + b"A: b\r\n" * MAX_FIELDS + b"\r\n",
}

WELL_FORMED = [
    LINE + HOST + b"Content-Length: 500\r\nAccept:\r\nX: a \t b \t\r\n\r\n",
    LINE + HOST + b"Transfer-Encoding: Chunked\r\n\r\n",
    b"GET http://crm.test/ HTTP/1.0\r\n\r\n",
    b"CONNECT crm.test:443 HTTP/1.1\r\n" + HOST + b"\r\n",
]


def gathered(data: bytes, sizes: list[int]) -> object:
    """What becomes of ``data`` in pieces of these sizes, the rest at once: a head, None, or a refusal's words."""
    partial, at = Partial(LIMIT), 0
    try:
        for size in [*sizes, len(data)]:
            whole = partial.feed(data[at : at + size])
            if whole is not None:
                return fields_of(whole[0]), whole[1] + data[at + size :]
            at += size
            if at >= len(data):
                break
    except Refusal as no:
        return no.code, no.detail
    return None


def fields_of(head: bytes) -> object:
    it = Head(head)
    return (
        it.method,
        it.origin,
        it.path,
        it.query,
        it.headers.raw,
        it.http_1_0,
        it.length,
        it.close,
        it.expects,
    )


def at_once(data: bytes) -> object:
    """As a connection takes a head that is complete in its first segment."""
    end = data.find(b"\r\n\r\n", 0, LIMIT)
    if end < 0 or data[0] == 0x0D:
        return gathered(data, [])
    try:
        return fields_of(data[: end + 4]), data[end + 4 :]
    except Refusal as no:
        return no.code, no.detail


def test_a_head_is_read_as_it_was_written() -> None:
    head = Head(
        b"POST http://crm.test/deals?x=%2F HTTP/1.1\r\n"
        b"Host: crm.test\r\nX-A: \t a b \t \r\nx-a:\r\nContent-Length: 7\r\n\r\n"
    )
    assert head.method == "POST"
    assert (head.origin, head.path, head.query) == ("http://crm.test", "/deals", "x=%2F")
    assert head.headers.raw == [
        (b"Host", b"crm.test"),
        (b"X-A", b"a b"),
        (b"x-a", b""),
        (b"Content-Length", b"7"),
    ]
    assert (head.length, head.close, head.expects, head.http_1_0) == (7, False, False, False)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"A", b"a", b"B", b"X-Long-Name"]),
            st.text("ab, \t:", max_size=6).map(str.encode),
        ),
        max_size=6,
    )
)
def test_no_field_is_lost_however_often_its_name_comes_or_how_blank_its_end_is(
    fields: list[tuple[bytes, bytes]],
) -> None:
    block = b"".join(name + b":" + value + b"\r\n" for name, value in fields)
    assert Head(LINE + HOST + block + b"\r\n").headers.raw == [
        (b"Host", b"crm.test"),
        *((name, value.strip(b" \t")) for name, value in fields),
    ]


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_what_is_not_http_is_refused_as_soon_as_it_cannot_be_a_head(data: bytes) -> None:
    code, detail = at_once(data)  # type: ignore[misc] - a refusal, or the test fails
    assert code == "bad-request"
    assert "Nothing was sent" in detail


@pytest.mark.parametrize("data", TOO_LARGE.values(), ids=TOO_LARGE)
def test_what_is_too_large_is_refused(data: bytes) -> None:
    code, _ = at_once(data)  # type: ignore[misc] - a refusal, or the test fails
    assert code == "header-too-large"


@given(
    st.sampled_from([*MALFORMED.values(), *TOO_LARGE.values(), *WELL_FORMED]),
    st.lists(st.integers(1, 70), max_size=20),
)
@example(MALFORMED["two empty lines first"], [2])
def test_how_the_network_cuts_a_head_changes_nothing(data: bytes, sizes: list[int]) -> None:
    assert gathered(data, sizes) == at_once(data)


@given(st.binary(max_size=200), st.lists(st.integers(1, 9), max_size=20), st.booleans())
def test_any_bytes_are_a_head_or_a_refusal_or_not_enough(data: bytes, sizes: list[int], prefix: bool) -> None:
    data = LINE + HOST + data if prefix else data
    if data:
        assert gathered(data, sizes) == at_once(data)


def test_one_empty_line_before_a_request_is_forgiven() -> None:
    whole = Partial(LIMIT).feed(b"\r\n" + WELL_FORMED[0] + b"next")
    assert whole == (WELL_FORMED[0], b"next")


@pytest.mark.parametrize(
    ("fields", "version", "close"),
    [
        (b"", b"1.1", False),
        (b"Connection: keep-alive\r\n", b"1.1", False),
        (b"Connection: close\r\n", b"1.1", True),
        (b"Connection: TE, Close\r\n", b"1.1", True),
        (b"Connection: TE\r\nConnection: close\r\n", b"1.1", True),
        (b"Connection: keep-alive\r\nConnection: close\r\n", b"1.1", True),
        (b"", b"1.0", True),
        (b"Connection: keep-alive\r\n", b"1.0", True),
    ],
)
def test_a_connection_is_kept_unless_somebody_cannot_or_will_not(
    fields: bytes, version: bytes, close: bool
) -> None:
    head = Head(b"GET http://crm.test/ HTTP/" + version + b"\r\n" + HOST + fields + b"\r\n")
    assert head.close is close


@pytest.mark.parametrize(
    ("fields", "expects"),
    [
        (b"Expect: 100-continue\r\nContent-Length: 3\r\n", True),
        (b"Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n", True),
        (b"Expect: 100-continue\r\nContent-Length: 0\r\n", False),
        (b"Expect: 100-continue\r\n", False),
        (b"Expect: something-else\r\nContent-Length: 3\r\n", False),
    ],
)
def test_a_body_is_asked_for_where_the_client_waits_to_send_one(fields: bytes, expects: bool) -> None:
    assert Head(LINE + HOST + fields + b"\r\n").expects is expects


def test_a_websocket_may_be_asked_for() -> None:
    head = Head(LINE + HOST + b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert head.headers.get(b"upgrade") == b"websocket"


def test_http_1_0_knows_neither_upgrades_nor_100() -> None:
    fields = b"Connection: Upgrade\r\nUpgrade: websocket\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    head = Head(b"POST http://crm.test/ HTTP/1.0\r\n" + fields)
    assert b"upgrade" not in head.headers
    assert not head.expects


def test_http2_is_not_offered_on() -> None:
    head = Head(
        LINE
        + HOST
        + b"Connection: Upgrade, HTTP2-Settings, X-Hop\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n\r\n"
    )
    assert head.headers.raw == [(b"Host", b"crm.test"), (b"Connection", b"x-hop")]
