"""How problems look: one a line, ``file:line:column`` first, so that editors and terminals can jump there."""

import sys
from collections.abc import Iterable
from typing import Final

import orjson
from rich.console import Console
from rich.text import Text

from sidecar.core.problems import ConfigError, Problem, count

STYLE: Final = {True: "red", False: "yellow"}


def err() -> Console:
    """Standard error.  Lines are never wrapped: a wrapped line can be neither clicked nor searched for."""
    return Console(stderr=True, soft_wrap=True, highlight=False)


def out() -> Console:
    """Standard output, unwrapped as well."""
    return Console(soft_wrap=True, highlight=False)


def tell(problems: Iterable[Problem]) -> None:
    """Problems and warnings to standard error."""
    console = err()
    for problem in problems:
        line = Text(f"{problem.place}: ", style="bold")
        line.append("" if problem.fatal else "warning: ", style=STYLE[problem.fatal])
        line.append(problem.message, style=STYLE[True] if problem.fatal else "default")
        console.print(line)


def refused(error: ConfigError) -> None:
    """Every problem, and the count."""
    tell(error.problems)
    err().print(Text(error.summary, style="bold red"))


def as_json(problems: Iterable[Problem]) -> list[dict[str, object]]:
    """Problems for a program to read."""
    return [
        {
            "file": problem.file,
            "line": problem.line,
            "column": problem.column,
            "severity": "error" if problem.fatal else "warning",
            "message": problem.message,
        }
        for problem in problems
    ]


def print_json(value: object) -> None:
    """Indented JSON to standard output, whatever the terminal."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")


__all__ = ["ConfigError", "as_json", "count", "err", "out", "print_json", "refused", "tell"]
