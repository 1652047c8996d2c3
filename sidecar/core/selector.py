"""JMESPath over the fields of a body, without its leniency.

JMESPath drops elements that lack the selected field: ``inputs[*].id`` over three records of which one has no
id gives two.  For a lock that would be a record left unlocked, so here a projection that finds nothing in an
element finds nothing at all.  A filter (``inputs[?type=='deal'].id``) still leaves out on purpose what it
does not name.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

import jmespath
from jmespath.exceptions import ArityError, JMESPathError, UnknownFunctionError
from jmespath.visitor import TreeInterpreter

from sidecar.core.content import Fields

Node: TypeAlias = Any
"""A node of JMESPath's syntax tree: ``type``, ``value``, ``children``."""

LONGEST: Final = 1024
"""Characters of a selector: the parser recurses."""

_ITSELF: Final[Any] = {"type": "identity", "children": []}


class Missing(Exception):
    """The body has no such value."""


def compile_selector(text: str) -> Callable[[Fields], Fields]:
    """A function from fields to what ``text`` selects; it raises Missing.  Raises ValueError."""
    if len(text) > LONGEST:
        raise ValueError(f"a selector has at most {LONGEST} characters, this one has {len(text)}")
    try:
        tree: Node = jmespath.compile(text).parsed
    except JMESPathError as error:
        raise ValueError(f"'{text}' is not a JMESPath selector: {str(error).partition(chr(10))[0]}") from None
    _check_functions(text)
    names = _plain_names(tree)
    return _evaluator(tree) if names is None else _walker(names)


def _check_functions(text: str) -> None:
    try:
        jmespath.search(text, {})
    except (UnknownFunctionError, ArityError) as error:
        raise ValueError(f"in the selector '{text}': {error}") from None
    except JMESPathError:
        return  # an empty body does not fit the function's types, a real one may


def _plain_names(node: Node) -> tuple[str, ...] | None:
    """The member names of a selector that only descends (``a.b.c``), else None."""
    if node["type"] == "field":
        return (str(node["value"]),)
    if node["type"] != "subexpression":
        return None
    names: tuple[str, ...] = ()
    for child in node["children"]:
        found = _plain_names(child)
        if found is None:
            return None
        names += found
    return names


def _walker(names: tuple[str, ...]) -> Callable[[Fields], Fields]:
    def walk(fields: Fields) -> Fields:
        for name in names:
            if not isinstance(fields, dict) or (fields := fields.get(name)) is None:
                raise Missing
        return fields

    return walk


def _evaluator(tree: Node) -> Callable[[Fields], Fields]:
    interpreter = _Strict()

    def evaluate(fields: Fields) -> Fields:
        try:
            value = interpreter.visit(tree, fields)
        except (JMESPathError, TypeError, ValueError, RecursionError):
            raise Missing from None
        if value is None:
            raise Missing
        return value

    return evaluate


class _Strict(TreeInterpreter):
    def visit_projection(self, node: Node, value: Fields) -> Fields:
        base = self.visit(node["children"][0], value)
        return self._each(node, base) if isinstance(base, list) else None

    def visit_value_projection(self, node: Node, value: Fields) -> Fields:
        base = self.visit(node["children"][0], value)
        return self._each(node, base.values()) if isinstance(base, dict) else None

    def visit_filter_projection(self, node: Node, value: Fields) -> Fields:
        base, _, keep = node["children"]
        choosing: Node = {**node, "children": [base, _ITSELF, keep]}
        kept = super().visit_filter_projection(choosing, value)
        return None if kept is None else self._each(node, kept)

    def _each(self, node: Node, elements: Iterable[Fields]) -> Fields:
        found = [self.visit(node["children"][1], element) for element in elements]
        if any(value is None for value in found):
            raise Missing
        return found
