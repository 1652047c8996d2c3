"""A call as people write it: for ``explain``, on the command line and on the admin port."""

import pytest

from sidecar.core.call import Call, Headers

URLS = [
    ("GET", "http://Api.Test/a?b=c#d", ("http", "api.test", 80, "/a", "b=c", "forward", None)),
    ("GET", "https://api.test.:8443", ("https", "api.test", 8443, "/", "", "forward", None)),
    ("GET", "http://[::1]:8080/%2e", ("http", "::1", 8080, "/%2e", "", "forward", None)),
    ("POST", "/_tool/crm/deals/1?x", ("http", "", 80, "/deals/1", "x", "reverse", "crm")),
    ("POST", "http://127.0.0.1:8080/_tool/crm", ("http", "", 8080, "/", "", "reverse", "crm")),
    ("CONNECT", "api.test:443", ("https", "api.test", 443, "/", "", "connect", None)),
]


@pytest.mark.parametrize(("method", "url", "parts"), URLS)
def test_a_url_says_where_a_call_goes(method: str, url: str, parts: tuple[object, ...]) -> None:
    call = Call.of_url("c1", method, url, Headers(()))
    assert (call.scheme, call.host, call.port, call.path, call.query, call.intake, call.tool) == parts


@pytest.mark.parametrize(
    "url", ["", "api.test/a", "/a", "ftp://a/b", "http:///a", "http://a:x/", "http://a:99999/", "http://[::1"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Call.of_url("c1", "GET", url, Headers(()))
