import gzip

import pytest

from sidecar.core.call import Headers
from sidecar.core.content import Content
from sidecar.core.downstream import body_with, callers_key, query_with
from sidecar.core.refusal import Refusal
from sidecar.core.route import DownstreamKey
from tests.core.calls import JSON, call, tool


def content(body: bytes, **headers: str) -> Content:
    return Content(body, Headers([(n.replace("_", "-").encode(), v.encode()) for n, v in headers.items()]))


@pytest.mark.parametrize(
    ("place", "name", "url", "headers", "body", "key"),
    [
        ("header", "X-Key", "http://api.test/", {"X-Key": "a"}, b"", "a"),
        ("header", "X-Key", "http://api.test/", {"X-Key": "a", "Idempotency-Key": "b"}, b"", "b"),
        ("header", "X-Key", "http://api.test/", {"X-Key": '"a \\"b\\\\"'}, b"", 'a "b\\'),
        ("query", "rid", "http://api.test/?rid=a%20b&rid=c", {}, b"", "a b"),
        ("query", "rid", "http://api.test/?other=1", {}, b"", ""),
        ("body", "key", "http://api.test/", JSON, b'{"key":"a"}', "a"),
        ("body", "key", "http://api.test/", JSON, b'{"key":5}', ""),
        ("body", "key", "http://api.test/", JSON, b"[1]", ""),
        ("body", "key", "http://api.test/", JSON, b"broken", ""),
    ],
)
def test_a_callers_key_is_read_where_the_upstream_reads_it(
    place: str, name: str, url: str, headers: dict[str, str], body: bytes, key: str
) -> None:
    its = tool(downstream=DownstreamKey(place, name))  # type: ignore[arg-type]
    made = call("POST", url, headers)
    assert callers_key(its, made, Content(body, made.headers)) == key


def test_a_key_of_a_caller_that_is_too_long_is_refused_wherever_it_stands() -> None:
    its = tool(downstream=DownstreamKey("query", "rid"))
    with pytest.raises(Refusal, match="bad-request"):
        callers_key(its, call("POST", "http://api.test/?rid=" + "x" * 300), content(b""))


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"[1]", {"content_type": "application/json"}),
        (b"text", {"content_type": "text/plain"}),
        (b"", {"content_type": "application/json"}),
        (b'{"a":1,"a":2}', {"content_type": "application/json"}),
        (gzip.compress(b'{"a":1}'), {"content_type": "application/json", "content_encoding": "gzip"}),
        (
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--',
            {"content_type": "multipart/form-data; boundary=x"},
        ),
    ],
)
def test_a_body_that_has_no_place_for_the_key_is_refused(body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(Refusal) as no:
        body_with(content(body, **headers), "key", "k")
    assert no.value.code == "key-underivable"
    assert "'key'" in no.value.detail


def test_an_empty_query_gets_its_first_parameter() -> None:
    assert query_with("", "a b", "x&y") == "a%20b=x%26y"
