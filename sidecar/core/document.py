"""YAML text as a tree in which every value knows where it was written.

Theory.  YAML 1.1 guesses types from looks: ``no`` is false, ``012`` is ten, ``1:30`` is ninety.  Here nothing is
guessed: every scalar stays the text that was written, and the schema, which knows what is wanted in each place, reads
it.  An empty value (also ``~`` and ``null``) is refused, since it means one thing to its author and another to us.

The tree is built from PyYAML's events, not by its composer: the composer recurses in C without bound, keeps the last
of two equal keys, and lets an alias stand for a million nodes.  Depth and size are bounded here, so a hostile file
costs a message.

``${VAR}`` and ``${VAR:-default}`` are replaced in scalar values, after parsing: a variable's value can never become
structure.  A node remembers that it came from the environment, and no message ever shows its text.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import yaml

from sidecar.core.problems import Problem, shown

Path = tuple[str | int, ...]

MAX_DEPTH = 24
MAX_NODES = 50_000
"""Far above any real file; an alias counts as often as it is used."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}|\$\{", re.ASCII)
_PASSWORD = re.compile(r"(://)[^/@]*@")
_EMPTY = {"", "~", "null", "Null", "NULL"}


class Mark(NamedTuple):
    """A place in the text, counted from one."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Node:
    """One value: text, a list of nodes, a mapping of nodes, or None where nothing was written."""

    mark: Mark
    value: "str | list[Node] | dict[str, Node] | None"
    keys: Mapping[str, Mark] = field(default_factory=dict)
    """Where each key of a mapping stands."""
    inner: Mark | None = None
    """Where the text itself begins, if a place inside it is a column on the same line; else None."""
    variables: tuple[str, ...] = ()
    """The environment variables that went into the text."""
    broken: bool = False
    """A problem was reported already; what is made of it is no second one."""


@dataclass(frozen=True, slots=True)
class Document:
    """One parsed file."""

    file: str
    root: Node

    def node(self, path: Path) -> Node:
        """The node at ``path``, or its nearest ancestor where the path leads on into nothing."""
        *_, last = self._walk(path)
        return last

    def has(self, path: Path) -> bool:
        """Whether something was written at ``path``."""
        return len(list(self._walk(path))) == len(path) + 1

    def key_mark(self, path: Path) -> Mark:
        """Where the key of ``path`` stands; for an item of a list, the item."""
        parent = self.node(path[:-1])
        return parent.keys.get(str(path[-1]), self.node(path).mark) if path else self.root.mark

    def plain(self, path: Path = ()) -> Any:
        """What is at ``path`` as dicts, lists and text, without what is empty."""
        return _plain(self.node(path))

    def redacted(self) -> Any:
        """The tree fit to be shown to anybody: values from the environment and secrets are left out."""
        return _redacted(self.root)

    def _walk(self, path: Path) -> Iterator[Node]:
        node = self.root
        yield node
        for step in path:
            below = _below(node, step)
            if below is None:
                return
            node = below
            yield node


def parse(file: str, content: bytes, environ: Mapping[str, str]) -> tuple[Document | None, list[Problem]]:
    """Read one file.  The document is None where the text is no YAML at all; a syntax error ends the reading."""
    reader = _Reader(file, environ)
    try:
        text = content.decode("utf-8-sig")
        reader.lines = text.split("\n")
        root = reader.read(text)
    except UnicodeDecodeError as error:
        line, before = content.count(b"\n", 0, error.start) + 1, content.rfind(b"\n", 0, error.start) + 1
        column = len(content[before : error.start].decode("utf-8", "replace")) + 1
        reader.add(Mark(line, column), "not UTF-8; save the file as UTF-8")
    except yaml.YAMLError as error:
        reader.add(*_syntax(error, reader.lines, text))
    except _StopError as stop:
        reader.add(stop.mark, stop.message)
    else:
        return Document(file, root), reader.problems
    return None, reader.problems


class _StopError(Exception):
    """Reading on makes no sense."""

    def __init__(self, mark: Mark, message: str) -> None:
        self.mark = mark
        self.message = message


class _Reader:
    """Builds the tree from the parser's events."""

    def __init__(self, file: str, environ: Mapping[str, str]) -> None:
        self.file = file
        self.environ = environ
        self.lines: list[str] = []
        self.problems: list[Problem] = []
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._budget = MAX_NODES

    def add(self, mark: Mark, message: str) -> None:
        self.problems.append(Problem(self.file, *mark, message))

    def read(self, text: str) -> Node:
        parser = _Loader(text)
        try:
            parser.get_event()  # the stream's start
            if isinstance(event := parser.get_event(), yaml.StreamEndEvent):
                return Node(Mark(1, 1), None)
            root = self._node(parser, parser.get_event(), 0)
            parser.get_event()  # the document's end
            if not isinstance(event := parser.get_event(), yaml.StreamEndEvent):
                raise _StopError(_mark(event), "a second document ('---'); one file holds one")
            return root
        finally:
            parser.dispose()

    def _node(self, parser: Any, event: Any, depth: int) -> Node:
        mark = _mark(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if depth > MAX_DEPTH:
            raise _StopError(mark, f"nested more than {MAX_DEPTH} deep")
        self._spend(mark, 1)
        if event.tag is not None and event.tag != "!":
            self.add(mark, "a tag ('!...') is not supported; the schema knows what is wanted here")
        before = self._budget
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = Node(mark, list(self._items(parser, depth)))
        else:
            node = self._mapping(parser, mark, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node, before - self._budget + 1
        return node

    def _items(self, parser: Any, depth: int) -> Iterator[Node]:
        while not isinstance(event := parser.get_event(), yaml.SequenceEndEvent):
            yield self._node(parser, event, depth + 1)

    def _mapping(self, parser: Any, mark: Mark, depth: int) -> Node:
        value: dict[str, Node] = {}
        keys: dict[str, Mark] = {}
        while not isinstance(event := parser.get_event(), yaml.MappingEndEvent):
            at = _mark(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise _StopError(at, "a key must be plain text")
            entry = self._node(parser, parser.get_event(), depth + 1)
            if event.value == "<<":
                self.add(at, "merge keys ('<<') are not supported; write the fields out")
            elif event.value in value:
                self.add(
                    at,
                    f"'{shown(event.value)}' is written twice; the first is in line {keys[event.value].line}",
                )
            else:
                value[event.value], keys[event.value] = entry, at
        return Node(mark, value, keys)

    def _alias(self, event: Any) -> Node:
        mark = _mark(event)
        if event.anchor not in self._anchors:
            raise _StopError(mark, f"'*{shown(event.anchor)}' has no anchor before it")
        node, size = self._anchors[event.anchor]
        self._spend(mark, size)
        return node

    def _spend(self, mark: Mark, nodes: int) -> None:
        self._budget -= nodes
        if self._budget < 0:
            raise _StopError(mark, f"more than {MAX_NODES} values, aliases counted as often as they are used")

    def _scalar(self, event: Any) -> Node:
        mark = _mark(event)
        if not event.style and event.value in _EMPTY:
            return Node(mark, None)
        node = Node(mark, event.value, inner=self._inner(event))
        return self._substitute(node, event.value) if "${" in event.value else node

    def _inner(self, event: Any) -> Mark | None:
        line, start = event.start_mark.line, event.start_mark.column + (event.style in ("'", '"'))
        verbatim = line < len(self.lines) and self.lines[line].startswith(event.value, start)
        return Mark(line + 1, start + 1) if verbatim else None

    def _substitute(self, node: Node, text: str) -> Node:
        variables: list[str] = []
        broken = False

        def value(found: re.Match[str]) -> str:
            nonlocal broken
            if found[0] == "$${":
                return "${"
            if found[1] is None:
                self.add(
                    inside(node, found.start()),
                    "'${' begins no variable; write ${NAME}, or $${ for the characters",
                )
                broken = True
                return ""
            variables.append(found[1])
            known = self.environ.get(found[1])
            if known or (known is not None and found[2] is None):
                return known
            if found[2] is None:
                hint = f"set it, or give it a default: ${{{found[1]}:-...}}"
                self.add(
                    inside(node, found.start()), f"the environment variable '{found[1]}' is not set; {hint}"
                )
                broken = True
            return found[3] or ""

        text = _VARIABLE.sub(value, text)
        return replace(node, value=text, inner=None, variables=tuple(variables), broken=broken)


def inside(node: Node, offset: int) -> Mark:
    """The place of a character of a text; its beginning where lines were folded or characters escaped."""
    return node.mark if node.inner is None else Mark(node.inner.line, node.inner.column + offset)


def _below(node: Node, step: str | int) -> Node | None:
    if isinstance(node.value, dict) and isinstance(step, str):
        return node.value.get(step)
    if isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
        return node.value[step]
    return None


def _mark(event: Any) -> Mark:
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)


def _plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: _plain(entry) for key, entry in node.value.items() if entry.value is not None}
    if isinstance(node.value, list):
        return [_plain(entry) for entry in node.value]
    return node.value


def _redacted(node: Node, key: str = "") -> Any:
    if isinstance(node.value, dict):
        return {
            name: _redacted(entry, "secret" if (key, name) == ("webhook", "url") else name)
            for name, entry in node.value.items()
        }
    if isinstance(node.value, list):
        return [_redacted(entry, key) for entry in node.value]
    if node.variables:
        return "".join(f"${{{name}}}" for name in node.variables)
    if key in ("token_sha256", "secret"):
        return "..."
    return None if node.value is None else _PASSWORD.sub(r"\1...@", node.value)


def _syntax(error: yaml.YAMLError, lines: list[str], text: str) -> tuple[Mark, str]:
    """A parser's error in words, at the place where its author must look."""
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return Mark(line, column), "a control character; YAML allows none"
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return Mark(1, 1), "not YAML"
    mark = Mark(error.problem_mark.line + 1, error.problem_mark.column + 1)
    if mark.line > len(lines):
        mark = Mark(len(lines), len(lines[-1]) + 1)
    line_text = lines[mark.line - 1]
    if "\t" in line_text[: mark.column]:
        return Mark(mark.line, line_text.index("\t") + 1), "a tab; YAML indents with spaces only"
    opened = ""
    if error.context_mark is not None and error.context_mark.line + 1 != mark.line:
        opened = f" ({error.context}, which begins in line {error.context_mark.line + 1})"
    return mark, f"not YAML: {error.problem}{opened}{_advice(str(error.problem))}"


def _advice(problem: str) -> str:
    if problem.startswith("mapping values are not allowed"):
        return "; put text that holds ': ' in quotes"
    if "cannot start any token" in problem:
        return "; put text that begins with @, ` or % in quotes"
    return ""
