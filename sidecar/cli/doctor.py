"""``sidecar doctor``: do the agent's clients come to the sidecar?"""

import os
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from sidecar.agentenv.doctor import Diagnosis, Finding, Verdict, examine
from sidecar.agentenv.variables import proxy_url
from sidecar.cli.env import CONFIG, Folder, Proxy, configured
from sidecar.cli.report import err, out, print_json

WORDS: dict[Verdict, tuple[str, str]] = {
    "through": ("through the sidecar", "green"),
    "bypasses": ("bypasses", "bold red"),
    "fails-tls": ("fails TLS", "bold red"),
    "refused": ("refused", "red"),
    "fails": ("fails", "red"),
}


def doctor(
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="-- CMD [ARG]...", help="The agent: its interpreter is looked into. It is not run."
        ),
    ] = None,
    folder: Folder = CONFIG,
    proxy: Proxy = "",
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Try every HTTP client of this environment through the running sidecar, and tell what mends it.

    Run it where the agent runs: sidecar exec -- sidecar doctor -- python agent.py. Exits 1 where one would bypass.
    """
    config = configured(folder)
    try:
        address = proxy or proxy_url(config.process.listen.proxy)
    except ValueError as error:
        err().print(str(error), style="red", markup=False)
        raise typer.Exit(1) from None
    diagnosis = examine(config, address, command or [], os.environ)
    if json:
        print_json(diagnosis.as_json())
    else:
        _show(diagnosis)
    raise typer.Exit(0 if diagnosis.good else 1)


def _show(diagnosis: Diagnosis) -> None:
    console = out()
    if not diagnosis.answers:
        err().print(
            f"no sidecar answers at {diagnosis.proxy}; start it: sidecar run --config DIR", markup=False
        )
        return
    if console.is_terminal:
        console.print(_table(diagnosis.findings))
    else:
        for row in _rows(diagnosis.findings):
            typer.echo("  ".join(row).rstrip())
    for text in diagnosis.unseen:
        err().print(f"not looked into: {text}", markup=False)
    if not diagnosis.opened:
        err().print(
            "note: HTTPS is not opened here (no tls.ca_cert), so what comes through in a tunnel is not gated"
        )
    bad = sum(finding.verdict != "through" for finding in diagnosis.findings)
    total = len(diagnosis.findings)
    console.print(
        f"{total - bad} of {total} clients come through the sidecar at {diagnosis.proxy}", markup=False
    )


def _table(findings: tuple[Finding, ...]) -> Table:
    table = Table(
        "client", "", "runs on", "calls", "what mends it", box=None, header_style="dim", pad_edge=False
    )
    for finding in findings:
        word, style = WORDS[finding.verdict]
        mend = finding.change or ("" if finding.verdict == "through" else finding.why)
        table.add_row(finding.client, finding.version, finding.runtime, Text(word, style=style), Text(mend))
    return table


def _rows(findings: tuple[Finding, ...]) -> list[tuple[str, ...]]:
    """Columns of one width each, for pipes and logs."""
    rows = [
        (each.client, each.version, each.runtime, WORDS[each.verdict][0], each.change or each.why)
        for each in findings
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [tuple(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows]
