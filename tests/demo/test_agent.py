"""The agents' client is an ordinary one: it retries as frameworks do, with a fresh key each time."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sidecar.demo.agent import Client, Declined


class Scripted(ThreadingHTTPServer):
    """Answers with the scripted statuses in turn (0: drops the connection), and remembers who asked."""

    def __init__(self) -> None:
        self.script: list[int] = []
        self.seen: list[tuple[str, Any]] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.headers["Idempotency-Key"], json.loads(body)))
        status = self.server.script.pop(0)
        if status:
            answer = json.dumps({"status": status}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as it:
        thread = threading.Thread(target=it.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield it
        it.shutdown()
        thread.join()


@pytest.fixture
def client(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> Client:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return Client({"billing": f"http://127.0.0.1:{server.server_port}"}, run="r1", timeout_s=10, seed=1)


@pytest.mark.parametrize("trouble", [0, 500, 502, 503])
def test_what_broke_off_or_failed_is_tried_again_with_a_fresh_key(
    server: Scripted, client: Client, trouble: int
) -> None:
    server.script = [trouble, 201]
    assert client.call("billing", "POST", "/charges", {"invoice": "inv-1"}) == {"status": 201}
    (first, body), (second, same) = server.seen
    assert body == same
    assert first != second


def test_a_no_is_an_answer_and_is_not_tried_again(server: Scripted, client: Client) -> None:
    server.script = [409]
    with pytest.raises(Declined):
        client.call("billing", "POST", "/charges", {"invoice": "inv-1"})
    assert len(server.seen) == 1


def test_it_gives_up_at_last(server: Scripted, client: Client) -> None:
    server.script = [500] * 20
    with pytest.raises(TimeoutError, match="no answer after 8 attempts"):
        client.call("billing", "POST", "/charges", {"invoice": "inv-1"})
    assert client.writes == len(server.seen) == 8
