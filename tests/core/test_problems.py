"""One report, in reading order, fit for a terminal."""

import pytest

from sidecar.core.problems import ConfigError, Problem, count, listed, meant, shown


def test_problems_are_sorted_told_once_and_counted() -> None:
    later, first, warning = (
        Problem("b.yaml", 2, 1, "x"),
        Problem("a.yaml", 10, 1, "y"),
        Problem("a.yaml", 9, 1, "z", fatal=False),
    )
    assert str(ConfigError([later, first, later, warning])).splitlines() == [
        "a.yaml:9:1: warning: z",
        "a.yaml:10:1: y",
        "b.yaml:2:1: x",
        "2 problems in 2 files; nothing was loaded",
    ]


@pytest.mark.parametrize(
    ("word", "hint"),
    [("locsk", "; did you mean 'locks'?"), ("LOCKS", "; did you mean 'locks'?"), ("zebra", ""), ("", "")],
)
def test_a_near_word_is_suggested_and_a_far_one_is_not(word: str, hint: str) -> None:
    assert meant(word, ["locks", "lane", "intent"]) == hint


@pytest.mark.parametrize(
    ("text", "as_shown"),
    [
        ("plain", "plain"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb", "a\\nb"),
        ("\u202eabc", "\\u202eabc"),
        ("x" * 70, "x" * 57 + "..."),
    ],
)
def test_nothing_that_a_terminal_would_obey_is_shown(text: str, as_shown: str) -> None:
    assert shown(text) == as_shown


def test_words_are_counted_and_listed() -> None:
    assert (count(1, "file"), count(2, "file"), count(0, "file")) == ("1 file", "2 files", "0 files")
    assert (listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])) == ("a", "a or b", "a, b or c")
