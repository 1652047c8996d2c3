"""Both logs of a process: decision lines for programs, and words for people.

No call ever waits for a log's reader.  A line is put by, and a thread writes what has gathered,
in one write per ``LINGER_S`` at most.  When the reader stalls too many wait, when it is gone the write
fails; either way lines are dropped and counted, and the street goes on.  What a ``kill -9`` takes is the
last ``LINGER_S``.
"""

import errno
import logging
import os
import select
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final

import orjson

from sidecar.telemetry.story import Story, stamp

LINGER_S: Final = 0.05
"""How long lines gather: 20 wake-ups a second under load, none when idle, live to a person's eye."""
MOST_LINES: Final = 10_000
"""Lines that wait for a slow reader; 5 MB, or half a second at 20,000 calls a second."""
BATCH_LINES: Final = 2_000
"""Lines in one write, so that a stall holds a bounded number beside the queue."""

_DESCRIPTORS: Final = {"stdout": 1, "stderr": 2}
_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class Writer:
    """Lines on their way to ``stdout``, ``stderr`` or a file, through a thread of their own."""

    def __init__(self, target: str) -> None:
        """Raises OSError where ``target`` is a file that cannot be written."""
        self._target = target
        self._lines: deque[bytes] = deque()
        self._awake = False
        """The thread will look at the lines once more: whoever adds one need not wake it."""
        self._wake = Event()
        self._closing = Event()
        self._refused = 0
        self._lost = 0
        _probe(target)
        self._thread = Thread(target=self._run, name=f"log to {target}", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Take a line, its newline included.  Never blocks; drops the line where too many wait."""
        if len(self._lines) >= MOST_LINES:
            self._refused += 1
            return
        self._lines.append(line)
        if not self._awake:
            self._awake = True
            self._wake.set()

    @property
    def dropped(self) -> int:
        """Lines that never reached their reader.  Two threads count, each its own."""
        return self._refused + self._lost

    def close(self, timeout_s: float) -> None:
        """Write what is left, for at most ``timeout_s``."""
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            self._wake.clear()
            self._closing.wait(LINGER_S)
            self._awake = False
            self._drain()
        self._drain()

    def _drain(self) -> None:
        lines = self._lines
        while lines:
            self._put([lines.popleft() for _ in range(min(len(lines), BATCH_LINES))])

    def _put(self, lines: list[bytes]) -> None:
        try:
            with _opened(self._target) as descriptor:
                _write(descriptor, b"".join(lines))
        except OSError:
            self._lost += len(lines)


class Log:
    """What a process says about itself."""

    def __init__(self, decisions: str, level: str) -> None:
        """``decisions``: ``stdout``, ``stderr``, ``off`` or a path.  ``level``: a name of ``logging``'s.

        Raises OSError where that file cannot be written.
        """
        self._words = Writer("stderr")
        self._decisions = (
            None if decisions == "off" else self._words if decisions == "stderr" else Writer(decisions)
        )
        self._handler = _Handler(self._words)
        logging.getLogger().addHandler(self._handler)
        logging.getLogger("sidecar").setLevel(level.upper())

    def tell(self, story: Story) -> None:
        """Write the decision line of a story that has ended."""
        if self._decisions is not None:
            self._decisions.write(story.line(time.time()))

    def record(self, entry: Mapping[str, object]) -> None:
        """Write a line about what a person did: which event, who, and why."""
        if self._decisions is not None:
            line = {"ts": stamp(time.time()), **entry}
            self._decisions.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def dropped(self) -> int:
        """Lines of either kind that never reached their reader."""
        return sum(writer.dropped for writer in self._writers())

    def close(self, timeout_s: float = 1.0) -> None:
        """Write what is left and stop, waiting ``timeout_s`` for each reader at most."""
        logging.getLogger().removeHandler(self._handler)
        for writer in self._writers():
            writer.close(timeout_s)

    def _writers(self) -> set[Writer]:
        return {self._words} if self._decisions is None else {self._words, self._decisions}


class _Handler(logging.Handler):
    """The process log's way into the same kind of thread: a stalled stderr must not hold the loop either."""

    def __init__(self, writer: Writer) -> None:
        super().__init__()
        formatter = _Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        formatter.converter = time.gmtime
        self.setFormatter(formatter)
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        self._writer.write(self.format(record).encode("utf-8", "backslashreplace") + b"\n")


class _Formatter(logging.Formatter):
    """Only a message begins at the margin: what an agent sent can neither forge one nor drive the terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return "\n    ".join(map(_printable, super().formatMessage(record).split("\n")))

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(_printable, super().format(record).split("\n")))  # a traceback keeps its lines


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _probe(target: str) -> None:
    if target in _DESCRIPTORS:
        return
    try:
        os.close(os.open(target, _APPEND | os.O_NONBLOCK, 0o640))
    except OSError as error:
        if error.errno != errno.ENXIO:  # a named pipe whose reader is yet to come
            raise


@contextmanager
def _opened(target: str) -> Iterator[int]:
    """A file is opened for each batch, so a rotated one is followed without being told."""
    if target in _DESCRIPTORS:
        yield _DESCRIPTORS[target]
        return
    descriptor = os.open(target, _APPEND, 0o640)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write(descriptor: int, text: bytes) -> None:
    left = memoryview(text)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:  # somebody else made the shared pipe non-blocking
            ready = select.poll()
            ready.register(descriptor, select.POLLOUT)
            ready.poll()
