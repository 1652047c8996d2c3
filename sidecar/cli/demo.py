"""``sidecar demo``: agents that collide, without and with sidecars."""

import asyncio
import sys
from typing import Annotated

import typer
from rich.console import Console

from sidecar.demo.child import ChildError
from sidecar.demo.screen import Screen
from sidecar.demo.show import show


def demo(
    json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON, and nothing else.")] = False,
    seed: Annotated[int, typer.Option(help="Draws the records; the same seed gives the same script.")] = 7,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer records, the same collisions.")] = False,
) -> None:
    """Agents collide on purpose, once without and once with sidecars; three tools keep count.

    Exits 1 where the half with sidecars shows any harm, or less than all of the work.
    """
    screen = Screen(Console(quiet=json, highlight=False))
    try:
        result = asyncio.run(show(seed, quick, screen))
    except ChildError as error:
        print(f"the demo could not be played: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("stopped; every process of the demo is ended", file=sys.stderr)
        raise typer.Exit(130) from None
    if json:
        print(result.as_json())
    elif not result.gated.good:
        print("the half with sidecars shows harm, or less than all of the work", file=sys.stderr)
    raise typer.Exit(0 if result.gated.good else 1)
