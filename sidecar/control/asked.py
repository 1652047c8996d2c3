"""What a request that changes something says: its JSON body, and who asks and why."""

from typing import Any, NamedTuple

import orjson
from aiohttp import web

from sidecar.control.answers import Fault

LONGEST = 1000
"""Characters of who and why: they stand in the log and in the store."""


class Decision(NamedTuple):
    """Who decided, and why.  Both are taken as they are said: who has the token may speak for anybody."""

    by: str
    why: str


async def body_of(request: web.Request) -> dict[str, Any]:
    """The JSON object that the request carries; empty where it has no body.  Raises Fault ``bad-request``."""
    text = await request.read()
    try:
        value = orjson.loads(text) if text else {}
    except orjson.JSONDecodeError as error:
        raise Fault(400, "bad-request", f"The body is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise Fault(
            400, "bad-request", 'The body must be a JSON object, like {"by": "ada", "why": "checked"}.'
        )
    return value


def decision(body: dict[str, Any]) -> Decision:
    """Raises Fault ``bad-request`` where nobody is named."""
    by, why = body.get("by"), body.get("why", "")
    if not isinstance(by, str) or not by.strip() or not isinstance(why, str):
        raise Fault(
            400, "bad-request", 'Say who decides, and why: {"by": "ada", "why": "checked in Stripe"}.'
        )
    return Decision(_line(by), _line(why))


def _line(text: str) -> str:
    """One line of printable text."""
    return "".join(c if c.isprintable() else " " for c in text.strip())[:LONGEST]
