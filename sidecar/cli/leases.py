"""``sidecar leases``: what calls and runs hold, and taking it back."""

from typing import Annotated
from urllib.parse import quote

import typer
from rich.table import Table

from sidecar.cli.remote import AdminOption, ByOption, ConfigOption, JsonOption, Remote, WhyOption, user
from sidecar.cli.report import out, print_json

leases = typer.Typer(
    name="leases",
    help="What calls and runs hold, the whole fleet.",
    no_args_is_help=True,
    add_completion=False,
)


@leases.command("list")
def listed(admin: AdminOption = "", config: ConfigOption = None, json: JsonOption = False) -> None:
    """List what is held: by a call (granted, offered, lapsed) or by a run between its calls (held)."""
    said = Remote(admin, config).get("/leases")
    if json:
        print_json(said)
        return
    table = Table("id", "state", "holds", "run", "workflow", "tenant", "for", box=None, header_style="cyan")
    for item in said["items"]:
        holds = ", ".join(item.get("locks", [])) or "-"
        left = f"{max(int(item['left_ms']), 0) / 1000:.1f} s"
        who = [str(item.get(part) or "-") for part in ("run", "workflow", "tenant")]
        table.add_row(str(item["id"]), str(item["state"]), holds, *who, left)
    out().print(table if said["items"] else "nothing is held")


@leases.command()
def release(
    lease: Annotated[str, typer.Argument(metavar="ID", help="As `leases list` has it.")],
    by: ByOption = "",
    why: WhyOption = "",
    admin: AdminOption = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Take back what a call or a run holds. Needs SIDECAR_ADMIN_TOKEN.

    What a call has sent cannot be called back: its outcome is unknown until its sidecar says more.
    """
    item = Remote(admin, config).change(
        "DELETE", f"/leases/{quote(lease, safe='')}", {"by": by or user(), "why": why}
    )
    if json:
        print_json(item)
        return
    out().print(f"{item['id']} released: {', '.join(item['locks']) or 'no lock'}", markup=False)
