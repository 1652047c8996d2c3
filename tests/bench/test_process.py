"""CPU is charged to the right process, on the right core, and nothing outlives a window."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.process import Process, core_busy_us, pinned

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the bench reads /proc")

CORE = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0

BURN = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass"
"""200 ms of CPU time, however busy the machine is."""

SEEN_US = 150_000
"""What must be seen of it: ticks round down, in each process."""

THEN_WAIT = "\nimport signal\nprint(flush=True)\nsignal.pause()"


@contextmanager
def started(folder: Path, code: str) -> Iterator[Process]:
    process = Process([sys.executable, "-c", code], CORE, folder / "stderr")
    try:
        yield process
    finally:
        process.stop()


def test_work_done_in_a_child_is_charged_to_the_program_that_started_it(tmp_path: Path) -> None:
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN!r}])"
    with started(tmp_path, code + THEN_WAIT) as process:
        wait_for_a_line(process)
        assert process.cpu_us() >= SEEN_US


def test_work_done_in_a_child_that_still_runs_counts(tmp_path: Path) -> None:
    code = f"import os\nif os.fork() == 0:\n    exec({BURN + THEN_WAIT!r})\nos.wait()"
    with started(tmp_path, code) as process:
        wait_for_a_line(process)
        assert process.cpu_us() >= SEEN_US
    assert process.lines.ended() == 1, "and it ends with its parent"


def test_work_done_in_a_thread_that_has_ended_counts(tmp_path: Path) -> None:
    code = f"import threading\nit = threading.Thread(target=exec, args=({BURN!r},))\nit.start(); it.join()"
    with started(tmp_path, code + THEN_WAIT) as process:
        wait_for_a_line(process)
        assert process.cpu_us() >= SEEN_US


def test_a_program_stays_on_its_core_and_the_bench_on_its_own(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    with started(tmp_path, THEN_WAIT) as process:
        wait_for_a_line(process)
        assert os.sched_getaffinity(process.pid) == {CORE}
    assert os.sched_getaffinity(0) == before


def test_a_core_is_busy_while_somebody_works_on_it() -> None:
    with pinned(CORE):
        before = core_busy_us(CORE)
        exec(BURN)
        assert core_busy_us(CORE) - before >= SEEN_US


def test_every_line_is_counted_once_the_writer_is_gone(tmp_path: Path) -> None:
    with started(tmp_path, "print('\\n'.join(map(str, range(50_000))))") as process:
        assert process.lines.ended() == 50_000


def test_a_program_that_ignores_the_first_signal_is_ended_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.process.PATIENCE_S", 0.1)
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    with started(tmp_path, code + THEN_WAIT) as process:
        wait_for_a_line(process)
        process.stop()
        assert not process.running


def test_what_a_program_wrote_to_stderr_is_at_hand(tmp_path: Path) -> None:
    with started(tmp_path, "import sys; sys.exit('no such option')") as process:
        process.lines.ended()
        assert process.said() == "no such option"


def test_the_environment_presets_no_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://elsewhere:3128")
    with started(tmp_path, "import os, sys; sys.exit(os.environ.get('HTTP_PROXY', 'none'))") as process:
        process.lines.ended()
        assert process.said() == "none"


def wait_for_a_line(process: Process) -> None:
    while not process.lines.count:
        assert process.running, process.said()
        os.sched_yield()
