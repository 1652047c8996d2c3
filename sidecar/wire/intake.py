"""Where a call wants to go: targets and authorities into a ``Call``.

Four forms of target exist (RFC 9112 section 3.2), and this port takes three of them: absolute (``http://`` and
``https://``), authority (CONNECT), and the origin form only as the reverse form ``/_tool/<tool>/...``.  A client that
sends anything else has not understood that it talks to a proxy, so the refusal tells it how to.  Where an absolute
target and Host disagree the target wins (section 3.2.2); Host must be well-formed all the same.
"""

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import Final, Literal

from sidecar.core.call import Call
from sidecar.core.refusal import Refusal
from sidecar.wire.head import Head, bad_request

REVERSE: Final = "/_tool/"
_HOST: Final = re.compile(r"(?=.{1,253}\.?\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_TOOL: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_HOW_TO: Final = (
    "This port is a proxy, not a web server. Set HTTP_PROXY and HTTPS_PROXY (and http_proxy, https_proxy) to this"
    " address and call the tool by its own URL, or call http://THIS-ADDRESS/_tool/TOOL/PATH with a configured"
    " tool's name."
)


def call_of(head: Head, call_id: str) -> Call:
    """The call that ``head`` asks for.  Raises Refusal ``bad-request``."""
    target = head.target
    host_field = head.headers.text(b"host")
    if host_field is not None:
        authority(host_field)
    if head.method == "CONNECT":
        return _connect(head, call_id)
    if target.startswith("http://"):
        return _forward(head, call_id, "http", 80, target[7:])
    if target.startswith(REVERSE):
        return _reverse(head, call_id)
    if target.startswith("/") or target == "*":
        raise Refusal("bad-request", _HOW_TO)
    scheme, separator, rest = target.partition("://")
    match scheme.lower(), bool(separator):
        case "https", True:
            return _forward(head, call_id, "https", 443, rest)
        case "http", True:
            return _forward(head, call_id, "http", 80, rest)
    raise bad_request("its target is neither an http:// nor an https:// URL")


def _forward(head: Head, call_id: str, scheme: Literal["http", "https"], port: int, rest: str) -> Call:
    if "#" in rest:
        raise bad_request("its target has a fragment (#...), which stays with the client")
    before, mark, query = rest.partition("?")
    where, slash, path = before.partition("/")
    path = (
        "*" if head.method == "OPTIONS" and not slash and not mark else f"/{path}"
    )  # RFC 9112 section 3.2.4
    host, named = authority(where)
    return Call(call_id, head.method, scheme, host, named or port, path, query, head.headers, "forward")


def _connect(head: Head, call_id: str) -> Call:
    if head.length != 0:
        raise bad_request("a CONNECT has no body")
    host, port = authority(head.target)
    if port is None:
        raise bad_request("CONNECT needs host:port as its target")
    return Call(call_id, "CONNECT", "https", host, port, "/", "", head.headers, "connect")


def _reverse(head: Head, call_id: str) -> Call:
    """Host, port and scheme are the tool's to say, so they stay empty here."""
    target = head.target
    if "#" in target:
        raise bad_request("its target has a fragment (#...), which stays with the client")
    path, _, query = target[len(REVERSE) :].partition("?")
    tool, _, path = path.partition("/")
    if not _TOOL.fullmatch(tool):
        raise Refusal("bad-request", f"No tool's name follows {REVERSE} in the path. {_HOW_TO}")
    return Call(call_id, head.method, "http", "", 0, f"/{path}", query, head.headers, "reverse", tool)


@lru_cache(maxsize=4096)
def authority(text: str) -> tuple[str, int | None]:
    """``host``, ``host:port`` or ``[v6]:port`` into host and port.  Raises Refusal ``bad-request``.

    Forms of IPv4 addresses that only some resolvers know (``127.1``) pass as names: egress judges what they mean.
    """
    if "@" in text:
        raise bad_request(
            "its target or Host holds a user name (user@host); send credentials in header fields"
        )
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, ""
    host = _host(host)
    if not port:
        return host, None
    if not _PORT.fullmatch(port) or not 0 < int(port) < 65536:
        raise bad_request("its target or Host has a port that is no number from 1 to 65535")
    return host, int(port)


def _host(text: str) -> str:
    host = text.lower()
    if host.startswith("[") and host.endswith("]"):
        try:
            if "%" not in host:  # a zone names an interface of somebody else's machine
                return str(IPv6Address(host[1:-1]))
        except AddressValueError:
            pass
    elif _HOST.fullmatch(host):
        return host.removesuffix(".")
    raise bad_request("its target or Host has no valid host name")
