"""``sidecar check``: is this configuration good, and what does it leave open?"""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from sidecar.cli.report import as_json, count, err, out, print_json, refused, tell
from sidecar.settings import Config, ConfigError, load


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
    good = not (strict and config.warnings)
    if json:
        print_json({"good": good, "problems": as_json(config.warnings)} | _numbers(config))
    else:
        tell(config.warnings)
        _summary(config, good)
    raise typer.Exit(0 if good else 1)


def _numbers(config: Config) -> dict[str, object]:
    tools = {site.tool.name: [route.name for route in site.routes] for site in config.sites}
    return {"digest": config.digest, "tools": tools}


def _summary(config: Config, good: bool) -> None:
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
    warned = f", {count(len(config.warnings), 'warning')}" if config.warnings else ""
    text = f"{count(len(sites), 'tool')}, {count(routes, 'route')}{warned}"
    if good:
        console.print(Text("good", style="bold green"), Text(f": {text}"), sep="")
    else:
        err().print(Text(f"refused (--strict): {text}", style="bold red"))
