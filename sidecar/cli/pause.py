"""``sidecar pause``: stop a tool, a tenant, a workflow or a lane, for the whole fleet at once."""

from typing import Annotated

import typer

from sidecar.cli.remote import AdminOption, ByOption, ConfigOption, JsonOption, Remote, WhyOption, user
from sidecar.cli.report import err, out, print_json
from sidecar.core.units import duration_ms

ToolOption = Annotated[str, typer.Option("--tool", metavar="NAME", help="All calls to this tool.")]
TenantOption = Annotated[str, typer.Option("--tenant", metavar="NAME", help="All calls of this tenant.")]
WorkflowOption = Annotated[
    str, typer.Option("--workflow", metavar="NAME", help="All calls of this workflow.")
]
LaneOption = Annotated[str, typer.Option("--lane", metavar="NAME", help="read, draft, write or high_risk.")]


def pause(
    tool: ToolOption = "",
    tenant: TenantOption = "",
    workflow: WorkflowOption = "",
    lane: LaneOption = "",
    duration: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="Like 30m. Default: until it is resumed.")
    ] = "",
    by: ByOption = "",
    why: WhyOption = "",
    admin: AdminOption = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Refuse all calls to a tool, or of a tenant, a workflow or a lane, on every sidecar, until it is resumed.

    Calls in flight end as they would. Needs SIDECAR_ADMIN_TOKEN. What is paused: GET /pauses of the admin port.
    """
    body: dict[str, object] = {**one_of(tool, tenant, workflow, lane), "by": by or user(), "why": why}
    if duration:
        body["for_ms"] = _ms(duration)
    told(Remote(admin, config).change("POST", "/pause", body), "paused", json)


def one_of(tool: str, tenant: str, workflow: str, lane: str) -> dict[str, object]:
    """What is meant; ends the command with exit code 2 where it is not one thing."""
    named = {"tool": tool, "tenant": tenant, "workflow": workflow, "lane": lane}
    given = {kind: name for kind, name in named.items() if name}
    if len(given) != 1:
        err().print("say what: one of --tool, --tenant, --workflow and --lane", style="red")
        raise typer.Exit(2)
    return dict(given)


def told(item: dict[str, object], word: str, json: bool) -> None:
    """Say what was done."""
    if json:
        print_json(item)
        return
    kind, _, name = str(item["id"]).partition(":")
    left_ms = item.get("left_ms")
    until = f" for {int(str(left_ms)) / 1000:g} s" if left_ms else ""
    out().print(f"{kind} {name} {word}{until}, by {item['by']}", markup=False)


def _ms(text: str) -> int:
    try:
        ms = duration_ms(text)
    except ValueError as error:
        err().print(f"--for {text!r} {error}", style="red", markup=False)
        raise typer.Exit(2) from None
    if ms == 0:
        err().print("--for must be longer than nothing", style="red")
        raise typer.Exit(2)
    return ms
