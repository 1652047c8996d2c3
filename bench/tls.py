"""What HTTPS costs: calls in tunnels that stay, and whole handshakes, beside mitmdump where it is installed.

    python -m bench.tls

The load is blocking sockets in this process, on the load's core beside the upstream, all connections in lockstep: while
one answer is read the proxy works at the next.  Past some 15,000 calls a second it is the load that is slow, so CPU a
call says more.
"""

import contextlib
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from bench import backing, programs, site
from bench.process import Process
from bench.report import table
from bench.site import Site
from sidecar.wire.certificates import new_authority

HOST = "crm.test"
BODY = b'{"note":"%s"}' % (b"x" * 489)
CONNECT = b"CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\n\r\n" % (HOST.encode(), HOST.encode())
CALL = (
    b"POST /crm/items/1 HTTP/1.1\r\nHost: %s\r\nUser-Agent: agent/1.0\r\nAccept: application/json\r\n"
    b"Authorization: Bearer not-a-secret\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    % (HOST.encode(), len(BODY), BODY)
)
CONNECTIONS, WINDOW_S, ROUNDS = 16, 3.0, 4

_SIDECAR = """\
version: 1
listen: {{proxy: "127.0.0.1:{port}", admin: "127.0.0.1:0"}}
store: {{url: "{store}", namespace: tls}}
egress: {{allow: ["127.0.0.0/8"]}}
tls: {{ca_cert: ca.crt, ca_key: ca.key}}
"""

_TOOL = """\
version: 1
tool: crm
hosts: [{host}]
upstream: http://{upstream}
routes:
  - {{name: item.update, match: {{method: POST, path: "/crm/items/{{id}}"}}, lane: read}}
"""


@dataclass(frozen=True, slots=True)
class Contender:
    """A proxy that intercepts."""

    name: str
    process: Process
    port: int
    trusted: ssl.SSLContext


@dataclass(frozen=True, slots=True)
class Window:
    """So many in a second, at so much of the proxy's CPU each."""

    rate: float
    cpu_us: float


def main() -> int:
    with site.prepared() as here, contextlib.ExitStack() as stack:
        rows = [_sidecar(here)]
        stack.callback(rows[0].process.stop)
        if (programs.PEERS / "bin" / "mitmdump").exists():
            rows.append(_mitmdump(here))
            stack.callback(rows[1].process.stop)
        else:
            print("bench: mitmdump is not here: `python -m bench --peers` brings it", file=sys.stderr)
        found: dict[tuple[str, str], list[Window]] = {}
        for number in range(ROUNDS + 1):
            for row in rows:
                windows = {"call": _measure(row, _calls), "handshake": _measure(row, _handshakes)}
                for kind, window in windows.items() if number else ():  # the first round warms up
                    found.setdefault((row.name, kind), []).append(window)
    print(_table([row.name for row in rows], found))
    return 0


def _table(names: list[str], found: dict[tuple[str, str], list[Window]]) -> str:
    head = ("", "calls/s", "CPU us a call", "handshakes/s", "CPU us a handshake and call")
    rows = []
    for name in names:
        cells = [name]
        for kind in ("call", "handshake"):
            cells.append(f"{median(window.rate for window in found[name, kind]):,.0f}")
            cells.append(f"{median(window.cpu_us for window in found[name, kind]):,.0f}")
        rows.append(cells)
    return table(head, rows)


def _measure(row: Contender, load: Callable[[Contender], int]) -> Window:
    cpu_us, began_s = row.process.cpu_us(), time.monotonic()
    done = load(row)
    return Window(done / (time.monotonic() - began_s), (row.process.cpu_us() - cpu_us) / done)


def _calls(row: Contender) -> int:
    with contextlib.ExitStack() as stack:
        tunnels = [stack.enter_context(_tunnel(row)) for _ in range(CONNECTIONS)]
        until_s, done = time.monotonic() + WINDOW_S, 0
        while time.monotonic() < until_s:
            for tunnel in tunnels:
                tunnel.sendall(CALL)
            for tunnel in tunnels:
                _answer(tunnel)
            done += CONNECTIONS
    return done


def _handshakes(row: Contender) -> int:
    until_s, done = time.monotonic() + WINDOW_S, 0
    while time.monotonic() < until_s:
        with _tunnel(row) as tunnel:
            tunnel.sendall(CALL)
            _answer(tunnel)
        done += 1
    return done


@contextlib.contextmanager
def _tunnel(row: Contender) -> Iterator[ssl.SSLSocket]:
    with socket.create_connection(("127.0.0.1", row.port), 10) as plain:
        plain.sendall(CONNECT)
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += plain.recv(4096) or _broken("the proxy hung up on a CONNECT")
        if not answer.startswith(b"HTTP/1.1 200"):
            _broken(f"a CONNECT was refused: {answer[:200]!r}")
        with row.trusted.wrap_socket(plain, server_hostname=HOST) as tunnel:
            yield tunnel


def _answer(tunnel: ssl.SSLSocket) -> None:
    answer = tunnel.recv(65536)
    while not answer.endswith(backing.ANSWER):
        answer += tunnel.recv(65536) or _broken(f"the proxy hung up in an answer: {answer[:200]!r}")
    if not answer.startswith(b"HTTP/1.1 200"):
        _broken(f"not a 200: {answer[:200]!r}")


def _broken(why: str) -> bytes:
    raise ConnectionError(why)


def _trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


def _sidecar(here: Site) -> Contender:
    port, folder = backing.free_port(), here.folder / "sidecar"
    (folder / "routes").mkdir(parents=True)
    (folder / "sidecar.yaml").write_text(_SIDECAR.format(port=port, store=here.store.url))
    (folder / "routes" / "crm.yaml").write_text(_TOOL.format(host=HOST, upstream=here.upstream.host))
    certificate, key = new_authority([HOST], datetime.now(UTC), timedelta(days=1))
    (folder / "ca.crt").write_bytes(certificate)
    (folder / "ca.key").write_bytes(key)
    process = Process([*programs.sidecar(), "run", "--config", folder], here.proxy_core, folder / "stderr")
    row = Contender("sidecar", process, port, _trusting(folder / "ca.crt"))
    backing.until_ready(row.name, process, lambda: _handshake(row))
    return row


def _mitmdump(here: Site) -> Contender:
    port, folder = backing.free_port(), here.folder / "mitmdump"
    folder.mkdir()
    words = ["--listen-host", "127.0.0.1", "--listen-port", str(port), "--set", f"confdir={folder}"]
    words += [
        "--set",
        "connection_strategy=lazy",
        "--map-remote",
        f"|https://{HOST}/|http://{here.upstream.host}/",
    ]
    process = Process([programs.peer("mitmdump"), *words], here.proxy_core, folder / "stderr")
    certificate = folder / "mitmproxy-ca-cert.pem"
    backing.until_ready("mitmdump", process, certificate.read_bytes)
    row = Contender("mitmdump", process, port, _trusting(certificate))
    backing.until_ready(row.name, process, lambda: _handshake(row))
    return row


def _handshake(row: Contender) -> None:
    with _tunnel(row) as tunnel:
        tunnel.sendall(CALL)
        _answer(tunnel)


if __name__ == "__main__":
    sys.exit(main())
