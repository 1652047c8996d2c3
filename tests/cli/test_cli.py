"""The command line as a person and a program meet it: output, exit status, and what is imported for it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sidecar import __version__
from sidecar.cli.commands import app

REPO = Path(__file__).parent.parent.parent
CONFIG = str(REPO / "config")


class Ran:
    """What a command printed, and how it ended."""

    def __init__(self, *words: str, stdin: str = "") -> None:
        result = CliRunner().invoke(
            app, words, input=stdin, env={"SIDECAR_STORE_URL": "", "COLUMNS": "80"}, prog_name="sidecar"
        )
        self.status, self.out, self.err = result.exit_code, result.stdout, result.stderr

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    (tmp_path / "routes").mkdir()
    (tmp_path / "sidecar.yaml").write_text("version: 1\nmode: observ\n")
    (tmp_path / "routes" / "crm.yaml").write_text(
        "version: 1\ntool: crm\nupstream: http://a.test\ntimout: 1s\n"
    )
    return tmp_path


def test_a_good_folder_is_summed_up() -> None:
    ran = Ran("check", CONFIG)
    assert ran.status == 0
    assert [line.split() for line in ran.out.splitlines()] == [
        ["billing", "3", "routes", "billing.example.com"],
        ["hubspot", "11", "routes", "api.hubapi.com"],
        ["resend", "5", "routes", "api.resend.com"],
        ["stripe", "9", "routes", "api.stripe.com"],
        ["support", "3", "routes", "support.example.com"],
        ["good:", "5", "tools,", "31", "routes,", "5", "warnings"],
    ]
    assert ran.err.count("warning: CONNECT to ") == 5


def test_a_bad_folder_is_told_line_by_line_and_never_wrapped(bad: Path) -> None:
    ran = Ran("check", str(bad))
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        f"{bad}/routes/crm.yaml:4:1: unknown field 'timout'; did you mean 'timeout'?",
        f"{bad}/sidecar.yaml:2:7: mode: 'observ' is not enforce or observe; did you mean 'observe'?",
        "2 problems in 2 files; nothing was loaded",
    ]


def test_markup_in_a_value_is_text(tmp_path: Path) -> None:
    (tmp_path / "sidecar.yaml").write_text("version: 1\nmode: '[red]x[/red]'\n")
    assert "'[red]x[/red]' is not" in Ran("check", str(tmp_path)).err


def test_a_program_reads_problems_as_json(bad: Path) -> None:
    ran = Ran("check", str(bad), "--json")
    assert ran.status == 1
    assert ran.json["good"] is False
    assert ran.json["problems"][0] == {
        "file": f"{bad}/routes/crm.yaml",
        "line": 4,
        "column": 1,
        "severity": "error",
        "message": "unknown field 'timout'; did you mean 'timeout'?",
    }


def test_a_program_reads_a_good_folder_as_json() -> None:
    ran = Ran("check", CONFIG, "--json")
    assert (ran.status, ran.json["good"], len(ran.json["digest"])) == (0, True, 16)
    assert ran.json["tools"]["resend"][0] == "email.send"
    assert {problem["severity"] for problem in ran.json["problems"]} == {"warning"}


def test_strict_takes_warnings_for_problems() -> None:
    ran = Ran("check", CONFIG, "--strict")
    assert ran.status == 1
    assert "refused (--strict): 5 tools, 31 routes, 5 warnings" in ran.err


def test_the_schema_goes_to_the_terminal_or_into_files(tmp_path: Path) -> None:
    schemas = Ran("schema").json
    assert sorted(schemas) == ["routes", "sidecar", "states"]
    assert Ran("schema", "--out", str(tmp_path / "new")).status == 0
    assert json.loads((tmp_path / "new" / "routes.schema.json").read_text()) == schemas["routes"]
    (tmp_path / "file").touch()
    blocked = Ran("schema", "--out", str(tmp_path / "file"))
    assert (blocked.status, "cannot be written" in blocked.err) == (1, True)


def test_a_cschemasis_explained_without_being_made() -> None:
    ran = Ran(
        "explain",
        CONFIG,
        "PATCH",
        "http://api.hubapi.com/crm/v3/objects/deals/42",
        "-d",
        '{"properties": {"a": 1}}',
    )
    assert ran.status == 0
    assert "route    hubspot: object.update\n" in ran.out
    assert "lock     deals:42\n" in ran.out
    assert "cap      tool:hubspot:write at most 2\n" in ran.out


def test_a_cschemasis_explained_to_programs() -> None:
    told = Ran(
        "explain",
        CONFIG,
        "post",
        "/_tool/stripe/v1/refunds",
        "-d",
        "charge=ch_1",
        "-H",
        "X-Agent-Tenant: acme",
        "--json",
    ).json
    assert (told["tool"], told["route"], told["lane"], told["locks"]) == (
        "stripe",
        "refund.of_charge",
        "high_risk",
        ["charge:ch_1"],
    )
    assert told["who"]["tenant"] == "acme"


def test_a_body_comes_from_a_file_or_from_standard_input(tmp_path: Path) -> None:
    (tmp_path / "body").write_text('{"to": "a@b.test"}')
    url = "http://api.resend.com/emails"
    assert "inbox:a@b.test" in Ran("explain", CONFIG, "POST", url, "-d", f"@{tmp_path}/body").out
    assert "inbox:c@d.test" in Ran("explain", CONFIG, "POST", url, "-d", "@-", stdin='{"to": "c@d.test"}').out
    assert Ran("explain", CONFIG, "POST", url, "-d", f"@{tmp_path}/none").status == 2


def test_no_credential_is_shown_in_an_explanation() -> None:
    ran = Ran(
        "explain",
        CONFIG,
        "POST",
        "/_tool/stripe/v1/refunds",
        "-d",
        "charge=1",
        "-H",
        "Authorization: Bearer hunter2",
    )
    assert ran.status == 0
    assert "hunter2" not in ran.out


def test_https_is_explained_with_what_connect_leaves_open() -> None:
    assert "CONNECT" in Ran("explain", CONFIG, "GET", "https://api.stripe.com/v1/charges").out
    assert "tunnelled blind" in Ran("explain", CONFIG, "CONNECT", "api.stripe.com:443").out


def test_a_cschemasthat_would_be_refused_is_explained_as_such() -> None:
    ran = Ran("explain", CONFIG, "POST", "/_tool/stripe/v1/refunds", "-d", "amount=1")
    assert ran.status == 1
    assert ran.out.startswith(
        "refused  422 key-underivable\n         This call needs a value for {body.payment_intent}"
    )
    assert Ran("explain", CONFIG, "POST", "/_tool/strpe/x", "--json").json["refused"] == "bad-request"


BAD_USAGE = [
    ("check",),
    ("check", CONFIG, "--strct"),
    ("explain", CONFIG, "GET", "api.stripe.com/v1"),
    ("explain", CONFIG, "GET", "http:///x"),
    ("explain", CONFIG, "GET", "http://a:b/"),
    ("explain", CONFIG, "GET", "http://a/", "-H", "no colon"),
    ("approvals", "approve", "../x?y"),
    ("nothing",),
]


@pytest.mark.parametrize("words", BAD_USAGE, ids=" ".join)
def test_bad_usage_exits_2(words: tuple[str, ...]) -> None:
    assert Ran(*words).status == 2


def test_a_misspelt_command_is_guessed() -> None:
    assert "did you mean 'check'?" in Ran("chek").err


def test_the_version_is_told() -> None:
    assert (Ran("--version").out, Ran("--version").status) == (f"sidecar {__version__}\n", 0)


def test_help_lists_every_command_there_is() -> None:
    text = Ran("--help").out
    assert all(f" {name} " in text for name in ("check", "explain", "schema"))


@pytest.mark.parametrize("command", ["check", "schema", "explain"])
def test_help_says_what_a_command_does(command: str) -> None:
    ran = Ran(command, "--help")
    assert (ran.status, f"Usage: sidecar {command}" in ran.out) == (0, True)


def test_reading_a_folder_imports_nothing_that_only_serves_others() -> None:
    code = (
        "import sys, pathlib; from sidecar.settings import load; "
        "load(pathlib.Path(sys.argv[1]), {}); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, CONFIG], capture_output=True, text=True, check=True, timeout=60
    )
    unwanted = {"aiohttp", "redis", "httptools", "watchfiles", "prometheus_client"}
    assert not unwanted & set(done.stdout.split())
