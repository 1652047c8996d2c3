"""Text in a language of its own (a template, a condition), parsed, and its complaint told at the very character."""

import re
from collections.abc import Callable
from typing import TypeVar

from sidecar.core.document import Path
from sidecar.core.field import TemplateError
from sidecar.core.schema.read import Report

T = TypeVar("T")

_CEL_PLACE = re.compile(r"\b1:(\d+): ")


def tried(report: Report, path: Path, parse: Callable[[str], T], text: str, noun: str) -> T | None:
    """What ``parse`` makes of ``text``, or None and its complaint told at the character it is about."""
    try:
        return parse(text)
    except TemplateError as error:
        report.foreign(path, error, noun, error.position)
    except ValueError as error:
        place = _CEL_PLACE.search(str(error))
        report.foreign(path, error, noun, int(place[1]) - 1 if place else None)
    return None
