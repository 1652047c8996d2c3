"""``sidecar unknown``: outcomes that nobody can tell, and the word of somebody who can."""

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.text import Text

from sidecar.cli.remote import AdminOption, ByOption, ConfigOption, JsonOption, Remote, WhyOption, user
from sidecar.cli.report import out, print_json

unknown = typer.Typer(
    name="unknown", add_completion=False, no_args_is_help=True, help="Outcomes that nobody can tell."
)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")]


@unknown.command("list")
def list_(admin: AdminOption = "", config: ConfigOption = None, json: JsonOption = False) -> None:
    """What is not known now, of the whole fleet."""
    said = Remote(admin, config).get("/unknown")
    if json:
        print_json(said)
        return
    for item in said["items"]:
        ago = _time(item["since_ms"])
        line = Text(item["id"], style="bold")
        line.append(
            f"  {item['tool']}: {item['route']}  {item['why']}, {ago} ago  run {item['run'] or '-'}",
            style="default",
        )
        out().print(line)
    if not said["items"]:
        out().print("every outcome is known")


@unknown.command()
def show(
    name: IdArgument, admin: AdminOption = "", config: ConfigOption = None, json: JsonOption = False
) -> None:
    """What there is to know of one."""
    item = Remote(admin, config).get(f"/unknown/{name}")
    if json:
        print_json(item)
        return
    for label, value in _rows(item):
        line = Text(f"{label:<9}", style="cyan")
        line.append(value, style="default")
        out().print(line)


@unknown.command()
def resolve(
    name: IdArgument,
    applied: Annotated[
        bool | None, typer.Option("--applied/--not-applied", help="Whether it took effect.")
    ] = None,
    answer: Annotated[
        Path | None,
        typer.Option(
            "--answer",
            metavar="FILE",
            help='What its retries get, JSON: {"status", "headers", "body"}. Without: that it was done.',
        ),
    ] = None,
    by: ByOption = "",
    why: WhyOption = "",
    admin: AdminOption = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Say what happened. Applied: its retries get the answer. Not applied: the next one runs."""
    if applied is None:
        raise typer.BadParameter("say --applied or --not-applied", param_hint="--applied")
    asked: dict[str, Any] = {"applied": applied, "by": by or user(), "why": why}
    if answer is not None:
        asked["answer"] = _answer(answer)
    said = Remote(admin, config).change("POST", f"/unknown/{name}/resolve", asked)
    if json:
        print_json(said)
    else:
        out().print(f"{said['id']} is resolved: {'applied' if applied else 'not applied'}")


def _answer(path: Path) -> object:
    try:
        return orjson.loads(path.read_bytes())
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}", param_hint="--answer") from None
    except orjson.JSONDecodeError as error:
        raise typer.BadParameter(f"{path} is not JSON: {error}", param_hint="--answer") from None


def _rows(item: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("id", item["id"]),
        ("what", f"{item['tool']}: {item['route']}"),
        ("who", f"tenant {item['tenant']}, workflow {item['workflow']}, run {item['run'] or '-'}"),
        ("call", item["call"]),
        ("why", f"{item['why']}, {_time(item['since_ms'])} ago"),
        *(("lock", lock) for lock in item["locks"]),
        ("kept", f"for {_time(item['left_ms'])} more"),
    ]
    if item["running_ms"]:
        rows.append(("", f"its request may still be running, for {_time(item['running_ms'])} at most"))
    return rows


def _time(ms: int) -> str:
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000)):
        if ms >= size:
            return f"{ms / size:.1f}{unit}"
    return f"{ms / 1000:.1f}s"
