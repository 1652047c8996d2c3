"""One field of a template: ``{source.selector|filter}``, compiled to a function of the call.

``{path.id}`` is a parameter of the route's path and ``{path}`` the whole of it; ``{query}`` and ``{body}``
alone are the whole query and body in canonical form.  ``header``, ``query`` and ``form`` fields are named as
they are, a ``body`` selector is JMESPath; filters apply from left to right to each value as text.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import blake2b
from typing import Any, Final, Self, TypeAlias

import orjson

from sidecar.core.content import Unreadable
from sidecar.core.refusal import Refusal
from sidecar.core.selector import Missing, compile_selector
from sidecar.core.view import View

Read: TypeAlias = Callable[[View], Any]

SOURCES: Final = ("path", "query", "header", "body", "form", "tenant", "workflow", "run", "method", "host")
NEED_SELECTOR: Final = frozenset({"header", "form"})
NO_SELECTOR: Final = frozenset({"tenant", "workflow", "run", "method", "host"})
FILTERS: Final[dict[str, Callable[[str], str]]] = {
    "lower": str.lower,
    "trim": str.strip,
    "digits": lambda text: "".join(character for character in text if character in "0123456789"),
    "hash": lambda text: blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest(),
}


_FILTER: Final = re.compile(r"\|([A-Za-z_]+)$")


class TemplateError(ValueError):
    """What is wrong with a template, and at which character (from 0)."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


@dataclass(frozen=True, slots=True)
class Field:
    """One ``{...}``."""

    text: str
    source: str
    read: Read
    filters: tuple[Callable[[str], str], ...]

    @classmethod
    def parse(cls, text: str, position: int, parameters: frozenset[str] | None) -> Self:
        """``text`` stands between braces at ``position`` of its template.  Raises TemplateError."""
        rest = text
        filters: list[Callable[[str], str]] = []
        while match := _FILTER.search(rest):
            if match[1] not in FILTERS:
                raise TemplateError(_unknown("filter", match[1], FILTERS), position + match.start(1))
            filters.insert(0, FILTERS[match[1]])
            rest = rest[: match.start()]
        source, dot, selector = rest.partition(".")
        _check_source(source, dot, selector, position)
        try:
            read = _reader(source, selector, parameters)
        except ValueError as error:
            raise TemplateError(str(error), position + len(source) + 1) from None
        return cls(text, source, read, tuple(filters))

    def __reduce__(self) -> tuple[Callable[[str], "Field"], tuple[str]]:
        return _again, (self.text,)  # functions do not travel, the text that they are made of does

    def value(self, view: View) -> Any:
        """What the call says; a list where it says several.  Raises Refusal ``key-underivable``."""
        try:
            value = self.read(view)
        except Missing:
            raise self._underivable("the call has no such value") from None
        except Unreadable as error:
            raise self._underivable(str(error)) from None
        return self._filtered(value) if self.filters else value

    def texts(self, view: View) -> list[str]:
        """The value as the text of names, one for each element of a list."""
        value = self.value(view)
        texts = [self._as_text(item) for item in value] if isinstance(value, list) else [self._as_text(value)]
        if not texts:
            raise self._underivable("it is an empty list")
        return texts

    def typed(self, view: View) -> str:
        """The value as JSON, so that its type shows; a whole body as its canonical text."""
        value = self.value(view)
        if isinstance(value, bytes):
            return value.decode("utf-8", "surrogateescape")
        try:
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
        except orjson.JSONEncodeError:  # a whole number past 64 bits, or text that is no UTF-8
            return json.dumps(value, sort_keys=True)

    def meant(self, view: View) -> str:
        """The value as routes of different shape agree on it: the number 7 and the text ``7`` mean the same record."""
        value = self.value(view)
        if not isinstance(value, (dict, list)):
            return self._as_text(value)
        return json.dumps(value, sort_keys=True)

    def _filtered(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._filtered(item) for item in value]
        text = self._as_text(value)
        for apply in self.filters:
            text = apply(text)
        return text

    def _as_text(self, value: Any) -> str:
        if isinstance(value, str):
            text = value
        elif isinstance(value, bool):
            text = "true" if value else "false"
        elif isinstance(value, int):
            text = str(value)
        elif isinstance(value, bytes):  # a whole body
            text = blake2b(value, digest_size=16).hexdigest()
        elif isinstance(value, float):
            text = str(int(value)) if value.is_integer() else repr(value)
        else:
            raise self._underivable(
                "it is a group of fields, not one value; the route must select one inside it"
            )
        if not text:
            raise self._underivable("it is empty")
        if not text.isascii() and any(0xD800 <= ord(character) <= 0xDFFF for character in text):
            raise self._underivable("it is not UTF-8")
        return text

    def _underivable(self, why: str) -> Refusal:
        return Refusal(
            "key-underivable",
            f"This call needs a value for {{{self.text}}}, because its route tells records and duplicates "
            f"apart by it, and there is none to use: {why}. Nothing was sent. Add the value to the request "
            "and send it again.",
        )


def _again(text: str) -> Field:
    return Field.parse(text, 0, None)


def _check_source(source: str, dot: str, selector: str, position: int) -> None:
    if source not in SOURCES:
        raise TemplateError(_unknown("source", source, SOURCES), position)
    after = position + len(source)
    if source in NO_SELECTOR and dot:
        raise TemplateError(f"'{source}' has no fields; write {{{source}}}", after)
    if (source in NEED_SELECTOR or dot) and not selector:
        raise TemplateError(f"'{source}' needs a field name, like {{{source}.name}}", after)


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    known = list(known)
    close = get_close_matches(name, known, 1)
    hint = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(known)}"
    return f"unknown {kind} '{name}'; {hint}"


def _reader(source: str, selector: str, parameters: frozenset[str] | None) -> Read:
    if source == "path":
        return _path_reader(selector, parameters) if selector else lambda view: view.path
    if source == "query":
        return _query_reader(selector) if selector else lambda view: view.canonical_query()
    if source == "header":
        return _header_reader(selector)
    if source in ("body", "form"):
        return _body_reader(source, selector)
    if source == "method":
        return lambda view: view.call.method
    if source == "host":
        return lambda view: view.host
    return _identity_reader(source)


def _path_reader(name: str, parameters: frozenset[str] | None) -> Read:
    if parameters is not None and name not in parameters:
        if not parameters:
            raise ValueError(f"the route's path has no parameter '{name}'")
        raise ValueError(_unknown("path parameter", name, sorted(parameters)))
    return lambda view: view.params[name]


def _query_reader(name: str) -> Read:
    return lambda view: _several([value for key, value in view.query() if key == name])


def _header_reader(name: str) -> Read:
    key = name.lower().encode("latin-1", "replace")
    return lambda view: _several([value.decode("latin-1") for value in view.call.headers.all(key)])


def _several(values: list[str]) -> list[str] | str:
    if not values:
        raise Missing
    return values[0] if len(values) == 1 else values


def _body_reader(source: str, selector: str) -> Read:
    if not selector:
        return lambda view: view.content.canonical
    select = compile_selector(selector)
    if source == "body":
        return lambda view: select(view.content.fields)

    def read_form(view: View) -> Any:
        if not view.content.is_form:
            raise Unreadable("the body is no form")
        return select(view.content.fields)

    return read_form


def _identity_reader(source: str) -> Read:
    def read(view: View) -> str:
        value: str = getattr(view.who, source)
        if not value:
            raise Missing
        return value

    return read
