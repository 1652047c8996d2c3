"""A script's header is its contract; what is checked stays true."""

import re
from pathlib import Path

import pytest

from sidecar.gate import scripts
from sidecar.gate.scripts import script, text_of
from sidecar.gate.store import SCRIPTS
from tests.gate.scripts import Scripts, claim, terms

LUA = sorted(path.stem for path in Path(scripts.__file__).parent.joinpath("lua").glob("*.lua"))
INCLUDES = [name for name in LUA if name not in SCRIPTS]


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_argument_used_is_declared_and_every_one_declared_is_used(name: str) -> None:
    body = script(name).source.decode()
    used = {int(number) for number in re.findall(r"ARGV\[(\d+)\]", body)}
    spread = re.search(r"unpack\(ARGV, (\d+)\)|for i = (\d+), #ARGV", body)
    declared = script(name).arguments
    first_spread = int(next(filter(None, spread.groups()))) if spread else len(declared) + 1
    assert used | set(range(first_spread, len(declared) + 1)) == set(range(1, len(declared) + 1))


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_word_answered_is_declared_and_every_one_declared_is_answered(name: str) -> None:
    body = script(name).source.decode()
    own = body[body.rindex("local function sweep") :] if "local function sweep" in body else body
    quoted = set(re.findall(r'"([a-z]+)"', text_of(name).split("]]", 1)[1]))
    answered = set(re.findall(r'return \{ "([a-z]+)"', own)) | (quoted & script(name).words)
    if name == "peek":
        answered = {"calls", "unknown"}  # says the word it was asked with
    assert answered <= script(name).words
    assert script(name).words <= answered | quoted


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_touches_keys_only_under_the_prefix_of_its_cell(name: str) -> None:
    body = script(name).source.decode()
    keys = re.findall(r'\bcall\("(?!TIME|PUBLISH)[A-Z]+", ([^,)]+)', body)
    assert keys
    assert all(re.match(r"P \.\.|(key|level|line|tenants|fifo)\b", key) for key in keys), keys
    built = re.findall(r"^ *local (?:key|line|tenants|fifo) = (.*)$", body, re.MULTILINE)
    assert all(re.match(r"(P|line|tenants) \.\.|pace_key\(", key) for key in built), built


@pytest.mark.parametrize("name", LUA)
def test_a_script_is_short_enough_to_read(name: str) -> None:
    body = re.sub(r"^--\[\[.*?\]\]\n", "", text_of(name), flags=re.DOTALL)
    code = [line for line in body.splitlines() if line.strip() and not line.strip().startswith("--")]
    assert len(code) <= 80


@pytest.mark.parametrize("name", INCLUDES)
def test_an_include_says_what_it_is_for(name: str) -> None:
    assert text_of(name).startswith("-- ")


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_include_is_put_in_once_and_before_its_first_use(name: str) -> None:
    body = script(name).source.decode()
    assert "@include" not in body
    defined = re.findall(r"^local function (\w+)", body, re.MULTILINE)
    assert len(defined) == len(set(defined))
    for function in defined:
        assert body.index(f"{function}(") > body.index(f"local function {function}") - 1


def test_an_include_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        script("nothing_of_that_name")


def test_the_caller_passes_as_many_arguments_as_admit_declares() -> None:
    asked = claim("c1", "x", ("a", "b"), {"global": 1})
    fixed = len(script("admit").arguments) - 1
    places = 2 * (len(asked.locks) + len(asked.caps))
    assert 3 + len(terms(asked)) == fixed + places


def test_a_script_runs_on_the_servers_own_clock_when_none_is_given(scripts: Scripts) -> None:
    scripts.now = ""  # type: ignore[assignment]
    assert scripts.admit(claim("c1", "x"))[0] == "granted"
    left_ms = scripts.run("peek", "calls", 10)[1][3]
    assert 0 < left_ms <= 15_000
