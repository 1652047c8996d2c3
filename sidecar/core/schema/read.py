"""A document read into the schema's models, with every mistake told at its place in its author's words."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sidecar.core.document import Document, Mark, Node, Path, inside
from sidecar.core.problems import Problem, listed, meant, shown
from sidecar.core.schema.fields import Fields

M = TypeVar("M", bound=Fields)


SECRET: Final = ("url", "token_sha256", "secret")
"""Fields whose text is never shown, wherever it came from."""


class Report:
    """Collects the problems of one document.  It alone decides what of the text may be shown."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []

    def value(self, path: Path, predicate: str, offset: int | None = None) -> None:
        """What is written at ``path`` is wrong: ``predicate`` goes after its text, if that may be shown."""
        node = self.document.node(path)
        if node.broken or node.value is None:
            return
        plain = isinstance(node.value, str) and path[-1] not in SECRET
        subject = f"'{shown(str(node.value))}'" if plain else "this"
        if node.variables:
            subject = "the value of " + listed([f"${{{name}}}" for name in node.variables])
        mark = node.mark if offset is None else inside(node, offset)
        self._add(mark, f"{self.where(path)}: {subject} {predicate}")

    def foreign(self, path: Path, error: ValueError, noun: str, offset: int | None = None) -> None:
        """What is written at ``path`` is no ``noun``, as ``error`` says, which may quote the text."""
        node = self.document.node(path)
        if node.variables:
            self.value(path, f"is not {noun}")
        else:
            self._add(node.mark if offset is None else inside(node, offset), f"{self.where(path)}: {error}")

    def about(self, path: Path, message: str, *, fatal: bool = True, key: bool = False) -> None:
        """Something about the place itself; at its key where ``key`` is true."""
        if not self.document.node(path).broken:
            self._add(self.document.key_mark(path) if key else self.document.node(path).mark, message, fatal)

    def text(self, path: Path) -> str:
        """The text at ``path`` as it may be shown: what came from the environment shows its variable's name."""
        node = self.document.node(path)
        return "${" + node.variables[0] + "}" if node.variables else shown(str(node.value))

    def where(self, path: Path) -> str:
        """``intent.window of route 'deal.update'``; of what is not in the file, where it would be."""
        while path and not self.document.has(path):
            path = path[:-1]
        route = path[:2] if path[:1] == ("routes",) and len(path) > 1 else ()
        field = _dotted(path[len(route) :])
        return " of ".join(filter(None, (field, self._route(route)))) or "the file"

    def _route(self, path: Path) -> str:
        if not path:
            return ""
        named = self.document.has((*path, "name")) and isinstance(
            self.document.node((*path, "name")).value, str
        )
        return f"route '{self.text((*path, 'name'))}'" if named else f"route {int(path[1]) + 1}"

    def _add(self, mark: Mark, message: str, fatal: bool = True) -> None:
        self.problems.append(Problem(self.document.file, *mark, message, fatal))


def begun(report: Report) -> bool:
    """Whether the file holds a mapping at all; told where not.  Also tells whatever was written without a value."""
    root = report.document.root
    if not isinstance(root.value, dict):
        what = "is empty" if root.value is None else "must be a mapping"
        report.about((), f"the file {what}; begin with 'version: 1'")
        return False
    _empty(report, root, ())
    return True


def read(report: Report, model: type[M], path: Path = (), leave: str = "") -> M | None:
    """What is written at ``path`` as ``model``, with all its mistakes told; the field ``leave`` is not looked at.

    A field with a mistake is then left out, so that the rest can be checked further: one typo must not hide the next
    mistake.  None where nothing useful is left.
    """
    plain = report.document.plain(path)
    if leave and isinstance(plain, dict):
        plain = {key: value for key, value in plain.items() if key != leave}
    try:
        return model.model_validate(plain)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    for detail in details:
        _tell(report, model, path, detail)
    if not isinstance(plain, dict):
        return None
    for detail in details:
        plain = _without(plain, detail["loc"])
    try:
        return model.model_validate(model.stand_in | plain)
    except ValidationError:
        return None


def _without(plain: dict[str, Any], loc: Sequence[int | str]) -> dict[str, Any]:
    """``plain`` without the innermost field that ``loc`` leads through; a list with a mistake goes as a whole."""
    step, inner = loc[0], plain.get(str(loc[0]))
    if len(loc) > 1 and isinstance(inner, dict) and loc[1] in inner:
        return plain | {str(step): _without(inner, loc[1:])}
    return {key: value for key, value in plain.items() if key != step}


def _empty(report: Report, node: Node, path: Path) -> None:
    """Tell what was written without a value."""
    entries: Iterator[tuple[str | int, Node]] = iter(())
    if isinstance(node.value, dict):
        entries = iter(node.value.items())
    elif isinstance(node.value, list):
        entries = iter(enumerate(node.value))
    for step, entry in entries:
        if entry.value is None:
            at = (*path, step)
            report.about(at, f"{report.where(at)} is empty; give it a value or remove it", key=True)
        _empty(report, entry, (*path, step))


def _tell(report: Report, model: type[Fields], base: Path, detail: ErrorDetails) -> None:
    path, kind, context = (
        _written(report.document, base, detail["loc"]),
        detail["type"],
        detail.get("ctx", {}),
    )
    if detail["loc"][-1:] == ("[key]",):
        _wrong_key(report, path, kind, context)
    elif kind == "extra_forbidden":
        _unknown_field(report, _holder(model, path[len(base) : -1]), path)
    elif kind == "missing" and str(path[-1]) not in report.document.node(path[:-1]).keys:
        parent = path[:-1]
        hint = "; begin with 'version: 1'" if path == ("version",) else ""
        inner = f" in {report.where(parent)}" if parent else ""
        report.about(parent, f"missing field '{path[-1]}'{inner}{hint}")
    elif kind == "value_error":
        report.value(path, str(context["error"]))
    elif kind == "literal_error":
        _unknown_word(report, path, context["expected"])
    elif kind != "missing":
        report.value(path, _SHAPES.get(kind, detail["msg"].lower()))


_SHAPES = {
    "model_type": "must be a mapping of fields",
    "dict_type": "must be a mapping",
    "tuple_type": "must be a list; write [...]",
}


def _unknown_field(report: Report, holder: type[BaseModel] | None, path: Path) -> None:
    known = {field.alias or name for name, field in holder.model_fields.items()} if holder else set()
    inner = f" in {report.where(path[:-1])}" if len(path) > 1 else ""
    word = str(path[-1])
    report.about(path, f"unknown field '{shown(word)}'{inner}{meant(word, known) or _all(known)}", key=True)


def _wrong_key(report: Report, path: Path, kind: str, context: Mapping[str, Any]) -> None:
    word, inner = str(path[-1]), report.where(path[:-1])
    if kind == "literal_error":
        words = _words(context["expected"])
        message = f"unknown name '{shown(word)}' in {inner}{meant(word, words) or _all(words)}"
    else:
        message = f"'{shown(word)}' in {inner} {context['error']}"
    report.about(path, message, key=True)


def _words(expected: str) -> list[str]:
    """The words of pydantic's ``'read', 'draft' or 'write'``."""
    return expected.replace("'", "").replace(" or ", ", ").split(", ")


def _unknown_word(report: Report, path: Path, expected: str) -> None:
    words = _words(expected)
    node = report.document.node(path)
    word = node.value if isinstance(node.value, str) and not node.variables else ""
    report.value(path, f"is not {listed(words)}{meant(word, words)}")


def _all(known: Iterable[str]) -> str:
    return f"; known are {', '.join(sorted(known))}" if known else ""


def _written(document: Document, path: Path, loc: tuple[int | str, ...]) -> Path:
    """``path`` and the part of pydantic's location that is in the file; a missing or an unknown last step as well."""
    for step in loc:
        if step == "[key]":
            break
        if step == 0 and isinstance(document.node(path).value, dict):
            continue  # a mapping that stands for a list of one
        if not document.has((*path, step)):
            return (*path, step) if step == loc[-1] else path
        path = (*path, step)
    return path


def _holder(kind: Any, path: Path) -> type[BaseModel] | None:
    """The model that describes the mapping at ``path``."""
    for step in path:
        kind = _one(kind) if isinstance(step, str) else _model(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            fields = {field.alias or name: field for name, field in kind.model_fields.items()}
            if step not in fields:
                return None
            kind = fields[str(step)].annotation
        elif get_origin(kind) in (tuple, dict):
            kind = get_args(kind)[0 if get_origin(kind) is tuple else 1]
    kind = _one(kind)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _one(kind: Any) -> Any:
    """``kind``, or that of its items where one stands for a list of one."""
    kind = _model(kind)
    return _model(get_args(kind)[0]) if get_origin(kind) is tuple else kind


def _model(kind: Any) -> Any:
    """``kind`` without ``Annotated`` and ``| None``."""
    while get_origin(kind) is Annotated or type(None) in get_args(kind):
        kind = get_args(kind)[0]
    return kind


def _dotted(path: Path) -> str:
    """``locks[0].key``, items counted from zero as in a path expression."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")
