"""YAML as a tree with places: nothing guessed, nothing repeated, nothing without bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.document import MAX_DEPTH, MAX_NODES, Document, Mark, Path, inside, parse


def good(text: str, **environ: str) -> Document:
    document, problems = parse("f.yaml", text.encode(), environ)
    assert problems == []
    assert document is not None
    return document


def bad(content: str | bytes, **environ: str) -> list[str]:
    _, problems = parse("f.yaml", content.encode() if isinstance(content, str) else content, environ)
    assert problems
    return [str(problem) for problem in problems]


@pytest.mark.parametrize(
    "text", ["no", "on", "off", "yes", "NO", "012", "1:30", "1e3", "0x1F", "12_000", "2001-01-01", ".inf"]
)
def test_no_scalar_is_read_by_its_looks(text: str) -> None:
    assert good(f"a: {text}").plain() == {"a": text}


@pytest.mark.parametrize("text", ["", "~", "null", "Null"])
def test_an_empty_value_is_left_out_and_still_has_a_place(text: str) -> None:
    document = good(f"b: x\na: {text}")
    assert document.plain() == {"b": "x"}
    assert document.node(("a",)).value is None
    assert document.key_mark(("a",)) == Mark(2, 1)


def test_quoted_nothing_is_text() -> None:
    assert good("a: ''\nb: 'null'").plain() == {"a": "", "b": "null"}


PLACES: list[tuple[str, Path, Mark]] = [
    ("a: 1", ("a",), Mark(1, 4)),
    ("a:\n  - x\n  - y: [1, 2]", ("a", 1, "y", 1), Mark(3, 12)),
    ("é: 'ü'  # c\nb: c", ("é",), Mark(1, 4)),
    ("a: &x {b: c}\nd: *x", ("d", "b"), Mark(1, 11)),
    ("a: 1", ("a", "b", "c"), Mark(1, 4)),
    ("a: 1", ("z",), Mark(1, 1)),
]


@pytest.mark.parametrize(("text", "path", "mark"), PLACES)
def test_every_value_knows_where_it_stands(text: str, path: Path, mark: Mark) -> None:
    assert good(text).node(path).mark == mark


INSIDE = [
    ("a: bcd", 1, Mark(1, 5)),
    ("a: 'bcd'", 1, Mark(1, 6)),
    ('a: "bcd"', 2, Mark(1, 7)),
    ("a: 'b''cd'", 3, Mark(1, 4)),
    ('a: "b\\tcd"', 2, Mark(1, 4)),
    ("a: >\n  b\n  c", 2, Mark(1, 4)),
]


@pytest.mark.parametrize(("text", "offset", "mark"), INSIDE)
def test_a_character_has_a_place_where_the_text_stands_as_written(text: str, offset: int, mark: Mark) -> None:
    assert inside(good(text).node(("a",)), offset) == mark


SUBSTITUTED = [
    ("${A}", "one"),
    ("x${A}y${B}", "xoney"),
    ("${C:-three}", "three"),
    ("${B:-two}", "two"),
    ("${A:-x}", "one"),
    ("${C:-}", ""),
    ("$${A} $A ${A}", "${A} $A one"),
    ("'${A}'", "one"),
]


@pytest.mark.parametrize(("text", "value"), SUBSTITUTED)
def test_variables_are_replaced_in_values(text: str, value: str) -> None:
    document = good(f"k: {text}", A="one", B="")
    assert document.plain() == {"k": value}
    assert "A" in document.node(("k",)).variables or "${A" not in text.replace("$${", "")


def test_a_variable_cannot_become_structure() -> None:
    assert good("a: ${A}", A="{b: c}\nd: e").plain() == {"a": "{b: c}\nd: e"}


def test_a_key_is_never_replaced() -> None:
    assert good("${A}: x", A="one").plain() == {"${A}": "x"}


def test_secrets_and_the_environment_are_left_out_of_what_is_shown() -> None:
    text = "a: ${A}\nurl: 'redis://u:pass@h/0'\nusers: [{token_sha256: abcd}]\nb: c"
    assert good(text, A="hunter2").redacted() == {
        "a": "${A}",
        "url": "redis://...@h/0",
        "users": [{"token_sha256": "..."}],
        "b": "c",
    }


MISTAKES: list[tuple[str | bytes, list[str]]] = [
    ("a:\n\tb: 1", ["f.yaml:2:1: a tab; YAML indents with spaces only"]),
    ("a:\n  b: 1\n \tc: 2", ["f.yaml:3:2: a tab; YAML indents with spaces only"]),
    (b"a: 1\nb: \xc3\xa9\xff", ["f.yaml:2:5: not UTF-8; save the file as UTF-8"]),
    (b"\xff\xfea\x00", ["f.yaml:1:1: not UTF-8; save the file as UTF-8"]),
    ("a: \x00", ["f.yaml:1:4: a control character; YAML allows none"]),
    (
        "a: [1, 2",
        ["f.yaml:1:9: not YAML: did not find expected ',' or ']'"],
    ),
    (
        "a: [1,\n  2\nb: 3",
        [
            (
                "f.yaml:3:2: not YAML: did not find expected ',' or ']' (while parsing a flow "
                "sequence, which begins in line 1)"
            )
        ],
    ),
    (
        "a: b: c",
        [
            (
                "f.yaml:1:5: not YAML: mapping values are not allowed in this context; put text "
                "that holds ': ' in quotes"
            ),
        ],
    ),
    (
        "a: @x",
        [
            (
                "f.yaml:1:4: not YAML: found character that cannot start any token; "
                "put text that begins with @, ` or % in quotes"
            ),
        ],
    ),
    ("a: 1\nb: 2\na: 3", ["f.yaml:3:1: 'a' is written twice; the first is in line 1"]),
    ("x:\n  a: 1\n  a: 3", ["f.yaml:3:3: 'a' is written twice; the first is in line 2"]),
    ("a: &x [*x]", ["f.yaml:1:8: '*x' has no anchor before it"]),
    ("a: *y", ["f.yaml:1:4: '*y' has no anchor before it"]),
    (
        "a: !!python/object:os.system x",
        ["f.yaml:1:4: a tag ('!...') is not supported; the schema knows what is wanted here"],
    ),
    ("a: &x {b: c}\nd:\n  <<: *x", ["f.yaml:3:3: merge keys ('<<') are not supported; write the fields out"]),
    ("? [a]\n: b", ["f.yaml:1:3: a key must be plain text"]),
    ("*x : b", ["f.yaml:1:1: a key must be plain text"]),
    ("--- {a: 1}\n--- {b: 2}", ["f.yaml:2:1: a second document ('---'); one file holds one"]),
    ("a: " + "[" * 30, [f"f.yaml:1:28: nested more than {MAX_DEPTH} deep"]),
    ('"\\x1b[31m": 1\n"\\x1b[31m": 1', ["f.yaml:2:1: '\\x1b[31m' is written twice; the first is in line 1"]),
    (
        "a: x${NO}",
        ["f.yaml:1:5: the environment variable 'NO' is not set; set it, or give it a default: ${NO:-...}"],
    ),
    ("a: x${1}", ["f.yaml:1:5: '${' begins no variable; write ${NAME}, or $${ for the characters"]),
    ("a: x${", ["f.yaml:1:5: '${' begins no variable; write ${NAME}, or $${ for the characters"]),
]


@pytest.mark.parametrize(("content", "lines"), MISTAKES)
def test_a_mistake_is_told_at_its_place(content: str | bytes, lines: list[str]) -> None:
    assert bad(content) == lines


def test_aliases_are_counted_as_often_as_they_are_used() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    (line,) = bad(bomb)
    assert line.endswith(f"more than {MAX_NODES} values, aliases counted as often as they are used")


def test_an_alias_stands_for_what_was_anchored() -> None:
    assert good("a: &x {b: [c]}\nd: *x\ne: [*x]").plain() == {
        "a": {"b": ["c"]},
        "d": {"b": ["c"]},
        "e": [{"b": ["c"]}],
    }


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    document, problems = parse("f.yaml", b"\xef\xbb\xbfa: 1", {})
    assert (problems, document and document.plain()) == ([], {"a": "1"})


@given(st.text(alphabet="ab:-[]{},&*!|>'\"%@` \n\t#?~<$\x00é\u2028\ufeff", max_size=60))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    document, problems = parse("f.yaml", text.encode(), {})
    assert document is not None or problems


@given(st.binary(max_size=40))
def test_no_bytes_make_the_reader_fail(content: bytes) -> None:
    document, problems = parse("f.yaml", content, {})
    assert document is not None or problems
