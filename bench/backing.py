"""What stands behind every proxy: the upstream, and the store.  Both on the load's core."""

import http.client
import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis

from bench import programs
from bench.process import Process

ANSWER = json.dumps({"id": "deal-1", "note": "x" * 995}).encode()
"""What every call gets: 1 KB, about what a CRM returns for a record."""

_NGINX = """\
daemon off; master_process off; worker_processes 1; pid {folder}/upstream.pid; error_log stderr;
events {{ worker_connections 1024; multi_accept on; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
  client_body_temp_path {folder}/t0; proxy_temp_path {folder}/t1; fastcgi_temp_path {folder}/t2;
  uwsgi_temp_path {folder}/t3; scgi_temp_path {folder}/t4;
  server {{
    listen 127.0.0.1:{port};
    location / {{ default_type application/json; return 200 '{answer}'; }}
    location = /status {{ stub_status; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Upstream:
    """nginx with a fixed answer, and a count of what reached it."""

    process: Process
    port: int

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def requests(self) -> int:
        """Requests so far.  Asking is one itself, so take one off a difference of two answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", "/status")
        numbers = connection.getresponse().read().decode().splitlines()[2].split()
        connection.close()
        return int(numbers[2])


@dataclass(frozen=True, slots=True)
class Store:
    """A server of the bench's own on a unix socket, with the embedded store's AOF, written every second."""

    process: Process
    socket: Path

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def scripts(self) -> int:
        """Scripts run so far."""
        with self._connect() as client:
            stats = client.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("eval", "evalsha", "fcall"))

    def version(self) -> str:
        with self._connect() as client:
            info = client.info("server")
        return f"{info.get('server_name', 'redis')} {info.get('valkey_version', info['redis_version'])}"

    def _connect(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket))


def start_upstream(folder: Path, core: int) -> Upstream:
    port = free_port()
    config = folder / "upstream.conf"
    config.write_text(_NGINX.format(folder=folder, port=port, answer=ANSWER.decode()))
    process = Process([programs.nginx(), "-c", config, "-p", folder], core, folder / "upstream.err")
    until_ready("nginx, the upstream", process, lambda: socket.create_connection(("127.0.0.1", port)).close())
    return Upstream(process, port)


def start_store(folder: Path, core: int) -> Store:
    address = folder / "store.sock"
    command: list[str | Path] = [
        *(programs.store_server(), "--port", "0", "--unixsocket", address, "--dir", folder, "--save", ""),
        # A rewrite in the middle of a window would be charged to the calls in it.
        *("--appendonly", "yes", "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0"),
    ]
    store = Store(Process(command, core, folder / "store.err"), address)
    until_ready("the store", store.process, store.scripts)
    return store


def free_port() -> int:
    """A loopback port that was free a moment ago: nginx and Envoy want a number."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until_ready(name: str, process: Process, attempt: Callable[[], object], within_s: float = 20) -> None:
    """Repeat ``attempt`` until it raises nothing.  Raises RuntimeError in the program's own words."""
    give_up = time.monotonic() + within_s
    while True:
        try:
            attempt()
            return
        except (OSError, redis.RedisError, http.client.HTTPException) as error:
            if not process.running:
                raise RuntimeError(f"{name} ended at once: {process.said()}") from error
            if time.monotonic() > give_up:
                raise RuntimeError(
                    f"{name} is not ready after {within_s:.0f} s ({error}): {process.said()}"
                ) from error
        time.sleep(0.002)
