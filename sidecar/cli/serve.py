"""What ``sidecar run`` does: serve until told to stop."""

import gc
import sys
from pathlib import Path

from sidecar.apart import Reading


def serve(folder: Path) -> int:
    """The exit status, once it is over."""
    gc.disable()  # imports make nothing to collect
    try:
        with Reading(folder) as reading:
            from sidecar.app import StartError, main  # imported while the child reads

            config = reading.config()
        gc.freeze()  # nor later: all this stays, and no collection need walk it while a call waits
        gc.enable()
    except Exception as error:
        from sidecar.core.problems import ConfigError  # 10 ms that the child would have waited for

        if not isinstance(error, ConfigError):
            raise
        print(error, file=sys.stderr)
        return 1
    try:
        main(config)
    except StartError as error:
        print(f"sidecar: {error}", file=sys.stderr)
        return 1
    return 0
