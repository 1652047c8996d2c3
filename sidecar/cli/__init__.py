"""The command line.

``run`` stays for weeks, so it does not carry what reads command lines: its one spelling is known here, and the rest,
mistakes included, goes to ``commands``.
"""

import sys
from pathlib import Path


def main() -> None:
    """The ``sidecar`` command.  Exit 0: good, 1: refused or failed, 2: bad usage."""
    match sys.argv[1:]:
        case ["run", "--config", folder] if not folder.startswith("-"):
            from sidecar.cli.serve import serve

            sys.exit(serve(Path(folder)))
        case _:
            from sidecar.cli.commands import app

            app(prog_name="sidecar")
