"""``sidecar exec``: a command, with what ``sidecar env`` prints in its environment."""

import os
from typing import Annotated

import typer

from sidecar.agentenv.variables import applied
from sidecar.cli.env import CONFIG, Folder, Proxy, Share, Shim, wanted
from sidecar.cli.report import err

CANNOT_RUN, NOT_FOUND = 126, 127
"""As a shell has them."""


def exec(  # noqa: A001 - a command's function has the command's name
    command: Annotated[list[str], typer.Argument(metavar="-- CMD [ARG]...", help="The agent.")],
    folder: Folder = CONFIG,
    proxy: Proxy = "",
    share: Share = None,
    shim: Shim = False,
) -> None:
    """Run a command whose HTTP clients come to this sidecar.

    It takes this process's place, so its exit status is its own and signals are its own.
    """
    environ = applied(wanted(folder, proxy, share, shim), os.environ)
    try:
        os.execvpe(command[0], command, environ)  # noqa: S606 - what the user asked for, and no shell
    except FileNotFoundError:
        err().print(f"{command[0]}: no such command", markup=False)
        raise typer.Exit(NOT_FOUND) from None
    except OSError as error:
        err().print(f"{command[0]}: cannot be run: {error.strerror}", markup=False)
        raise typer.Exit(CANNOT_RUN) from None
