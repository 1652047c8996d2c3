"""The kinds of values in YAML: each reads text, and describes itself for the JSON Schema and the reference page.

Every scalar arrives as text (see ``document.py``), so each kind has a reader of its own.  Readers raise ``ValueError``
with a predicate; bounds are part of the reader, so that a message speaks of the text and not of the number behind it.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from sidecar.core import units

T = TypeVar("T")


class Fields(BaseModel):
    """A mapping with known keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    stand_in: ClassVar[dict[str, str]] = {}
    """For needed fields that are missing or wrong, so that the others can be checked further."""


def field(default: Any, description: str, *, alias: str | None = None) -> Any:
    """A field that may be left out.  ``default`` is written as in YAML, and read like it."""
    return Field(default, validate_default=True, description=description, alias=alias)


def needed(description: str) -> Any:
    """A field that must be there."""
    return Field(description=description)


def filled(**defaults: Any) -> BeforeValidator:
    """Fill in what a mapping leaves out."""
    return BeforeValidator(lambda value: {**defaults, **value} if isinstance(value, dict) else value)


def text(value: Any) -> str:
    """A scalar; a list or a mapping is no text."""
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value


def reader(read: Callable[[str], T]) -> BeforeValidator:
    """A kind of value that ``read`` makes of text."""
    return BeforeValidator(lambda value: read(text(value)))


def one_or_list(value: Any) -> Any:
    """A single text stands for a list of one."""
    return [value] if isinstance(value, str) else value


def _boolean(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError("is neither true nor false")
    return value == "true"


def _whole(least: int, most: int = 1_000_000) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,12}", value):
            raise ValueError("is not a whole number")
        if not least <= int(value) <= most:
            raise ValueError(f"must be from {least} to {most}")
        return int(value)

    return read


def _pattern(pattern: str, predicate: str) -> Callable[[str], str]:
    known = re.compile(pattern, re.ASCII)

    def read(value: str) -> str:
        if not known.fullmatch(value):
            raise ValueError(predicate)
        return value

    return read


def _version(value: str) -> int:
    if value != "1":
        raise ValueError("is not a version that this sidecar reads; write 1")
    return 1


def _some_time(value: str) -> int:
    ms = units.duration_ms(value)
    if ms == 0:
        raise ValueError("must be longer than nothing")
    return ms


def _port(value: str) -> int:
    if ":" in value:
        raise ValueError("is more than a port; write the number alone, the host is always loopback")
    return _whole(1, 65_535)(value)


def _lease(value: str) -> int:
    ms = units.duration_ms(value)
    if not 1_000 <= ms <= 600_000:
        raise ValueError("must be from 1s to 10m")
    return ms


def _budget_window(value: str) -> int:
    ms = units.duration_ms(value)
    if not 60_000 <= ms <= 90 * 86_400_000:
        raise ValueError("must be from 1m to 90d")
    return ms


def _idle(value: str) -> int:
    ms = units.duration_ms(value)
    if not 1_000 <= ms <= 86_400_000:
        raise ValueError("must be from 1s to 24h")
    return ms


def _store_url(value: str) -> str:
    if value != "embedded" and not value.startswith(
        ("redis://", "rediss://", "unix://", "redis+", "rediss+")
    ):
        raise ValueError("is no store; write embedded, redis://, rediss:// or unix://")
    return value


def _not_empty(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty")
    return value


def _secret(value: str) -> str:
    if len(value) < 16:
        raise ValueError(
            "is too short to sign with; use 16 characters or more, from the environment: ${NAME}"
        )
    return value


def _cap_or_auto(value: str) -> int | tuple[int, int]:
    found = re.fullmatch(r"auto(?: (\d{1,7})\.\.(\d{1,7}))?", value, re.ASCII)
    if found is None:
        return _whole(1)(value)
    least, most = int(found[1] or 1), int(found[2] or 200)
    if not 1 <= least <= most <= 1_000_000:
        raise ValueError("has no bounds that a cap can have; write 'auto LEAST..MOST', like auto 2..50")
    return least, most


def _described(kind: str, pattern: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema(
        {"type": "string", "format": kind, "pattern": f"^{pattern}$", "examples": list(examples)}
    )


_NUMBER: Final = {"type": "integer", "maximum": 1_000_000}
_DURATION: Final = r"(0|[0-9]+(\.[0-9]+)? ?(ms|s|m|h|d)|.*\$\{.*)"
_SIZE: Final = r"([0-9]+ ?(B|KiB|MiB|GiB)|.*\$\{.*)"

Text = Annotated[str, reader(_not_empty)]
Flag = Annotated[bool, reader(_boolean), WithJsonSchema({"type": "boolean"})]
Cap = Annotated[int, reader(_whole(1)), WithJsonSchema({**_NUMBER, "minimum": 1})]
Count = Annotated[int, reader(_whole(0)), WithJsonSchema({**_NUMBER, "minimum": 0})]
Weight = Annotated[int, reader(_whole(1, 1_000)), WithJsonSchema({**_NUMBER, "minimum": 1, "maximum": 1_000})]
CapOrAuto = Annotated[
    int | tuple[int, int],
    reader(_cap_or_auto),
    WithJsonSchema(
        {
            "anyOf": [
                {**_NUMBER, "minimum": 1},
                {"type": "string", "format": "`auto`", "pattern": r"^auto( [0-9]+\.\.[0-9]+)?$"},
            ]
        }
    ),
]
"""A number, or the least and the most of a cap that finds its own."""
Amount = Annotated[
    str,
    reader(
        _pattern(r"[0-9]{1,16}(\.[0-9]{1,9})?", "is not an amount; write a number like 500000 or 5000.00")
    ),
    WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}]}),
]
"""As written: how many decimals it may have is said beside it."""
Decimals = Annotated[
    int, reader(_whole(0, 9)), WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 9})
]
Attempts = Annotated[
    int, reader(_whole(1, 10)), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 10})
]
KeyLength = Annotated[
    int, reader(_whole(16, 255)), WithJsonSchema({"type": "integer", "minimum": 16, "maximum": 255})
]
Wait = Annotated[
    int,
    reader(units.duration_ms),
    WithJsonSchema(
        {"anyOf": [{"const": 0}, {"type": "string", "format": "duration", "pattern": f"^{_DURATION}$"}]}
    ),
]
"""Milliseconds, zero included."""
Idle = Annotated[int, reader(_idle), _described("duration", _DURATION, "30s", "2m")]
Duration = Annotated[int, reader(_some_time), _described("duration", _DURATION, "500ms", "30s", "10m", "24h")]
"""Milliseconds, never zero."""
BudgetWindow = Annotated[int, reader(_budget_window), _described("duration", _DURATION, "1h", "24h", "30d")]
"""Milliseconds: long enough for the buckets that it is cut into."""
Lease = Annotated[int, reader(_lease), _described("duration", _DURATION, "15s")]
"""Milliseconds: long enough to be renewed in time, short enough to wait for."""
StoreUrl = Annotated[str, reader(_store_url), _described("URL", r".+", "embedded", "redis://localhost:6379")]
Size = Annotated[int, reader(units.size_bytes), _described("size", _SIZE, "256KiB", "1MiB")]
"""Bytes."""
Rate = Annotated[
    tuple[int, int], reader(units.rate), _described("rate", r"[0-9]+ ?(per|/) ?.+", "100 per 10s")
]
Address = Annotated[
    tuple[str, int], reader(units.address), _described("host:port", r".+:([0-9]+|.*\$\{.*)", "127.0.0.1:8080")
]
Port = Annotated[int, reader(_port), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 65_535})]
Network = Annotated[units.Network, reader(units.network), _described("CIDR", r".+", "10.1.0.0/16")]
Url = Annotated[
    str, reader(units.base_url), _described("URL", r"(https?://.+|.*\$\{.*)", "https://api.example.com")
]
Version = Annotated[
    Literal[1],
    reader(_version),
    WithJsonSchema({"const": 1}),
]
Name = Annotated[
    str,
    reader(
        _pattern(
            r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
            "is not a name; use letters, digits, '.', '_' and '-', at most 64",
        )
    ),
    _described("name", r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "deal.update"),
]
Names = Annotated[tuple[Name, ...], BeforeValidator(one_or_list, json_schema_input_type=Name | list[Name])]
Identifier = Annotated[
    str,
    reader(
        _pattern(
            r"[\x21-\x7e](?:[\x20-\x7e]{0,126}[\x21-\x7e])?",
            "is not an identity; use printable ASCII, at most 128 characters",
        )
    ),
    _described("identity", r".+", "acme"),
]
FieldName = Annotated[
    str,
    reader(_pattern(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", "is not the name of a header or a parameter")),
    _described("field name", r".+", "Idempotency-Key"),
]
Sha256 = Annotated[
    str,
    reader(_pattern(r"[0-9a-fA-F]{64}", "is not a SHA-256 in hex (64 digits)")),
    _described("SHA-256", r".+"),
]
Status = Annotated[
    str,
    reader(_pattern(r"[1-5]xx|[1-5][0-9][0-9]", "is not a status; write one like 404, or a class like 2xx")),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 100, "maximum": 599},
                {"enum": ["2xx", "3xx", "4xx", "5xx"]},
            ]
        }
    ),
]
ErrorStatus = Annotated[
    int, reader(_whole(400, 599)), WithJsonSchema({"type": "integer", "minimum": 400, "maximum": 599})
]
AnswerStatus = Annotated[
    int, reader(_whole(200, 599)), WithJsonSchema({"type": "integer", "minimum": 200, "maximum": 599})
]
Method = Annotated[
    str,
    reader(_pattern(r"[A-Z][A-Z-]{0,19}", "is not a method; write it in capitals, like PATCH")),
    _described("method", r"[A-Z][A-Z-]*", "GET", "POST", "PATCH"),
]
Approvers = Annotated[
    int, reader(_whole(1, 5)), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 5})
]
Secret = Annotated[str, reader(_secret), WithJsonSchema({"type": "string", "minLength": 16})]
"""What both ends of a signature know."""
Statuses = Annotated[
    tuple[Status, ...], BeforeValidator(one_or_list, json_schema_input_type=Status | list[Status])
]
Texts = Annotated[tuple[Text, ...], BeforeValidator(one_or_list, json_schema_input_type=str | list[str])]
Methods = Annotated[
    tuple[Method, ...], BeforeValidator(one_or_list, json_schema_input_type=Method | list[Method])
]
LaneName = Literal["read", "draft", "write", "high_risk"]
Mode = Literal["enforce", "observe"]
