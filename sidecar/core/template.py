"""Key templates: literal text with ``{source.selector|filter}``.

    deal:{path.id}    {body.charge} {body.amount}    contact:{body.inputs[*].id}    note:{header.X-Ref|lower}

Sources are ``path query header body form tenant workflow run method host`` (see ``field.py``).  Two braces
are one: ``{{`` and ``}}``.

A template is rendered for two readers, who want different things of it:

- ``names`` gives the names of *entities*.  A list gives one name per element.  Values are text: record 1 is
  record ``"1"``, whoever wrote it.  A name with one value in it is just that text (``deal:42``); where
  several values stand in one name, the characters that keep them apart are escaped inside them, so no two
  lists of values give one name.
- ``key`` gives the text of an *intent*.  Values are JSON, so they keep their types (``1`` and ``"1"`` are two
  requests) and lists and objects stay whole; each carries its length, so it cannot be mistaken for its
  neighbours.

No value, no key: a field that the call lacks is a Refusal ``key-underivable`` that names the field and never
what stands beside it.
"""

from dataclasses import dataclass
from hashlib import blake2b
from itertools import product
from math import prod
from typing import Final, Self
from urllib.parse import quote

from sidecar.core.field import Field, TemplateError
from sidecar.core.refusal import Refusal
from sidecar.core.view import View

MOST_NAMES: Final = 256
"""Locks of one call: past it a batch must be split."""
LONGEST_NAME: Final = 200
"""Characters of an entity's name; a longer one ends in its digest."""


@dataclass(frozen=True, slots=True)
class Template:
    """Literal pieces with fields between them: one more literal than fields."""

    text: str
    literals: tuple[str, ...]
    fields: tuple[Field, ...]
    reads_body: bool
    _escapes: dict[int, str]
    """What is escaped inside values, so that they stay apart; empty where one value stands alone."""

    @classmethod
    def parse(cls, text: str, parameters: frozenset[str] | None = None) -> Self:
        """``parameters`` are those of the route's path (None: any).  Raises TemplateError."""
        literals, fields = [""], []
        place = 0
        while place < len(text):
            character = text[place]
            if character in "{}" and text[place : place + 2] == character * 2:
                literals[-1] += character
                place += 2
            elif character == "{":
                end = _closing(text, place)
                fields.append(Field.parse(text[place + 1 : end], place + 1, parameters))
                literals.append("")
                place = end + 1
            elif character == "}":
                raise TemplateError("'}' closes nothing; write '}}' for a brace", place)
            else:
                literals[-1] += character
                place += 1
        return cls._of(text, literals, fields)

    @classmethod
    def _of(cls, text: str, literals: list[str], fields: list[Field]) -> Self:
        between = literals[1:-1]
        if "" in between:
            position = text.index("}{") + 1
            raise TemplateError(
                "two values need text between them, or nobody can tell where one ends", position
            )
        if not text.strip():
            raise TemplateError("a key cannot be empty", 0)
        apart = {literal[0] for literal in between}
        escapes = {ord(character): f"%{ord(character):02X}" for character in ({*apart, "%"} if apart else ())}
        reads_body = any(field.source in ("body", "form") for field in fields)
        return cls(text, tuple(literals), tuple(fields), reads_body, escapes)

    def names(self, view: View) -> list[str]:
        """Names of entities, at most 256 of them.  Raises Refusal ``key-underivable``."""
        if len(self.fields) == 1:
            before, after = self.literals
            texts = self.fields[0].texts(view)
            found = [f"{before}{text}{after}" for text in texts]
        else:
            columns = [[text.translate(self._escapes) for text in field.texts(view)] for field in self.fields]
            if prod(map(len, columns)) > MOST_NAMES:
                raise too_many_names()
            found = [self._woven(row) for row in product(*columns)]
        if len(found) > MOST_NAMES:
            raise too_many_names()
        if max(map(len, found)) > LONGEST_NAME:
            found = [name if len(name) <= LONGEST_NAME else _shortened(name) for name in found]
        return found

    def _woven(self, texts: tuple[str, ...]) -> str:
        pieces = [self.literals[0]]
        for text, literal in zip(texts, self.literals[1:], strict=True):
            pieces += (text, literal)
        return "".join(pieces)

    def key(self, view: View) -> str:
        """The text of an intent.  Raises Refusal ``key-underivable``."""
        key = self.literals[0]
        for field, literal in zip(self.fields, self.literals[1:], strict=True):
            text = field.typed(view)
            key += f"{len(text)}:{text}{literal}"
        return key

    def target(self, view: View) -> str:
        """A request target: values are percent-encoded, several of one field have commas between.

        Raises Refusal ``key-underivable``.
        """
        target = self.literals[0]
        for field, literal in zip(self.fields, self.literals[1:], strict=True):
            text = ",".join(field.texts(view))
            if text in (".", ".."):
                raise Refusal(
                    "key-underivable", f"{{{field.text}}} is {text!r}, which leads elsewhere in a path."
                )
            target += f"{quote(text, safe='')}{literal}"
        return target

    def __repr__(self) -> str:
        return f"<Template {self.text}>"


def too_many_names() -> Refusal:
    """The refusal of a call that names more entities than one call may lock."""
    return Refusal(
        "key-underivable",
        f"This call names more than {MOST_NAMES} records, and one call may lock at most {MOST_NAMES}. "
        "Nothing was sent. Split it into several calls.",
    )


def _shortened(name: str) -> str:
    digest = blake2b(name.encode("utf-8"), digest_size=16).hexdigest()
    return f"{name[: LONGEST_NAME - 33]}#{digest}"


_QUOTES: Final = frozenset("'\"`")


def _closing(text: str, start: int) -> int:
    """Where the field that opens at ``start`` ends; quotes and inner braces belong to its selector."""
    depth, quote = 0, ""
    place = start
    while place < len(text):
        character = text[place]
        if quote:
            place += character == "\\"
            quote = "" if character == quote else quote
        elif character in _QUOTES:
            quote = character
        elif character in "{}":
            depth += 1 if character == "{" else -1
            if depth == 0:
                return place
        place += 1
    raise TemplateError("'{' is never closed; write '{{' for a brace", start)
