"""A process on one core: what it wrote, what CPU and memory it cost, and its end."""

import contextlib
import fcntl
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")
"""The kernel's unit for CPU time, 10 ms nearly everywhere: half a percent of a window of two seconds."""

PIPE_BYTES = 1 << 20
"""Room for what a proxy logs while the reader waits for its turn on the busy load core."""

PATIENCE_S = 10
"""Between the polite signal and the other one."""


class Lines:
    """Reads a pipe to its end and counts the lines, as a log collector reads a container's stdout."""

    def __init__(self, pipe: int) -> None:
        self.count = 0
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._reader = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._reader.start()

    def _read(self, pipe: int) -> None:
        while piece := os.read(pipe, PIPE_BYTES):
            self.count += piece.count(b"\n")
        os.close(pipe)

    def ended(self) -> int:
        """The number of lines, once every writer is gone.  RuntimeError where one will not go."""
        self._reader.join(timeout=PATIENCE_S)
        if self._reader.is_alive():
            raise RuntimeError("a program that should have ended still holds its stdout")
        return self.count


class Process:
    """One program, pinned to one core from its start, or from ``pin`` on."""

    def __init__(self, command: Sequence[str | Path], core: int | None, errors: Path) -> None:
        reader, writer = os.pipe()
        self._errors = errors
        with errors.open("wb") as stderr, pinned(core) if core is not None else contextlib.nullcontext():
            self._popen = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=stderr,
                env=quiet_environment(),
                start_new_session=True,  # a group of its own: Ctrl-C is for the bench, which ends it in order
            )
        os.close(writer)
        self.lines = Lines(reader)
        self.pid = self._popen.pid

    def pin(self, core: int) -> None:
        """All its threads, and all its children's, have ``core`` alone from now on."""
        for pid in _family(self.pid):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    os.sched_setaffinity(int(task.name), {core})

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def said(self) -> str:
        """The end of what it wrote to stderr."""
        return self._errors.read_text(errors="replace")[-2000:].strip()

    def cpu_us(self) -> int:
        """CPU time so far, user and system: all threads, and all children, living or reaped."""
        return sum(sum(map(int, _stat(pid)[11:15])) for pid in _family(self.pid)) * TICK_US

    def rss_bytes(self) -> int:
        """Resident memory now, children included."""
        return sum(int(_stat(pid)[21]) for pid in _family(self.pid)) * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        """SIGTERM, then SIGKILL where that was not enough; and SIGKILL for children that outlived it."""
        if self.running:
            self._popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout=PATIENCE_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Keep this thread on ``core`` meanwhile; what it starts inherits that and keeps it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def quiet_environment() -> dict[str, str]:
    """The environment without what would send a program's own calls through some other proxy, or have Python
    compile its sources at every start: an installed package is compiled.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if "proxy" not in name.lower() and name != "PYTHONDONTWRITEBYTECODE"
    }


def core_busy_us(core: int) -> int:
    """CPU time that anybody spent on ``core`` since boot, interrupts and stolen time included."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, *rest = map(int, ticks[:8])
            return (user + nice + system + sum(rest)) * TICK_US
    raise RuntimeError(f"/proc/stat has no cpu{core}")


def _stat(pid: int) -> list[str]:
    """The fields of ``/proc/PID/stat`` (proc(5)) from the state on: the name before it may hold spaces."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):  # gone since it was listed: its parent reaped its time
        return ["0"] * 50


def _family(pid: int) -> set[int]:
    """``pid`` and all its descendants."""
    parents = {
        int(path.name): int(_stat(int(path.name))[1])
        for path in Path("/proc").iterdir()
        if path.name.isdigit()
    }
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return family
