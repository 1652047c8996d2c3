"""What is wrong with a configuration and where, so that every problem reaches its author in one report."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing to mend.  ``line`` and ``column`` count from one; zero where the whole file is meant."""

    file: str
    line: int
    column: int
    message: str
    fatal: bool = True
    """False for a warning: the configuration loads, and does less than its author may think."""

    @property
    def place(self) -> str:
        """``file:line:column``, the form that editors and terminals turn into a link."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def __str__(self) -> str:
        return f"{self.place}: {'' if self.fatal else 'warning: '}{self.message}"


class ConfigError(Exception):
    """The configuration was refused whole; ``problems`` says everything that is wrong with it, in reading order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join([*map(str, self.problems), self.summary]))

    @property
    def summary(self) -> str:
        """``3 problems in 2 files; nothing was loaded``."""
        fatal = [problem for problem in self.problems if problem.fatal]
        files = len({problem.file for problem in fatal})
        return f"{count(len(fatal), 'problem')} in {count(files, 'file')}; nothing was loaded"


def count(number: int, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def listed(words: Sequence[str]) -> str:
    """``a, b or c``; at least one word."""
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def shown(text: str, longest: int = 60) -> str:
    """``text`` fit for one line of a terminal: cut, and with its control characters made visible."""
    text = text if len(text) <= longest else text[: longest - 3] + "..."
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def meant(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'locks'?`` where one of ``known`` is near ``word``, else nothing."""
    near = difflib.get_close_matches(word.lower(), {name.lower(): name for name in known}, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
