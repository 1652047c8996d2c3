"""``sidecar env``: what an agent's container needs in its environment."""

import os
from pathlib import Path
from typing import Annotated

import typer

from sidecar.agentenv.environment import environment, unproven
from sidecar.agentenv.share import ShareError
from sidecar.agentenv.spell import Format, spelled
from sidecar.agentenv.variables import Variable
from sidecar.cli.report import err, refused
from sidecar.settings import Config, ConfigError, load

Folder = Annotated[Path, typer.Option("--config", metavar="DIR", help="The configuration folder.")]
Proxy = Annotated[
    str,
    typer.Option(
        metavar="URL",
        help="Where the agent finds the proxy, with its name and token where it has them. Default: listen.proxy.",
    ),
]
Share = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="A folder that the agent sees too; certificates and shims are put there. "
        "Default: the bundle beside tls.ca_cert.",
    ),
]
Shim = Annotated[
    bool, typer.Option("--shim", help="Load the shims, for Python and Node clients that ignore variables.")
]
CONFIG = Path("config")


def env(
    folder: Folder = CONFIG,
    spelling: Annotated[Format, typer.Option("--format", help="How they are written.")] = "shell",
    proxy: Proxy = "",
    share: Share = None,
    shim: Shim = False,
) -> None:
    """Print every variable that an agent's HTTP clients need to come to this sidecar.

    For a shell: eval "$(sidecar env)".  The certificate bundle is written on the way, where HTTPS is intercepted.
    """
    typer.echo(spelled(wanted(folder, proxy, share, shim), spelling), nl=False)


def wanted(folder: Path, proxy: str, share: Path | None, shim: bool) -> list[Variable]:
    """The variables; what stands in the way of them ends the command."""
    config = configured(folder)
    try:
        variables = environment(config, os.environ, proxy=proxy, share=share, shim=shim)
    except (ValueError, ShareError) as error:
        err().print(str(error), style="red", markup=False)
        raise typer.Exit(1) from None
    if unproven(config, proxy):
        err().print("warning: agents must prove themselves here; give --proxy http://NAME:TOKEN@HOST:PORT")
    return variables


def configured(folder: Path) -> Config:
    """The configuration, or its problems and the end."""
    try:
        return load(folder, os.environ)
    except ConfigError as error:
        refused(error)
        raise typer.Exit(1) from None
