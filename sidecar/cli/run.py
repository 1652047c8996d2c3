"""``sidecar run``: serve until told to stop."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from sidecar.settings import ConfigError, load


def run(
    config: Annotated[Path, typer.Option("--config", help="The folder that holds sidecar.yaml and routes/.")],
) -> None:
    """Run the sidecar.  SIGHUP or a changed file reloads the config; SIGTERM drains and stops."""
    try:
        good = load(config, os.environ)
    except ConfigError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    from sidecar.app import StartError, main

    try:
        main(good)
    except StartError as error:
        print(f"sidecar: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
