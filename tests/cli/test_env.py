"""``sidecar env`` and ``sidecar exec`` as an operator meets them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_cli import Ran


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "sidecar.yaml").write_text('version: 1\nlisten: {proxy: "127.0.0.1:8099"}\n')
    return tmp_path


def run(config: Path, *command: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "sidecar", "exec", "--config", str(config), "--", *command],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environ},
    )


def test_the_variables_are_printed_for_a_shell(config: Path) -> None:
    ran = Ran("env", "--config", str(config))
    assert ran.status == 0
    assert "export HTTPS_PROXY=http://127.0.0.1:8099\n" in ran.out
    assert "sitecustomize" not in ran.out
    assert "/shim/python" in Ran("env", "--config", str(config), "--shim").out


def test_what_stands_in_the_way_is_told(config: Path, tmp_path: Path) -> None:
    assert Ran("env", "--config", str(tmp_path / "none")).status == 1
    (config / "sidecar.yaml").write_text('version: 1\nlisten: {proxy: "127.0.0.1:0"}\n')
    ran = Ran("env", "--config", str(config))
    assert (ran.status, ran.out) == (1, "")
    assert "name a port, or give --proxy URL" in ran.err
    assert Ran("env", "--config", str(config), "--proxy", "http://127.0.0.1:1").status == 0
    assert Ran("env", "--config", str(config), "--format", "xml").status == 2


def test_what_the_sidecar_shares_is_named_and_not_made(config: Path) -> None:
    file = config / "sidecar.yaml"
    file.write_text(file.read_text() + "tls: {ca: ephemeral, share: shared}\n")
    out = Ran("env", "--config", str(config)).out
    assert f"export SSL_CERT_FILE={config}/shared/ca-bundle.pem\n" in out
    assert f"export NODE_EXTRA_CA_CERTS={config}/shared/ca.pem\n" in out
    assert not (config / "shared").exists()
    elsewhere = Ran("env", "--config", str(config), "--share", "/mnt/agent").out
    assert "export SSL_CERT_FILE=/mnt/agent/ca-bundle.pem\n" in elsewhere


def test_a_proxy_that_wants_credentials_is_warned_of(config: Path) -> None:
    users = f"users: [{{name: acme, token_sha256: {'0' * 64}}}]\n"
    (config / "sidecar.yaml").write_text("version: 1\n" + users)
    assert "must prove themselves" in Ran("env", "--config", str(config)).err
    assert not Ran("env", "--config", str(config), "--proxy", "http://acme:token@127.0.0.1:8080").err.count(
        "prove"
    )


def test_a_commands_exit_status_is_its_own(config: Path) -> None:
    done = run(config, "sh", "-c", 'echo "$https_proxy"; exit 7')
    assert (done.returncode, done.stdout) == (7, "http://127.0.0.1:8099\n")


def test_a_commands_options_are_its_own(config: Path) -> None:
    assert run(config, "printf", "%s %s", "--config", "-x").stdout == "--config -x"


def test_signals_reach_the_command_since_it_is_the_same_process(config: Path) -> None:
    assert run(config, "sh", "-c", "kill -TERM $$; sleep 60").returncode == -signal.SIGTERM


def test_an_agent_does_not_get_the_token_of_its_operator(config: Path) -> None:
    assert "hunter2" not in run(config, "env", SIDECAR_ADMIN_TOKEN="hunter2").stdout


def test_a_command_that_is_not_there_is_told_as_a_shell_does(config: Path, tmp_path: Path) -> None:
    assert run(config, "no-such-command").returncode == 127
    assert run(config, str(tmp_path)).returncode == 126
