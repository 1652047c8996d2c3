import pytest

from sidecar.core.call import Call
from sidecar.core.refusal import Refusal
from sidecar.wire.head import Head
from sidecar.wire.intake import call_of


def call(method: str, target: str, host: str = "other.test", extra: str = "") -> Call:
    return call_of(
        Head(f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{extra}\r\n".encode("latin-1")), "c-1"
    )


@pytest.mark.parametrize(
    ("target", "scheme", "host", "port", "path", "query"),
    [
        ("http://crm.test/a", "http", "crm.test", 80, "/a", ""),
        ("http://crm.test:8080/a?b=c", "http", "crm.test", 8080, "/a", "b=c"),
        ("https://crm.test/a", "https", "crm.test", 443, "/a", ""),
        ("HTTP://CRM.Test./a", "http", "crm.test", 80, "/a", ""),
        ("hTTpS://CRM.Test:443/A", "https", "crm.test", 443, "/A", ""),
        ("http://crm.test", "http", "crm.test", 80, "/", ""),
        ("http://crm.test?b", "http", "crm.test", 80, "/", "b"),
        ("http://crm.test?b/c?d", "http", "crm.test", 80, "/", "b/c?d"),
        ("http://crm.test:/", "http", "crm.test", 80, "/", ""),
        ("http://crm.test//a/../b", "http", "crm.test", 80, "//a/../b", ""),
        ("http://crm.test/%2e%2F%zz?%20", "http", "crm.test", 80, "/%2e%2F%zz", "%20"),
        ("http://[::1]/a", "http", "::1", 80, "/a", ""),
        ("http://[2001:DB8::0:1]:99/a", "http", "2001:db8::1", 99, "/a", ""),
        ("http://127.0.0.1:9/a", "http", "127.0.0.1", 9, "/a", ""),
        ("http://under_score.test/a", "http", "under_score.test", 80, "/a", ""),
    ],
)
def test_an_absolute_target_says_where_to_go(
    target: str, scheme: str, host: str, port: int, path: str, query: str
) -> None:
    it = call("GET", target)
    assert (it.scheme, it.host, it.port, it.path, it.query) == (scheme, host, port, path, query)
    assert it.intake == "forward"
    assert it.tool is None


def test_where_target_and_host_disagree_the_target_wins() -> None:
    assert call("GET", "http://crm.test/", host="evil.test").host == "crm.test"


def test_options_for_a_whole_server_keeps_its_asterisk() -> None:
    assert call("OPTIONS", "http://crm.test").path == "*"
    assert call("OPTIONS", "http://crm.test/").path == "/"
    assert call("OPTIONS", "http://crm.test?").path == "/"


@pytest.mark.parametrize(
    ("target", "tool", "path", "query"),
    [
        ("/_tool/crm/v3/deals?x=1", "crm", "/v3/deals", "x=1"),
        ("/_tool/crm", "crm", "/", ""),
        ("/_tool/crm/", "crm", "/", ""),
        ("/_tool/crm?x", "crm", "/", "x"),
        ("/_tool/crm//a/%2F", "crm", "//a/%2F", ""),
    ],
)
def test_the_reverse_form_names_its_tool(target: str, tool: str, path: str, query: str) -> None:
    it = call("POST", target)
    assert (it.intake, it.tool, it.path, it.query) == ("reverse", tool, path, query)
    assert (it.host, it.port) == ("", 0)


@pytest.mark.parametrize(
    ("target", "host", "port"),
    [("crm.test:443", "crm.test", 443), ("[::1]:8443", "::1", 8443), ("CRM.test:80", "crm.test", 80)],
)
def test_connect_names_host_and_port(target: str, host: str, port: int) -> None:
    it = call("CONNECT", target)
    assert (it.intake, it.host, it.port) == ("connect", host, port)


MALFORMED = {
    "user name": ("GET", "http://user:pw@crm.test/"),
    "fragment": ("GET", "http://crm.test/a#b"),
    "fragment in the query": ("GET", "http://crm.test/a?b#c"),
    "fragment in the reverse form": ("GET", "/_tool/crm/a#b"),
    "another scheme": ("GET", "ftp://crm.test/"),
    "websocket scheme": ("GET", "ws://crm.test/"),
    "no host": ("GET", "http:///a"),
    "only a port": ("GET", "http://:80/a"),
    "port too large": ("GET", "http://crm.test:65536/"),
    "port zero": ("GET", "http://crm.test:0/"),
    "port with letters": ("GET", "http://crm.test:8a/"),
    "port with a sign": ("GET", "http://crm.test:+80/"),
    "two ports": ("GET", "http://crm.test:80:80/"),
    "open bracket": ("GET", "http://[::1/"),
    "no address in brackets": ("GET", "http://[crm.test]/"),
    "a zone": ("GET", "http://[fe80::1%25eth0]/"),
    "bare IPv6": ("GET", "http://::1/"),
    "percent in the host": ("GET", "http://crm%2etest/"),
    "empty label": ("GET", "http://crm..test/"),
    "two dots at the end": ("GET", "http://crm.test../"),
    "only a dot": ("GET", "http://./"),
    "comma in the host": ("GET", "http://crm.test,evil.test/"),
    "long label": ("GET", f"http://{'a' * 64}.test/"),
    "long name": ("GET", f"http://{'a.' * 127}test/"),
    "origin form": ("GET", "/v3/deals"),
    "a browser": ("GET", "/"),
    "two slashes": ("GET", "//evil.test/x"),
    "asterisk": ("OPTIONS", "*"),
    "asterisk for another method": ("GET", "*"),
    "no tool": ("GET", "/_tool/"),
    "empty tool": ("GET", "/_tool//deals"),
    "odd tool": ("GET", "/_tool/%63rm/deals"),
    "CONNECT without a port": ("CONNECT", "crm.test"),
    "CONNECT with an empty port": ("CONNECT", "crm.test:"),
    "CONNECT with a path": ("CONNECT", "crm.test:443/a"),
    "CONNECT with a query": ("CONNECT", "crm.test:443?a"),
    "CONNECT with a scheme": ("CONNECT", "http://crm.test:443"),
    "CONNECT with a user": ("CONNECT", "u@crm.test:443"),
}


@pytest.mark.parametrize(("method", "target"), MALFORMED.values(), ids=MALFORMED)
def test_a_target_that_leads_nowhere_is_refused(method: str, target: str) -> None:
    with pytest.raises(Refusal) as caught:
        call(method, target)
    assert caught.value.code == "bad-request"
    assert "pw" not in caught.value.detail


@pytest.mark.parametrize(
    "host", ["a b", "", "a,b", "u@crm.test", "crm.test/", "crm.test:x", "[::1", "caf\xe9.test"]
)
def test_a_malformed_host_field_is_refused_though_the_target_wins(host: str) -> None:
    with pytest.raises(Refusal) as caught:
        call("GET", "http://crm.test/", host=host)
    assert caught.value.code == "bad-request"


def test_who_sends_a_fragment_is_told_so() -> None:
    with pytest.raises(Refusal, match="fragment"):
        call("GET", "http://crm.test/a#b")


@pytest.mark.parametrize("target", ["/", "/v3/deals", "*"])
def test_who_takes_the_proxy_for_a_server_is_told_how_to_use_it(target: str) -> None:
    with pytest.raises(Refusal) as caught:
        call("OPTIONS", target)
    assert "HTTP_PROXY" in caught.value.detail
    assert "/_tool/" in caught.value.detail


@pytest.mark.parametrize("extra", ["Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n"])
def test_connect_has_no_body(extra: str) -> None:
    with pytest.raises(Refusal, match="no body"):
        call("CONNECT", "crm.test:443", extra=extra)
