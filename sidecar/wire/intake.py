"""Where a call wants to go: targets and authorities into a ``Call``.

Four forms of target exist (RFC 9112 section 3.2), and this port takes three of them: absolute (``http://`` and
``https://``), authority (CONNECT), and the origin form only as the reverse form ``/_tool/<tool>/...``.  A client that
sends anything else has not understood that it talks to a proxy, so the refusal tells it how to.  Where an absolute
target and Host disagree the target wins (section 3.2.2); Host must be well-formed all the same.

Inside a CONNECT that was opened targets have the origin form, and where a call goes was said before: by the CONNECT,
and by the name in the TLS handshake.  A Host that says otherwise means another server, so there nothing wins and the
call is refused.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import Final, Literal, NamedTuple, Self

from sidecar.core.call import Call, Headers
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
_NO_URL: Final = "its target is neither an http:// nor an https:// URL"
_PORTS: Final[Mapping[str, tuple[Literal["http", "https"], int]]] = {
    "http": ("http", 80),
    "https": ("https", 443),
}


def call_of(head: Head, call_id: str, inside: "Inside | None" = None) -> Call:
    """The call that ``head`` asks for; ``inside`` an opened CONNECT.  Raises Refusal ``bad-request``."""
    if inside is not None:
        return _inside(head, call_id, inside)
    headers = head.headers
    named = headers.get(b"host")
    if named is not None:
        _named(named)
    method, path, query = head.method, head.path, head.query
    if method == "CONNECT":
        return _connect(head, call_id)
    if head.origin is None:
        return _reverse(head, call_id)
    scheme, host, port = _origin(head.origin)
    if not path:  # RFC 9112 section 3.2.4
        path = "*" if method == "OPTIONS" and query is None else "/"
    return Call(call_id, method, scheme, host, port, path, query or "", headers, "forward")


class Inside(NamedTuple):
    """What a CONNECT that was opened says of the calls in it."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    credentials: bytes | None
    """Its ``Proxy-Authorization``: calls inside have none, and each is identified anew."""
    agrees: bool
    """The TLS handshake asked for the same host, or for none by name."""

    @classmethod
    def of(cls, connect: Call, *, secure: bool, agrees: bool) -> Self:
        """``secure``: TLS is spoken in it."""
        credentials = connect.headers.get(b"proxy-authorization")
        return cls("https" if secure else "http", connect.host, connect.port, credentials, agrees)


def _inside(head: Head, call_id: str, inside: Inside) -> Call:
    headers, path = head.headers, head.path
    if not inside.agrees:
        raise bad_request(
            f"the TLS handshake named another host (SNI) than CONNECT, which named {inside.host}"
        )
    named = headers.get(b"host")
    if named is not None and not _agrees(_named(named), inside):
        raise bad_request(
            f"its Host is another than CONNECT named (or this connection began with), which is {inside.host} port "
            f"{inside.port}"
        )
    if head.origin is not None:
        if _origin(head.origin) != (inside.scheme, inside.host, inside.port):
            raise bad_request(
                f"its target is another than CONNECT named, which is {inside.host} port {inside.port}"
            )
        path = path or "/"
    if head.method == "CONNECT" or not (path.startswith("/") or path == "*"):
        raise bad_request("inside a CONNECT a target is a path")
    if inside.credentials is not None:
        field = (b"Proxy-Authorization", inside.credentials)
        headers = Headers(
            [field, *headers.raw], {**headers.first, b"proxy-authorization": inside.credentials}
        )
    return Call(
        call_id,
        head.method,
        inside.scheme,
        inside.host,
        inside.port,
        path,
        head.query or "",
        headers,
        "intercept",
    )


def _agrees(named: tuple[str, int | None], inside: Inside) -> bool:
    host, port = named
    return host == inside.host and (port is None or port == inside.port)


def _connect(head: Head, call_id: str) -> Call:
    if head.length != 0:
        raise bad_request("a CONNECT has no body")
    host, port = authority(head.path)
    if port is None or head.query is not None:
        raise bad_request("CONNECT needs host:port as its target")
    return Call(call_id, "CONNECT", "https", host, port, "/", "", head.headers, "connect")


def _reverse(head: Head, call_id: str) -> Call:
    """Host, port and scheme are the tool's to say, so they stay empty here."""
    if not head.path.startswith(REVERSE):
        if head.path.startswith("/") or head.path == "*":
            raise Refusal("bad-request", _HOW_TO)
        raise bad_request(_NO_URL)
    tool, _, path = head.path[len(REVERSE) :].partition("/")
    if not _TOOL.fullmatch(tool):
        raise Refusal("bad-request", f"No tool's name follows {REVERSE} in the path. {_HOW_TO}")
    query = head.query or ""
    return Call(call_id, head.method, "http", "", 0, f"/{path}", query, head.headers, "reverse", tool)


@lru_cache(maxsize=4096)
def _origin(text: str) -> tuple[Literal["http", "https"], str, int]:
    """``scheme://authority`` into scheme, host and port.  Raises Refusal ``bad-request``."""
    scheme, _, where = text.partition("://")
    known = _PORTS.get(scheme.lower())
    if known is None:
        raise bad_request(_NO_URL)
    host, port = authority(where)
    return known[0], host, port or known[1]


@lru_cache(maxsize=4096)
def _named(host: bytes) -> tuple[str, int | None]:
    return authority(host.decode("latin-1"))


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
