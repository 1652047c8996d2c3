"""What the figures were made on: machine, commit, versions, and how this Python was built."""

import os
import platform
import subprocess
import sysconfig
from importlib import metadata
from pathlib import Path

from bench import programs
from bench.backing import Store


def commit() -> str:
    """The commit, with ``-dirty`` where the tree differs from it; ``unknown`` outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=9", "--exclude=*"]
    try:
        ran = subprocess.run(command, cwd=programs.ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository
        return "unknown"
    return ran.stdout.strip()


def python_build() -> str:
    """Version and what it was optimised with: PGO and LTO together are worth a tenth of every figure."""
    flags = f"{sysconfig.get_config_var('CONFIG_ARGS')} {sysconfig.get_config_var('PY_CORE_CFLAGS')}"
    found = [
        name for name, flag in (("PGO", "--enable-optimizations"), ("LTO", "--with-lto")) if flag in flags
    ]
    return f"{platform.python_version()} ({'+'.join(found) if found else 'no PGO, no LTO'})"


def facts(store: Store) -> dict[str, str]:
    """In the order they are printed."""
    ours = (
        f"{name} {metadata.version(name)}" for name in ("uvloop", "httptools", "hiredis", "orjson", "aiohttp")
    )
    return {
        "commit": commit(),
        "machine": f"{_cpu()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "python": f"{python_build()}, {', '.join(ours)}",
        "sidecar": "compiled" if programs.is_compiled() else "interpreted (make compiled was not run)",
        "envoy": _envoy(),
        "upstream": programs.version_of(programs.nginx(), "-v").removeprefix("nginx version: "),
        "store": store.version(),
        "load": programs.version_of(programs.wrk(), "-v").partition(" [")[0],
    }


def load_average() -> float:
    """Over the last minute: what else this machine was doing when the run began."""
    return os.getloadavg()[0]


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _envoy() -> str:
    """``envoy version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`` without what no reader needs."""
    said = programs.version_of(programs.envoy())
    return next((part for part in said.split("/") if part[:1].isdigit() and part.count(".") == 2), said)
