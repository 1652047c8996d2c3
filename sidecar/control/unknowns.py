"""What a person says of an unknown outcome, as JSON puts it."""

import re
from typing import Any, Final

import orjson

from sidecar.control.answers import Fault
from sidecar.core.call import Answer, Headers
from sidecar.core.headers import stored

_ID: Final = re.compile(r"[0-9a-f]{40}")
_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")


def id_of(text: str) -> str:
    """An id as it is listed.  Raises Fault ``not-found``."""
    if not _ID.fullmatch(text):
        raise missing(text)
    return text


def missing(text: str) -> Fault:
    return Fault(
        404,
        "not-found",
        f"There is no unknown outcome {text[:80]!r}: it was resolved, or its retention is over, or it never was. "
        "GET /unknown lists those that there are.",
    )


def verdict_of(body: dict[str, Any]) -> tuple[bool, Answer | None]:
    """Whether it was applied, and what its retries get.  Raises Fault ``bad-request``."""
    applied, answer = body.get("applied"), body.get("answer")
    if not isinstance(applied, bool):
        raise _bad('Say what happened: {"applied": true} or {"applied": false}, with "by" and "why".')
    if answer is None:
        return applied, None
    if not applied:
        raise _bad('What was not applied has no answer: leave "answer" out, or say "applied": true.')
    return applied, _answer(answer)


def _answer(said: Any) -> Answer:
    if not isinstance(said, dict) or not said.keys() <= {"status", "headers", "body"}:
        raise _bad(_HINT)
    status, headers, body = said.get("status", 200), said.get("headers", {}), said.get("body", "")
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
        raise _bad(f'"status" must be from 200 to 599. {_HINT}')
    if not isinstance(headers, dict) or not all(_field(name, value) for name, value in headers.items()):
        raise _bad(f'"headers" must be names with one line of text each. {_HINT}')
    fields = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    if isinstance(body, str):
        return Answer(status, stored(Headers(fields)), body.encode())
    if not any(name.lower() == b"content-type" for name, _ in fields):
        fields.append((b"Content-Type", b"application/json"))
    return Answer(status, stored(Headers(fields)), orjson.dumps(body))


def _field(name: str, value: Any) -> bool:
    return bool(_NAME.fullmatch(name)) and isinstance(value, str) and value.isascii() and value.isprintable()


_HINT: Final = (
    'Write {"status": 200, "headers": {"Name": "value"}, "body": ...}; a body that is no text is JSON.'
)


def _bad(detail: str) -> Fault:
    return Fault(400, "bad-request", detail)
