"""The whole demo, shortened: harm without sidecars, none with them, and nothing left running."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HARM = ("overlapping_writes", "lost_updates", "duplicate_emails", "duplicate_charges")
DEMO = (sys.executable, "-m", "sidecar", "demo", "--quick")


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {"TMPDIR": str(folder)}


def test_every_kind_of_harm_happens_without_sidecars_and_none_with_them(tmp_path: Path) -> None:
    ran = subprocess.run(
        (*DEMO, "--json"), check=False, capture_output=True, text=True, timeout=110, env=environment(tmp_path)
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    result = json.loads(ran.stdout)
    without, gated = result["without"], result["with"]
    assert all(without[name] > 0 for name in HARM)
    assert not any(gated[name] for name in HARM)
    assert gated["work_done"] == without["work_done"] == gated["work_planned"]
    assert (without["unknown_outcomes"], gated["unknown_outcomes"]) == (None, 1)
    assert gated["quiet_worst_wait_ms"] < without["quiet_worst_wait_ms"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("number", "half"), [(signal.SIGINT, "1 of 2"), (signal.SIGTERM, "2 of 2")])
def test_a_demo_that_is_stopped_leaves_nothing_behind(tmp_path: Path, number: int, half: str) -> None:
    with subprocess.Popen(DEMO, stdout=subprocess.PIPE, text=True, env=environment(tmp_path)) as demo:
        assert demo.stdout is not None
        lines = iter(demo.stdout)
        assert any(half in line for line in lines)
        assert any("One lead, picked up by two runs" in line for line in lines)
        running = [os.pidfd_open(pid) for pid in descendants(demo.pid)]
        assert len(running) >= 3  # the tools at least
        demo.send_signal(number)
        assert demo.wait(20) == 130
    assert all(has_ended(process) for process in running)
    assert not list(tmp_path.iterdir())


def descendants(pid: int) -> Iterator[int]:
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield int(child)
        yield from descendants(int(child))


def has_ended(process: int) -> bool:
    """Whether the process behind this descriptor is gone; the store may need a moment."""
    ended, _, _ = select.select([process], [], [], 10)
    os.close(process)
    return bool(ended)
