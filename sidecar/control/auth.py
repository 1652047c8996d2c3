"""Who may ask the admin port, and who may change anything through it.

The agent shares the network namespace and a browser may share the machine, so being on loopback proves
nothing. Reading is open to whatever reaches the port.  Changing takes a bearer token that the agent's
environment lacks. A web page is kept out of both: rebinding a name to 127.0.0.1 shows in Host, a request
from another page in Origin or Sec-Fetch-Site, and a form cannot send JSON.  There are no CORS headers, so
no page reads an answer either.
"""

import hmac
from hashlib import sha256
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web

from sidecar.control.answers import Fault, Handler

TOKEN_VARIABLE = "SIDECAR_ADMIN_TOKEN"  # noqa: S105 - the variable's name
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="agent-sidecar"'}
_FOREIGN = frozenset({"cross-site", "same-site"})


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Keep web pages out."""
    _check_host(request)
    _check_origin(request)
    _check_content_type(request)
    return await handler(request)


def changing(token: str, handler: Handler) -> Handler:
    """``handler``, for those who have the token."""

    async def checked(request: web.Request) -> web.StreamResponse:
        check_token(request, token)
        return await handler(request)

    return checked


def check_token(request: web.Request, token: str) -> None:
    """Raises Fault where the request does not carry the token that may change anything."""
    if not token:
        hint = f"Set {TOKEN_VARIABLE} in the sidecar's environment, not in the agent's, and restart it."
        raise Fault(403, "token-not-set", f"Nothing can be changed through this port. {hint}")
    if not has_token(request, _digest(token)):
        detail = f"Send 'Authorization: Bearer ' and the value of {TOKEN_VARIABLE}."
        raise Fault(401, "token-required", detail, CHALLENGE)


def has_token(request: web.Request, digest: bytes) -> bool:
    """Whether the request carries the token of that SHA-256.  Constant time; not even the length shows."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(_digest(given.strip()), digest)


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogateescape")).digest()


def _check_host(request: web.Request) -> None:
    local = request.transport.get_extra_info("sockname") if request.transport is not None else None
    if not local or not _loopback(str(local[0])):
        return
    for host in request.headers.getall("Host", []):
        if not _loopback(_hostname(host)):
            detail = "Over loopback this port answers to 'localhost' and loopback addresses only, not to other names."
            raise Fault(403, "host-not-allowed", detail)


def _check_origin(request: web.Request) -> None:
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site")
    if origin is not None and origin.partition("://")[2] != request.headers.get("Host"):
        raise Fault(403, "cross-origin", "Web pages of other origins may not use this port.")
    followed = request.method == "GET" and request.headers.get("Sec-Fetch-Mode") == "navigate"
    if site in _FOREIGN and not followed:  # a link that a person follows shows its answer to that person only
        raise Fault(403, "cross-origin", "Web pages of other origins may not use this port.")


def _check_content_type(request: web.Request) -> None:
    if request.can_read_body and request.content_type != "application/json":
        raise Fault(415, "unsupported-media-type", "Send 'Content-Type: application/json'.")


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
