"""The command line.  A command's module is imported when the command is asked for, so none pays for another."""

import importlib
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sidecar import __version__
from sidecar.core.problems import meant

COMMANDS = (
    *("run", "check", "explain", "ca", "env", "exec", "doctor", "redirect", "webhook", "schema", "demo"),
    *("unknown", "approvals", "leases", "pause", "resume"),
)
"""In the order of ``--help``.  ``sidecar/cli/NAME.py`` holds ``NAME``: a function, or an app of several."""


class Commands(TyperGroup):
    """Finds a command by its name, and imports its module then."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the signature is typer's
        return [name for name in COMMANDS if find_spec(f"sidecar.cli.{name}") is not None]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        known = self.list_commands(ctx)
        if cmd_name not in known:
            ctx.fail(f"no such command '{cmd_name}'{meant(cmd_name, known)}")
        command = getattr(importlib.import_module(f"sidecar.cli.{cmd_name}"), cmd_name)
        if isinstance(command, typer.Typer):
            return typer.main.get_command(command)
        single = typer.Typer(add_completion=False)
        single.command(cmd_name)(command)
        return typer.main.get_command(single)


app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sidecar {__version__}")
        raise typer.Exit


@app.callback()
def sidecar(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Concurrency control for AI agents at the HTTP boundary."""
