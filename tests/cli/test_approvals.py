"""``sidecar approvals`` against a port that says what a test tells it to."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner, Result

from sidecar.cli.commands import app

ITEM: dict[str, Any] = {
    "id": "3f2a",
    "state": "pending",
    "opened_at": "2025-11-24T16:00:00.250Z",
    "ends_at": "2025-11-24T17:00:00.250Z",
    "run": "run-7",
    "workflow": "dunning",
    "tenant": "acme",
    "tool": "resend",
    "route": "email.send",
    "lane": "write",
    "method": "POST",
    "host": "api.resend.com",
    "path": "/emails",
    "show": {"to": "ada@example.com \x1b[31m"},
    "needs": 2,
    "decisions": [{"at": "2025-11-24T16:00:01Z", "verdict": "approve", "by": "grace", "why": ""}],
}


class Port(BaseHTTPRequestHandler):
    """An admin port with one question, and one that was denied."""

    got: ClassVar[list[tuple[str, str, Any]]] = []

    def do_GET(self) -> None:
        denied = ITEM | {"id": "0000", "state": "denied"}
        self._say(200, ITEM if self.path == "/approvals/3f2a" else {"items": [ITEM, denied]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.got.append((self.path, self.headers["Authorization"], body))
        if "0000" in self.path:
            self._say(409, {"detail": "It is decided: denied, by ada."})
        else:
            self._say(200, {"result": "pending", "approval": ITEM})

    def _say(self, status: int, value: object) -> None:
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def port() -> Iterator[str]:
    Port.got.clear()
    server = HTTPServer(("127.0.0.1", 0), Port)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def ran(port: str, *words: str, **env: str) -> Result:
    variables = {"SIDECAR_ADMIN_TOKEN": "admin", "SIDECAR_APPROVER_TOKEN": "", "USER": "ada"} | env
    return CliRunner().invoke(app, ["approvals", *words, "--admin", port], env=variables)


def test_the_open_questions_are_listed_one_a_line(port: str) -> None:
    (line,) = ran(port, "list").stdout.splitlines()
    assert line.startswith(
        "3f2a  pending  resend: email.send  POST api.resend.com/emails  to=ada@example.com"
    )
    assert len(ran(port, "list", "--all").stdout.splitlines()) == 2
    assert len(json.loads(ran(port, "list", "--json").stdout)["items"]) == 2


def test_one_is_shown_with_all_that_decides_and_cannot_drive_the_terminal(port: str) -> None:
    text = ran(port, "show", "/approvals/3f2a").stdout  # as a refusal says it
    assert "2 people have to agree" in text
    assert "grace at 2025-11-24T16:00:01Z: no reason given" in text
    assert "\x1b" not in text
    assert json.loads(ran(port, "show", "3f2a", "--json").stdout) == ITEM


def test_an_answer_says_who_and_why_and_what_is_missing(port: str) -> None:
    assert ran(port, "approve", "3f2a", "--why", "ok").stdout == "pending: 1 of 2 agree\n"
    ran(port, "deny", "3f2a", "--by", "grace", "--json")
    ran(port, "approve", "3f2a", SIDECAR_APPROVER_TOKEN="own")
    assert Port.got == [
        ("/approvals/3f2a/approve", "Bearer admin", {"by": "ada", "why": "ok"}),
        ("/approvals/3f2a/deny", "Bearer admin", {"by": "grace", "why": ""}),
        ("/approvals/3f2a/approve", "Bearer own", {"why": ""}),
    ]


def test_an_answer_that_does_not_count_ends_in_1_and_says_why(port: str) -> None:
    result = ran(port, "approve", "0000")
    assert (result.exit_code, result.stderr) == (1, "It is decided: denied, by ada.\n")
    assert ran(port, "approve", "3f2a", SIDECAR_ADMIN_TOKEN="").exit_code == 1
