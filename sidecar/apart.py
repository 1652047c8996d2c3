"""The configuration, read by a process of its own that ends when it is done.

Reading needs pydantic, a YAML parser and every model of the schema; serving needs none of them.  So the process that
serves never imports them, and its loop does not stand still while a large folder is read again: a child reads, and
sends what will run, or what is wrong, through a pipe.  Whatever a file does to its reader, a reader that is slow is
ended, one that dies is a problem like any other, and calls are served meanwhile.

What comes through the pipe is a pickle, from nobody but our own child.

At start everything waits for the child, so nothing that it does not need is imported before it runs.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from sidecar.core.config import Config
    from sidecar.core.problems import ConfigError, Problem

PATIENCE_S = 30.0
"""A thousand routes take a second."""

_READ = "import gc; gc.disable(); from sidecar.settings import send; send()"
"""Its whole life is too short for a collection to pay."""


class Reading:
    """A child that reads ``folder`` from now on.  Leaving its context ends it, whatever it has come to.

    Raises ConfigError where none can be started.
    """

    def __init__(self, folder: Path, patience_s: float = PATIENCE_S) -> None:
        self._folder = folder
        self._patience_s = patience_s
        self._awaited = False
        self._child = self._started()

    def _started(self) -> "subprocess.Popen[bytes]":
        try:
            return subprocess.Popen(  # noqa: S603 - this very interpreter, and no shell
                [sys.executable, "-P", "-c", _READ, str(self._folder)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)},
            )
        except OSError as error:
            raise self._failed(f"could not be read: no process to read it: {error.strerror}") from None

    def config(self) -> "Config":
        """Wait for it.  Raises ConfigError."""
        import pickle

        from sidecar.core.config import Config
        from sidecar.core.problems import ConfigError

        self._awaited = True
        with self._child:
            try:
                sent, _ = self._child.communicate(timeout=self._patience_s)
            except subprocess.TimeoutExpired:
                self._child.kill()
                raise self._failed(f"took longer than {self._patience_s:g} s to read") from None
        if self._child.returncode:
            raise self._failed(f"could not be read: its reader ended with {self._child.returncode}")
        result: Config | Sequence[Problem] = pickle.loads(sent)  # noqa: S301 - our own child's
        if isinstance(result, Config):
            return result
        raise ConfigError(result)

    def _failed(self, message: str) -> "ConfigError":
        from sidecar.core.problems import ConfigError, Problem

        return ConfigError([Problem(str(self._folder), 0, 0, message)])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._child.kill()
        if not self._awaited:  # else whoever waits, perhaps in another thread, cleans up
            with self._child:
                pass
