"""A real API server with its etcd, for one test session."""

import asyncio
import json
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp

BINARY = Path(__file__).parents[2] / ".tools" / "kube-apiserver"
TOKEN = "a-test-of-its-own"


def free_port() -> int:
    """Neither program takes port 0 and says what it got; both end at once where the port is taken meanwhile."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class ApiServer:
    """Kubernetes' API and its store, and nothing that would run a pod."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.processes: list[subprocess.Popen[bytes]] = []

    def launch(self) -> None:
        etcd, peer = free_port(), free_port()
        key = self.folder / "sa.key"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, stderr=subprocess.DEVNULL)
        (self.folder / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
        store = f"http://127.0.0.1:{etcd}"
        self._launch(
            *(shutil.which("etcd") or "etcd", "--data-dir", str(self.folder / "etcd"), "--unsafe-no-fsync"),
            *("--listen-client-urls", store, "--advertise-client-urls", store),
            *("--listen-peer-urls", f"http://127.0.0.1:{peer}"),
            *("--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}"),
            *("--initial-cluster", f"default=http://127.0.0.1:{peer}"),
        )
        self._launch(
            *(
                str(BINARY),
                f"--etcd-servers={store}",
                "--bind-address=127.0.0.1",
                f"--secure-port={self.port}",
            ),
            *("--service-account-issuer=https://kubernetes.test", f"--service-account-key-file={key}"),
            *(f"--service-account-signing-key-file={key}", "--service-cluster-ip-range=10.0.0.0/24"),
            *(f"--cert-dir={self.folder / 'certs'}", f"--token-auth-file={self.folder / 'tokens.csv'}"),
            "--authorization-mode=AlwaysAllow",
            "--disable-admission-plugins=ServiceAccount",  # whose controller is not here to make accounts
        )

    async def answers(self) -> None:
        """Wait until it does."""
        async with asyncio.timeout(60):
            while not await self._ready():
                await asyncio.sleep(0.1)

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
            process.wait()

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any], list[str]]:
        """Status, answer and warnings."""
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as client,
            client.request(
                method, f"https://127.0.0.1:{self.port}{path}", json=body, ssl=_unverified()
            ) as response,
        ):
            return response.status, json.loads(await response.text()), response.headers.getall("Warning", [])

    async def _ready(self) -> bool:
        assert all(process.poll() is None for process in self.processes), (self.folder / "log").read_text()[
            -3000:
        ]
        try:
            async with (
                aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as client,
                client.get(f"https://127.0.0.1:{self.port}/readyz", ssl=_unverified()) as response,
            ):
                return response.status == 200
        except aiohttp.ClientError:
            return False

    def _launch(self, *command: str) -> None:
        with (self.folder / "log").open("ab") as log:
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log))


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


if not BINARY.exists():
    sys.exit(f"{BINARY} is not there; 'make test-apiserver' builds it")
