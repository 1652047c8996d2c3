"""``sidecar approvals``: the calls that wait for a person, and the person's answer."""

from typing import Annotated, Any

import typer
from rich.text import Text

from sidecar.cli.remote import AdminOption, ByOption, ConfigOption, JsonOption, Remote, WhyOption, user
from sidecar.cli.report import out, print_json
from sidecar.core.approval import shown

APPROVER = "SIDECAR_APPROVER_TOKEN"

approvals = typer.Typer(
    name="approvals",
    add_completion=False,
    no_args_is_help=True,
    help="The calls that wait for a person, and the person's answer.",
)

Question = Annotated[str, typer.Argument(metavar="ID", help="The question's id, as 'list' shows it.")]


@approvals.command("list")
def every(
    admin: AdminOption = "",
    config: ConfigOption = None,
    json: JsonOption = False,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are decided.")] = False,
) -> None:
    """List the questions that are open."""
    said = Remote(admin, config).get("/approvals")
    if json:
        print_json(said)
        return
    listed = [item for item in said["items"] if everything or item["state"] == "pending"]
    for item in listed:
        out().print(_line(item))
    if not listed:
        out().print("no call waits for a person")


@approvals.command()
def show(
    question: Question, admin: AdminOption = "", config: ConfigOption = None, json: JsonOption = False
) -> None:
    """Show one question: what the call would do, and for whom."""
    item = Remote(admin, config).get(f"/approvals/{_id(question)}")
    if json:
        print_json(item)
        return
    for label, value in _rows(item):
        out().print(Text(f"{shown(label):<10}", style="cyan").append(shown(str(value)), style="default"))


@approvals.command()
def approve(
    question: Question,
    by: ByOption = "",
    why: WhyOption = "",
    admin: AdminOption = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Agree to a call. It goes when its agent asks again, or at once if that waits."""
    _decide(question, "approve", by, why, Remote(admin, config), json)


@approvals.command()
def deny(
    question: Question,
    by: ByOption = "",
    why: WhyOption = "",
    admin: AdminOption = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Deny a call. Its agent is told who, and why."""
    _decide(question, "deny", by, why, Remote(admin, config), json)


def _decide(question: str, verdict: str, by: str, why: str, remote: Remote, json: bool) -> None:
    own = remote.has(APPROVER)
    who = {"by": by} if by else {} if own else {"by": user()}
    path = f"/approvals/{_id(question)}/{verdict}"
    said = remote.change("POST", path, who | {"why": why}, APPROVER if own else None)
    if json:
        print_json(said)
        return
    agreed = sum(one["verdict"] == "approve" for one in said["approval"]["decisions"])
    more = f": {agreed} of {said['approval']['needs']} agree" if said["result"] == "pending" else ""
    out().print(f"{said['result']}{more}", markup=False)


def _id(question: str) -> str:
    """As it stands in a path, also where the whole address was given, as a refusal says it."""
    name = question.rpartition("/")[2]
    if not name.isalnum():
        raise typer.BadParameter("is no question's id; 'sidecar approvals list' shows them", param_hint="ID")
    return name


def _line(item: dict[str, Any]) -> Text:
    line = Text(f"{item['id']}  ", style="bold")
    what = f"{item['tool']}: {item['route']}  {item['method']} {item['host']}{item['path']}"
    seen = "".join(f"  {label}={value}" for label, value in item["show"].items())
    who = f"  tenant {item['tenant']}, run {item['run'] or '-'}"
    return line.append(shown(f"{item['state']}  {what}{seen}{who}"), style="default")


def _rows(item: dict[str, Any]) -> list[tuple[str, object]]:
    agreed = f"{item['needs']} {'person has' if item['needs'] == 1 else 'people have'} to agree"
    rows: list[tuple[str, object]] = [
        ("question", item["id"]),
        ("state", f"{item['state']}, until {item['ends_at']}; {agreed}"),
        ("route", f"{item['tool']}: {item['route']} ({item['lane']})"),
        ("call", f"{item['method']} {item['host']}{item['path']}"),
        *item["show"].items(),
        ("for", f"tenant {item['tenant']}, workflow {item['workflow']}, run {item['run'] or '-'}"),
        ("asked at", item["opened_at"]),
    ]
    return rows + [
        (one["verdict"], f"{one['by']} at {one['at']}: {one['why'] or 'no reason given'}")
        for one in item["decisions"]
    ]
