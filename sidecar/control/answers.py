"""What the admin port says: JSON, and every no as ``application/problem+json`` (RFC 9457)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final, TypeVar

import orjson
from aiohttp import web

from sidecar.core.refusal import Refusal

T = TypeVar("T")

PEEK_S: Final = 3.0
"""How long the store may take to be looked into; probes and people give up after a few seconds."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_GUARDED = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
"""On every answer: a browser keeps, frames and reinterprets none of them."""


MANUAL = web.AppKey("manual", str)
"""The page that lists an application's endpoints."""


class Fault(Exception):
    """A request that is not served, and what to do about it."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, code, detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}


def said(value: object, status: int = 200) -> web.Response:
    """``value`` as JSON."""
    return _response(status, "application/json", _dumps(value), {})


def listed(items: object) -> web.Response:
    """A list, the way every list of this port looks."""
    return said({"items": items})


async def patiently(look: Awaitable[T]) -> T:
    """What the store says, unless it takes longer than people and probes do."""
    try:
        async with asyncio.timeout(PEEK_S):
            return await look
    except TimeoutError:
        raise Fault(503, "store-unavailable", f"The store did not answer within {PEEK_S:g} s.") from None


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into a problem; outermost, so that nothing else writes an error."""
    try:
        return await handler(request)
    except Fault as fault:
        return _problem(fault)
    except Refusal as no:
        return _problem(Fault(no.status, no.code, no.detail))
    except web.HTTPException as error:
        allow = error.headers.get("Allow")
        return _problem(
            Fault(
                error.status, _slug(error.status), _hint(request, error), {"Allow": allow} if allow else None
            )
        )
    except Exception:
        logging.getLogger("sidecar").exception("admin: %s %s failed", request.method, request.path)
        return _problem(Fault(500, "internal", "The sidecar failed; its log says why."))


def _problem(fault: Fault) -> web.Response:
    body = {
        "type": f"urn:sidecar:{fault.code}",
        "title": HTTPStatus(fault.status).phrase,
        "status": fault.status,
        "detail": fault.detail,
        "code": fault.code,
    }
    return _response(fault.status, "application/problem+json", _dumps(body), fault.headers)


def _response(status: int, content_type: str, body: bytes, headers: Mapping[str, str]) -> web.Response:
    return web.Response(
        status=status, body=body, headers={"Content-Type": content_type, **_GUARDED, **headers}
    )


def _slug(status: int) -> str:
    return HTTPStatus(status).phrase.lower().replace(" ", "-")


def _hint(request: web.Request, error: web.HTTPException) -> str:
    if error.status == 404:
        return f"There is no such endpoint; {request.app[MANUAL]} lists them."
    if error.status == 413:
        return "The body is larger than anything that is asked here."
    if error.status == 405:
        return f"Use {error.headers.get('Allow', 'another method')} here."
    return error.reason


def _dumps(value: object) -> bytes:
    return orjson.dumps(value, default=_plain, option=orjson.OPT_APPEND_NEWLINE)


def _plain(value: object) -> object:
    """What orjson does not take by itself: read-only mappings, and sets in a stable order."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(type(value).__name__)
