"""The promise of a log: no call waits for whoever reads it.  Real processes and real pipes, since pipes are
the risk.
"""

import fcntl
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.telemetry import log
from sidecar.telemetry.log import MOST_LINES, Log, Writer
from tests.telemetry.stories import a_story

FLOOD = 3 * MOST_LINES

CHILD = """
import json, os, sys
from sidecar.telemetry.log import Log
from tests.telemetry.stories import a_story

report, flood, decisions = os.fdopen(int(sys.argv[1]), "w"), int(sys.argv[2]), sys.argv[3]
log = Log(decisions, "info")
story = a_story()
story.end(100.5)
for _ in range(flood):
    log.tell(story)
print("told", file=report, flush=True)
sys.stdin.read()
log.close(timeout_s=float(sys.argv[4]))
print(log.dropped(), file=report, flush=True)
"""


class Child:
    """A process that tells ``flood`` stories, reports that it got through, and ends once it is let go."""

    def __init__(
        self, flood: int, decisions: str = "stdout", timeout_s: float = 5.0, nonblocking: bool = False
    ) -> None:
        self.out, out = os.pipe()
        if nonblocking:
            fcntl.fcntl(out, fcntl.F_SETFL, os.O_NONBLOCK)
        report, self._report = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(self._report), str(flood), decisions, str(timeout_s)],
            stdin=subprocess.PIPE,
            stdout=out,
            pass_fds=[self._report],
        )
        os.close(out)
        os.close(self._report)
        self.report = os.fdopen(report)

    def let_go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def end(self) -> tuple[int, int]:
        """Lines dropped, and the exit status."""
        dropped = int(self.report.readline())
        self.report.close()
        return dropped, self.process.wait(20)


def read_all(descriptor: int) -> list[bytes]:
    with os.fdopen(descriptor, "rb") as pipe:
        return pipe.read().splitlines(keepends=True)


def test_every_line_arrives_where_somebody_reads() -> None:
    child = Child(flood=500)
    assert child.report.readline() == "told\n"
    child.let_go()
    lines = read_all(child.out)
    assert child.end() == (0, 0)
    assert len(lines) == 500
    assert all(json.loads(line)["call"] == "c1" for line in lines)


@pytest.mark.parametrize("nonblocking", [False, True], ids=["blocking pipe", "non-blocking pipe"])
def test_a_reader_that_stalls_holds_nobody_and_is_told_how_much_it_missed(nonblocking: bool) -> None:
    child = Child(flood=FLOOD, nonblocking=nonblocking)
    assert child.report.readline() == "told\n"  # while nobody has read a byte
    child.let_go()
    lines = read_all(child.out)
    dropped, status = child.end()
    assert status == 0
    assert dropped > 0
    assert len(lines) == FLOOD - dropped
    assert all(line.endswith(b"\n") and json.loads(line) for line in lines)


def test_an_exit_waits_for_a_stalled_reader_no_longer_than_agreed() -> None:
    child = Child(flood=FLOOD, timeout_s=0.1)
    assert child.report.readline() == "told\n"
    child.let_go()
    _, status = child.end()  # still nobody reads
    assert status == 0
    os.close(child.out)


def test_a_reader_that_went_away_costs_its_lines_and_nothing_else() -> None:
    child = Child(flood=500)
    os.close(child.out)
    assert child.report.readline() == "told\n"
    child.let_go()
    dropped, status = child.end()
    assert status == 0
    assert dropped > 0


def test_decisions_may_be_off() -> None:
    child = Child(flood=500, decisions="off")
    child.let_go()
    assert read_all(child.out) == []
    assert child.report.readline() == "told\n"
    assert child.end() == (0, 0)


def test_decisions_may_go_to_a_file_that_is_rotated(tmp_path: Path) -> None:
    path = tmp_path / "decisions.log"
    for name in ("first", "second"):
        writer = Writer(str(path))
        writer.write(name.encode() + b"\n")
        writer.close(timeout_s=5)
    assert path.read_text() == "first\nsecond\n"

    writer = Writer(str(path))
    path.rename(tmp_path / "decisions.log.1")
    writer.write(b"third\n")
    writer.close(timeout_s=5)
    assert path.read_text() == "third\n"
    assert path.stat().st_mode & 0o007 == 0


def test_a_file_that_cannot_be_written_is_an_error_at_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Writer(str(tmp_path / "no" / "folder.log"))


def test_a_full_disk_costs_its_lines_and_nothing_else() -> None:
    writer = Writer("/dev/full")
    writer.write(b"one\n")
    writer.write(b"two\n")
    writer.close(timeout_s=5)
    assert writer.dropped == 2


def test_a_named_pipe_may_wait_for_its_reader(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = Writer(str(path))
    writer.write(b"line\n")
    assert path.read_bytes() == b"line\n"
    writer.close(timeout_s=5)


@pytest.fixture
def said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[Callable[[logging.Logger], None]], str]:
    """What stderr shows of a process log at level info."""

    def run(say: Callable[[logging.Logger], None]) -> str:
        path = tmp_path / "stderr"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        monkeypatch.setitem(log._DESCRIPTORS, "stderr", descriptor)
        words = Log("off", "info")
        try:
            say(logging.getLogger("sidecar.test"))
        finally:
            words.close(timeout_s=5)
            os.close(descriptor)
        return path.read_text()

    return run


def test_words_have_a_time_and_a_level(said: Callable[[Callable[[logging.Logger], None]], str]) -> None:
    text = said(lambda logger: (logger.info("ready"), logger.debug("not shown")))
    assert text.endswith("Z INFO ready\n")
    assert text.count("\n") == 1


def test_what_an_agent_sent_forges_no_message(
    said: Callable[[Callable[[logging.Logger], None]], str],
) -> None:
    text = said(lambda logger: logger.warning("host %s", "x\nINFO all is well \x1b[2J \ud800 é"))
    assert text.endswith(" WARNING host x\n    INFO all is well \\x1b[2J \\ud800 é\n")


def test_a_crash_keeps_its_traceback_readable(
    said: Callable[[Callable[[logging.Logger], None]], str],
) -> None:
    def crash(logger: logging.Logger) -> None:
        try:
            raise ValueError("bad \x1b[2J")
        except ValueError:
            logger.exception("task crashed")

    text = said(crash)
    assert "ERROR task crashed\nTraceback" in text
    assert text.endswith("ValueError: bad \\x1b[2J\n")


def test_decisions_may_share_stderr_with_the_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "stderr"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    monkeypatch.setitem(log._DESCRIPTORS, "stderr", descriptor)
    both = Log("stderr", "info")
    story = a_story()
    story.end(100.5)
    both.tell(story)
    both.close(timeout_s=5)
    os.close(descriptor)
    assert json.loads(path.read_text())["route"] == "deal.update"


def test_what_a_person_did_is_a_line_beside_those_of_calls(tmp_path: Path) -> None:
    target = tmp_path / "decisions"
    decisions = Log(str(target), "info")
    decisions.record({"event": "approval", "by": "grace", "why": "fine"})
    decisions.close()
    line = json.loads(target.read_text())
    assert line.pop("ts").endswith("Z")
    assert line == {"event": "approval", "by": "grace", "why": "fine"}
    silent = Log("off", "info")
    silent.record({"event": "approval"})
    silent.close()
