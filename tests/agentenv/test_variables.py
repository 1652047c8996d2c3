"""What an agent's environment must say, and how it is spelled for whoever reads it."""

import ast
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from sidecar import agentenv
from sidecar.agentenv.spell import spelled
from sidecar.agentenv.variables import Authority, Variable, applied, proxy_url, unproxied, variables
from sidecar.core.fleet import Fleet
from sidecar.core.pattern import HostPattern
from sidecar.core.route import Lane, Tool
from sidecar.core.table import Site

AUTHORITY = Authority(Path("/ca/ca.pem"), Path("/ca/bundle.pem"))
AWKWARD = [
    "",
    "a b",
    "it's",
    'say "x"',
    "$HOME `id` $(id)",
    "#no",
    "back\\slash",
    "ü",
    "a;b&c|d",
    "*",
    "'\"$",
]


def site(*hosts: str) -> Site:
    lanes = {name: Lane(name) for name in ("read", "write")}
    return Site.of(Tool("crm", tuple(map(HostPattern.parse, hosts))), (), lanes, Fleet())


def told(**fields: object) -> dict[str, str]:
    wanted = {"proxy": "http://127.0.0.1:8080", "sites": [], "authority": None, "shims": None} | fields
    return {each.name: each.value for each in variables(**wanted)}  # type: ignore[arg-type]


def test_the_proxy_is_named_in_both_cases_since_curl_reads_but_one() -> None:
    names = told()
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        assert names[name] == "http://127.0.0.1:8080"
    assert names["NO_PROXY"] == names["no_proxy"]
    assert names["NODE_USE_ENV_PROXY"] == "1"


def test_certificates_are_named_only_where_https_is_opened() -> None:
    assert not [name for name in told() if "CA" in name or "CERT" in name]
    names = told(authority=AUTHORITY)
    assert (
        names["SSL_CERT_FILE"] == names["REQUESTS_CA_BUNDLE"] == "/ca/bundle.pem"
    )  # these replace what is known
    assert names["NODE_EXTRA_CA_CERTS"] == "/ca/ca.pem"  # and this adds to it


@pytest.mark.parametrize(
    ("host", "lost"),
    [
        ("api.test", []),
        ("crm.prod.svc", [".svc"]),
        ("*.cluster.local", [".cluster.local"]),
        ("localhost", ["localhost"]),
        ("127.0.0.1:9000", ["127.0.0.1"]),
        ("notlocalhost", []),
    ],
)
def test_no_tool_is_let_past_the_proxy(host: str, lost: list[str]) -> None:
    assert set(unproxied([])) - set(unproxied([site(host)])) == set(lost)


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        (("127.0.0.1", 8080), "http://127.0.0.1:8080"),
        (("0.0.0.0", 1), "http://127.0.0.1:1"),
        (("::", 1), "http://[::1]:1"),
        (("proxy.internal", 80), "http://proxy.internal:80"),
    ],
)
def test_an_agent_can_reach_what_the_sidecar_listens_on(listen: tuple[str, int], url: str) -> None:
    assert proxy_url(listen) == url


def test_a_port_that_nobody_knows_yet_is_no_address() -> None:
    with pytest.raises(ValueError, match="name a port, or give --proxy"):
        proxy_url(("127.0.0.1", 0))


def test_what_an_agent_has_already_is_joined_and_not_lost() -> None:
    wanted = [Variable("A", "new"), Variable("PYTHONPATH", "/shim", ":")]
    environ = applied(wanted, {"A": "old", "PYTHONPATH": "/own", "B": "kept"})
    assert environ == {"A": "new", "PYTHONPATH": "/shim:/own", "B": "kept"}
    assert applied(wanted, environ) == environ  # and twice is once
    assert applied(wanted, {})["PYTHONPATH"] == "/shim"


def test_an_agent_never_gets_the_admin_token() -> None:
    assert applied([], {"SIDECAR_ADMIN_TOKEN": "t", "A": "b"}) == {"A": "b"}


def test_a_shell_reads_back_every_value() -> None:
    wanted = [Variable(f"V{place}", value) for place, value in enumerate(AWKWARD)]
    echo = "".join(f'printf "%s\\0" "$V{place}"\n' for place in range(len(AWKWARD)))
    done = subprocess.run(
        ["sh", "-c", spelled(wanted, "shell") + echo], capture_output=True, check=True, timeout=20
    )
    assert done.stdout.decode().split("\0")[:-1] == AWKWARD


def test_a_shell_keeps_what_a_list_holds_already() -> None:
    script = spelled([Variable("LIST", "/a b", ":")], "shell") + 'printf %s "$LIST"'
    for before, after in (({"LIST": "/own"}, "/a b:/own"), ({}, "/a b")):
        done = subprocess.run(
            ["/bin/sh", "-c", script], capture_output=True, check=True, timeout=20, env=before
        )
        assert done.stdout.decode() == after


def test_kubernetes_reads_back_every_value_and_expands_none() -> None:
    wanted = [Variable(f"V{place}", value) for place, value in enumerate([*AWKWARD, "$(HOST)"])]
    read = yaml.safe_load(spelled(wanted, "k8s"))
    assert [entry["name"] for entry in read] == [each.name for each in wanted]
    expanded = [
        re.sub(r"\$\$|\$\(\w+\)", lambda found: "$" if found[0] == "$$" else "", e["value"]) for e in read
    ]
    assert expanded == [each.value for each in wanted]


def test_an_env_file_is_bare_where_that_does() -> None:
    wanted = [Variable("A", "http://u:t@h:1"), Variable("B", "a b"), Variable("C", "it's $5")]
    assert spelled(wanted, "dotenv") == "A=http://u:t@h:1\nB='a b'\nC=\"it's \\$5\"\n"


def test_every_variable_is_told_of_in_the_manual() -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "clients.md").read_text()
    named = set(told(authority=AUTHORITY, shims=Path("/shim")))
    assert {name for name in named if f"`{name}`" not in page} == set()


@pytest.mark.parametrize("file", ["shim/python/sitecustomize.py", "probes/python.py"])
def test_what_runs_in_an_agents_interpreter_is_no_newer_than_that(file: str) -> None:
    text = (Path(agentenv.__file__).parent / file).read_text()
    ast.parse(text, feature_version=(3, 8))
    assert not re.search(r"^async with \(|\bwith \($|: (dict|list|tuple)\[|\bmatch .*:$", text, re.MULTILINE)
