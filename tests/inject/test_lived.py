"""What a patched pod says, done: its sidecar run as its container says, its probes, and its agent's environment."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from sidecar.inject.review import mutate
from sidecar.settings import load
from sidecar.webhook import standard
from tests.inject.corpus import PREFIX, asking, env, named, patched, review


class Tool(BaseHTTPRequestHandler):
    """Answers, and knows nothing of sidecars."""

    def do_PATCH(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's
        pass


@pytest.fixture
def tool() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Tool)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def free_ports() -> tuple[int, int]:
    """A pod has its network to itself; here there are others."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


@pytest.fixture
def config(tmp_path: Path, tool: int) -> Path:
    folder = tmp_path / "config"
    (folder / "routes").mkdir(parents=True)
    proxy, admin = free_ports()
    (folder / "sidecar.yaml").write_text(
        f'version: 1\nlisten: {{proxy: "127.0.0.1:{proxy}", admin: "127.0.0.1:{admin}"}}\n'
        "egress: {allow: [127.0.0.0/8]}\n"
    )
    (folder / "routes/crm.yaml").write_text(
        f"version: 1\ntool: crm\nhosts: [crm.test]\nupstream: http://127.0.0.1:{tool}\n"
    )
    return folder


def made(config: Path, *, native: bool) -> dict[str, Any]:
    rules = standard(load(config, {}), {"image": "agent-sidecar:0.1.0", "native": native})
    pod = review("deployment")["request"]["object"]
    pod["metadata"]["annotations"] = {f"{PREFIX}tenant": "acme", f"{PREFIX}workflow": "cleanup"}
    return patched(asking(pod), mutate(asking(pod), rules))


@contextmanager
def alive(own: dict[str, Any], config: Path, state: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The sidecar's container, with the folders of this machine where its volumes would be."""
    words = [str(config) if word == "/etc/sidecar" else word for word in own["args"]]
    with (state.parent / "decisions").open("wb") as decisions:
        process = subprocess.Popen(
            [sys.executable, "-m", "sidecar", *words],
            env={**os.environ, **env(own), "SIDECAR_STORE_STATE": str(state)},
            stdout=decisions,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def succeeds(command: list[str]) -> bool:
    assert command[0] == "python"
    return (
        subprocess.run([sys.executable, *command[1:]], check=False, stderr=subprocess.DEVNULL).returncode == 0
    )


def call(container: dict[str, Any]) -> str:
    """By curl in the agent's container, which claims to be somebody else."""
    return subprocess.run(
        [
            *(
                "curl",
                "--silent",
                "--include",
                "--request",
                "PATCH",
                "--data",
                "{}",
                "http://crm.test/deals/1",
            ),
            *("--header", "X-Agent-Tenant: globex", "--header", "X-Agent-Workflow: refunds"),
        ],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], **{name: value for name, value in env(container).items() if value}},
    ).stdout


def test_the_agents_calls_are_gated_and_whose_they_are_is_the_pods_word(config: Path, tmp_path: Path) -> None:
    pod = made(config, native=True)
    own, agent = named(pod["spec"]["initContainers"], "agent-sidecar"), pod["spec"]["containers"][0]
    with alive(own, config, tmp_path / "state") as process:
        started = own["startupProbe"]
        for _ in range(started["failureThreshold"]):
            if succeeds(started["exec"]["command"]):
                break
            time.sleep(0.2)  # sooner than the kubelet, which is as patient
        else:
            pytest.fail("its startup probe does not find it ready")
        assert succeeds(own["livenessProbe"]["exec"]["command"])
        assert "\nSidecar-Verdict: executed" in call(agent)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        assert not succeeds(own["livenessProbe"]["exec"]["command"])
    lines = (tmp_path / "decisions").read_text().splitlines()
    (said,) = [line for line in map(json.loads, lines) if line.get("tool") == "crm"]
    assert (said["tenant"], said["workflow"]) == ("acme", "cleanup")


def test_on_an_old_cluster_the_hook_waits_until_the_sidecar_is_ready(config: Path, tmp_path: Path) -> None:
    pod = made(config, native=False)
    own, agent = pod["spec"]["containers"]
    with alive(own, config, tmp_path / "state"):
        assert succeeds(own["lifecycle"]["postStart"]["exec"]["command"])
        assert "\nSidecar-Verdict: executed" in call(agent)
