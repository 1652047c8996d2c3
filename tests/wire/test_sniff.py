"""What a redirected connection begins with."""

import pytest

from sidecar.core.refusal import Refusal
from sidecar.wire.sniff import Opener, sniff
from tests.wire.hellos import hello, named, real

LIMIT = 4096

KNOWN = {
    real("crm.test"): Opener("tls", "crm.test"),
    real(None): Opener("tls"),
    b"GET / HTTP/1.1\r\nHost: CRM.test:80\r\n\r\n": Opener("http", "crm.test"),
    b"GET / HTTP/1.1\r\nHost: [fd00::1]:80\r\n\r\n": Opener("http", "fd00::1"),
    b"\r\nPOST /a HTTP/1.1\r\nHost: crm.test\r\nContent-Length: 1\r\n\r\nx": Opener("http", "crm.test"),
    b"GET / HTTP/1.0\r\n\r\n": Opener("http"),
    b"GET /_tool/crm/x HTTP/1.1\r\nHost: crm.test\r\n\r\n": Opener("http", "crm.test"),
    b"GET http://crm.test/ HTTP/1.1\r\nHost: crm.test\r\n\r\n": Opener("proxy"),
    b"CONNECT crm.test:443 HTTP/1.1\r\nHost: crm.test:443\r\n\r\n": Opener("proxy"),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": Opener("other"),
    b"SSH-2.0-OpenSSH_9.2\r\n": Opener("other"),
    b"EHLO agent\r\n": Opener("other"),
    b"\x80\x2e\x01\0\x02": Opener("other"),
    b"\0\0\0\x08": Opener("other"),
    b"\r\r": Opener("other"),
    b"GET " + b"a" * 40_000: Opener("other"),
    b"GET /\r\n": Opener("other"),
}


@pytest.mark.parametrize("data", KNOWN, ids=lambda data: repr(data[:20]))
def test_it_is_known_by_its_first_bytes(data: bytes) -> None:
    assert sniff(data, LIMIT) == KNOWN[data]


@pytest.mark.parametrize(
    "data", [data for data, opener in KNOWN.items() if opener.kind in ("tls", "http", "proxy")]
)
def test_nothing_is_decided_before_it_is_certain(data: bytes) -> None:
    decided = [end for end in range(1, len(data) + 1) if sniff(data[:end], LIMIT) is not None]
    assert {sniff(data[:end], LIMIT) for end in decided} == {KNOWN[data]}
    assert decided[0] == len(data.removesuffix(b"x")), "the whole of the hello or the head"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "bad-request"),
        (b"GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n", "bad-request"),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "bad-request"),
        (b"GET / HTTP/2.0\r\nHost: a.test\r\n\r\n", "bad-request"),
        (b"GET / http/1.1\nHost: a.test\r\n\r\n", "bad-request"),
        (
            b"GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "bad-request",
        ),
        (b"GET / HTTP/1.1\r\nHost: a.test\r\nX: " + b"x" * LIMIT, "header-too-large"),
        (hello(named(b"crm.test:443")), "bad-request"),
        (b"\x16\x03\x01\0\x05hello", "bad-request"),
    ],
)
def test_what_only_looks_like_http_or_tls_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        sniff(data, LIMIT)
    assert refused.value.code == code
