"""``when``: a CEL expression over one call, compiled once.

What an expression that fails means is decided by how it fails:

- a field is *missing*: it does not hold, and the next route is asked.  A call without an amount is no large
  refund.  Where not to hold is the weaker rule, the asker says so (``missing``);
- anything else (a text where a number was expected, a division by zero, a body that cannot be read) is
  *refused*.  An upstream may well read what we could not, so an agent could choose its route by how it writes.

Forms, queries and headers know only text, so an expression over them that does not type is tried again with
whole and decimal numbers read as such: ``body.amount > 0`` works for JSON and for forms alike.
"""

import re
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, Self

from sidecar.core.refusal import Refusal

CALL_NAMES: Final = frozenset(
    {"method", "host", "path", "query", "header", "body", "tenant", "workflow", "run"}
)
"""What an expression over a call may read."""

FUNCTIONS: Final = (
    *("bytes", "contains", "double", "duration", "dyn", "endsWith", "getDate", "getDayOfMonth"),
    *("getDayOfWeek", "getDayOfYear", "getFullYear", "getHours", "getMilliseconds", "getMinutes", "getMonth"),
    *("getSeconds", "int", "matches", "size", "startsWith", "string", "timestamp", "type", "uint"),
)
"""CEL's standard functions; the compiler lets any name pass and fails only when it is called."""

LONGEST: Final = 4096
"""Characters of an expression: the parser recurses, and no rule that a person reads is longer."""

_BOUND: Final = re.compile(r"\.(?:all|exists|exists_one|map|filter)\(\s*(\w+)\s*,")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d{0,17})(\.\d{1,17})?", re.ASCII)

_FAILS: Final = (LookupError, TypeError, ValueError, RuntimeError, ArithmeticError)
"""What an expression raises that lacks a field, or whose values do not fit it."""


class Condition:
    """A compiled expression; ``names`` are the variables it reads."""

    __slots__ = ("_run", "names", "reads_body", "text")

    def __init__(self, text: str, names: frozenset[str], run: Callable[[dict[str, Any]], object]) -> None:
        self.text = text
        self.names = tuple(sorted(names))
        self.reads_body = "body" in names
        self._run = run

    @classmethod
    def parse(cls, text: str, allowed: frozenset[str] = CALL_NAMES) -> Self:
        """Compile ``text``.  Raises ValueError in one line that says what is wrong."""
        cel = _engine()
        if len(text) > LONGEST:
            raise ValueError(f"a condition has at most {LONGEST} characters, this one has {len(text)}")
        try:
            program = cel.compile(text)
        except ValueError as error:
            raise ValueError(_in_one_line(str(error))) from None
        names = frozenset(program.variables()) - (frozenset(_BOUND.findall(text)) - allowed)
        for name in sorted(names - allowed):
            raise ValueError(
                f"unknown name '{name}' in the condition; it may read {', '.join(sorted(allowed))}"
            )
        for name in program.functions():
            if name.isidentifier() and name not in FUNCTIONS:
                raise ValueError(
                    f"unknown function '{name}' in the condition; known are {', '.join(FUNCTIONS)}"
                )
        return cls(text, names, program.execute)

    def holds(self, read: Callable[[str], object], missing: bool = False) -> bool:
        """Whether it is true; ``read`` gives a variable's value, and only what the expression names is read.
        ``missing``: what it is where a field that it needs is not there.

        Raises Refusal ``key-underivable`` where the call's values do not fit the expression.
        """
        values = {name: read(name) for name in self.names}
        try:
            return self._run(values) is True
        except (KeyError, IndexError):
            return missing
        except (TypeError, ValueError, RuntimeError, ArithmeticError):
            return self._holds_for_numbers(values, missing)

    def _holds_for_numbers(self, values: dict[str, object], missing: bool) -> bool:
        try:
            return self._run({name: _numbers(value) for name, value in values.items()}) is True
        except (KeyError, IndexError):
            return missing
        except (TypeError, ValueError, RuntimeError, ArithmeticError):
            raise Refusal(
                "key-underivable",
                f"The route for this call is chosen by the condition `{self.text}`, and the values in the "
                "call do not fit it (for example a text where it compares numbers). Send the fields it "
                "reads with the types that the API documents.",
            ) from None

    def value(self, read: Callable[[str], object]) -> object:
        """What it comes to.  Raises ValueError where a field is missing, or the values do not fit.

        What the call says may be text where the answer has a number, since a form knows only text.
        """
        try:
            values = {name: read(name) for name in self.names}
            try:
                return self._run(values)
            except _FAILS:
                return self._run({n: v if n == "answer" else _numbers(v) for n, v in values.items()})
        except (*_FAILS, Refusal) as error:
            raise ValueError(f"`{self.text}` has no value: {error}") from None

    def says(self, read: Callable[[str], object]) -> bool | None:
        """Whether it is true, where a wrong no would do harm: None unless that can be told without doubt.

        A number and the same number as text are equal here, since a form knows only text.
        """
        try:
            values = {name: read(name) for name in self.names}
        except Refusal:
            return None
        said: list[object] = []
        for given in (values, {name: _numbers(value) for name, value in values.items()}):
            try:
                said.append(self._run(given))
            except _FAILS:
                said.append(None)
        if any(word is True for word in said):
            return True
        return False if any(word is False for word in said) else None

    def __reduce__(self) -> tuple[Callable[[str, frozenset[str]], "Condition"], tuple[str, frozenset[str]]]:
        return Condition.parse, (self.text, frozenset(self.names))  # a program does not travel, its text does

    def __repr__(self) -> str:
        return f"<Condition {self.text}>"


def _engine() -> ModuleType:
    """CEL, for who has a condition.  The package imports its own command line and with it a terminal toolkit
    (110 ms, 10 MB); it finds this one instead.
    """
    sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))
    import cel

    return cel


def _numbers(value: object) -> object:
    """``value`` with every text that is plainly a number read as one."""
    if isinstance(value, str) and (match := _NUMBER.fullmatch(value)):
        return float(value) if match[1] else int(value)
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return value


def _in_one_line(message: str) -> str:
    _, _, reason = message.partition("ERROR: <input>:1:")
    column, _, rest = reason.partition(": ")
    if not rest:
        return "the condition is not valid CEL"
    return f"the condition is not valid CEL at 1:{column}: {rest.partition(chr(10))[0].strip()}"
