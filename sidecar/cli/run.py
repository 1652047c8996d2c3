"""``sidecar run``, for the command line's help and for its mistakes."""

from pathlib import Path
from typing import Annotated

import typer

from sidecar.cli.serve import serve


def run(
    config: Annotated[Path, typer.Option("--config", help="The folder that holds sidecar.yaml and routes/.")],
) -> None:
    """Run the sidecar.  SIGHUP or a changed file reloads the config; SIGTERM drains and stops."""
    raise typer.Exit(serve(config))
