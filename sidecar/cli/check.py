"""``sidecar check``: is this configuration good, and what does it leave open?"""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from sidecar.cli.report import as_json, count, err, out, print_json, refused, tell
from sidecar.core.problems import Problem
from sidecar.settings import Config, ConfigError, load
from sidecar.wire.proof import proven, signed_hosts
from sidecar.wire.trust import TrustError


def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The configuration folder.")],
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Take warnings for problems.")] = False,
) -> None:
    """Read a configuration folder and tell everything that is wrong with it."""
    try:
        config = load(folder, os.environ)
    except ConfigError as error:
        if json:
            print_json({"good": False, "problems": as_json(error.problems)})
        else:
            refused(error)
        raise typer.Exit(1) from None
    try:
        authority = proven(config)
    except TrustError as error:
        _no_trust(folder, error, json)
        raise typer.Exit(1) from None
    doubts = () if authority is None else authority.doubts(signed_hosts(config))
    warnings = [*config.warnings, *(_problem(folder, doubt, fatal=False) for doubt in doubts)]
    good = not (strict and warnings)
    if json:
        print_json({"good": good, "problems": as_json(warnings)} | _numbers(config))
    else:
        tell(warnings)
        _summary(config, len(warnings), good)
    raise typer.Exit(0 if good else 1)


def _numbers(config: Config) -> dict[str, object]:
    tools = {site.tool.name: [route.name for route in site.routes] for site in config.sites}
    return {"digest": config.digest, "tools": tools}


def _no_trust(folder: Path, error: TrustError, json: bool) -> None:
    problem = _problem(folder, str(error), fatal=True)
    if json:
        print_json({"good": False, "problems": as_json([problem])})
    else:
        tell([problem])


def _problem(folder: Path, message: str, *, fatal: bool) -> Problem:
    return Problem(str(folder), 0, 0, message, fatal=fatal)


def _summary(config: Config, warnings: int, good: bool) -> None:
    console = out()
    for site in config.sites:
        hosts = ", ".join(map(str, site.tool.hosts)) or "reverse form only"
        console.print(
            Text(f"  {site.tool.name:<16}", style="cyan"),
            count(len(site.routes), "route"),
            f" {hosts}",
            sep="",
        )
    sites = config.sites
    routes = sum(len(site.routes) for site in sites)
    warned = f", {count(warnings, 'warning')}" if warnings else ""
    text = f"{count(len(sites), 'tool')}, {count(routes, 'route')}{warned}"
    if good:
        console.print(Text("good", style="bold green"), Text(f": {text}"), sep="")
    else:
        err().print(Text(f"refused (--strict): {text}", style="bold red"))
