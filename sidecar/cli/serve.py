"""What ``sidecar run`` does: serve until told to stop."""

import gc
import sys
from pathlib import Path

from sidecar.apart import Reading
from sidecar.core.problems import ConfigError


def serve(folder: Path) -> int:
    """The exit status, once it is over."""
    try:
        with Reading(folder) as reading:
            from sidecar.app import StartError, main  # imported while the child reads

            config = reading.config()
        gc.freeze()  # all this stays, so no collection need walk it again while a call waits
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        main(config)
    except StartError as error:
        print(f"sidecar: {error}", file=sys.stderr)
        return 1
    return 0
