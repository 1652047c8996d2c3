"""One window of load from wrk, and what it saw."""

import itertools
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.programs import wrk

SCRIPT = Path(__file__).with_name("load.lua")

_windows = itertools.count()


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk counted in one window."""

    calls: int
    bytes: int
    """Of the answers, heads included."""
    duration_us: int
    p50_us: int
    p99_us: int
    errors: int
    """Connects, reads and writes that failed, time-outs, and statuses over 399."""

    @property
    def rate(self) -> float:
        """Calls a second."""
        return self.calls / (self.duration_us / 1e6)


def drive(
    port: int,
    origin: str,
    host: str,
    *,
    connections: int,
    seconds: int,
    calls: Literal["fresh", "same"] = "fresh",
) -> Load:
    """Send calls to ``port`` for ``seconds``, from the core that the bench itself is on."""
    command = [
        *(wrk(), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "5s", "-s", SCRIPT),
        *(f"http://127.0.0.1:{port}", "--", origin, host, salt(), calls),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    try:
        return Load(**json.loads(ran.stdout.splitlines()[-1]))
    except (IndexError, ValueError) as error:
        raise RuntimeError(f"wrk failed: {(ran.stderr or ran.stdout).strip()}") from error


def salt() -> str:
    """Eight characters that no other window has, so that a fresh call is fresh in a store that remembers."""
    return f"{os.getpid() % 0x10000:04x}{next(_windows) % 0x10000:04x}"
