"""``sidecar pause`` and ``resume``: what they ask of the admin port, and how they end."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from sidecar.cli.remote import TOKEN
from tests.cli.test_cli import Ran


class Port:
    """An admin port that says yes, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any], str]] = []
        port = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                port.asked.append((self.path, body, self.headers["Authorization"]))
                kind = next(iter(body))
                left = {"left_ms": body["for_ms"]} if "for_ms" in body else {}
                answer = json.dumps({"id": f"{kind}:{body[kind]}", **body, **left}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[Port]:
    monkeypatch.setenv(TOKEN, "secret")
    it = Port()
    thread = threading.Thread(target=it.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield it
    it.server.shutdown()
    it.server.server_close()
    thread.join()


def test_a_tool_is_paused_for_a_while_and_resumed(port: Port) -> None:
    words = ("--by", "ada", "--admin", port.url)
    ran = Ran("pause", "--tool", "crm", "--for", "1.5m", "--why", "loops", *words)
    assert (ran.status, ran.out) == (0, "tool crm paused for 90 s, by ada\n")
    ran = Ran("resume", "--tool", "crm", *words)
    assert (ran.status, ran.out) == (0, "tool crm resumed, by ada\n")
    assert port.asked == [
        ("/pause", {"tool": "crm", "by": "ada", "why": "loops", "for_ms": 90_000}, "Bearer secret"),
        ("/resume", {"tool": "crm", "by": "ada", "why": ""}, "Bearer secret"),
    ]


@pytest.mark.parametrize("kind", ["tenant", "workflow", "lane"])
def test_other_kinds_are_paused_without_an_end_and_told_to_programs(port: Port, kind: str) -> None:
    ran = Ran("pause", f"--{kind}", "x", "--by", "ada", "--admin", port.url, "--json")
    assert (ran.status, ran.json["id"]) == (0, f"{kind}:x")
    assert "for_ms" not in port.asked[0][1]


@pytest.mark.parametrize("words", [[], ["--tool", "crm", "--lane", "write"], ["--tool", ""]])
@pytest.mark.parametrize("command", ["pause", "resume"])
def test_it_is_one_thing_that_is_meant(port: Port, command: str, words: list[str]) -> None:
    ran = Ran(command, *words, "--admin", port.url)
    assert (ran.status, ran.err) == (2, "say what: one of --tool, --tenant, --workflow and --lane\n")
    assert port.asked == []


@pytest.mark.parametrize("text", ["soon", "0", "30"])
def test_a_duration_is_one(port: Port, text: str) -> None:
    ran = Ran("pause", "--tool", "crm", "--for", text, "--admin", port.url)
    assert ran.status == 2
    assert "--for" in ran.err
    assert port.asked == []


def test_nothing_is_paused_without_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    ran = Ran("pause", "--tool", "crm", "--admin", "http://127.0.0.1:1")
    assert (ran.status, TOKEN in ran.err) == (1, True)
