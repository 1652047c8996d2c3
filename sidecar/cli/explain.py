"""``sidecar explain``: what would happen to a call, without making it."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.text import Text

from sidecar.cli.report import out, print_json, refused
from sidecar.core.budget import shown
from sidecar.core.call import Call, Headers
from sidecar.core.claim import AutoCap, Cap
from sidecar.core.explain import Explanation
from sidecar.core.explain import explain as foretell
from sidecar.core.guard import Approval, Order
from sidecar.core.problems import listed
from sidecar.core.refusal import Refusal
from sidecar.settings import ConfigError, load


def explain(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The configuration folder.")],
    method: Annotated[str, typer.Argument(metavar="METHOD", help="GET, POST, ...")],
    url: Annotated[str, typer.Argument(metavar="URL", help="http://HOST/PATH, or /_tool/NAME/PATH.")],
    header: Annotated[
        list[str] | None, typer.Option("-H", "--header", metavar="'K: V'", help="A header; may be repeated.")
    ] = None,
    data: Annotated[
        str,
        typer.Option("-d", "--data", metavar="BODY", help="The body; @FILE reads a file, @- standard input."),
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Tell the route, lane, locks, intent and caps of a call. No call is made."""
    body = _body(data)
    call = _call(method.upper(), url, _headers(header or [], body))
    try:
        config = load(folder, os.environ)
        told = foretell(config.table, config.identity, call, body)
    except ConfigError as error:
        refused(error)
        raise typer.Exit(1) from None
    except Refusal as no:
        _say_no(no, json)
        raise typer.Exit(1) from None
    if json:
        print_json(told.as_json())
    else:
        tunnelled = call.scheme == "https" and call.intake == "forward" and bool(told.tool)
        _show(told, blind=tunnelled and not config.process.tls.intercepts)


def _body(data: str) -> bytes:
    if not data.startswith("@"):
        return data.encode()
    try:
        return sys.stdin.buffer.read() if data == "@-" else Path(data[1:]).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{data[1:]}: {error.strerror}", param_hint="-d") from None


def _headers(lines: list[str], body: bytes) -> Headers:
    raw = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or not line.isascii() or not line.isprintable():
            raise typer.BadParameter(f"'{line}' is no header; write 'Name: value'", param_hint="-H")
        raw.append((name.strip().encode(), value.strip().encode()))
    headers = Headers(raw)
    if body and b"content-type" not in headers:  # as curl does, but for JSON: that is what agents send
        headers = Headers([*raw, (b"Content-Type", b"application/json" if body[:1] in b"{[" else FORM)])
    return headers


BLIND = "a client that asks for CONNECT is tunnelled blind; gated are http://, /_tool/, and https:// in absolute form"
FORM = b"application/x-www-form-urlencoded"


def _call(method: str, url: str, headers: Headers) -> Call:
    try:
        return Call.of_url("c-explained", method, url, headers)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="URL") from None


def _say_no(no: Refusal, json: bool) -> None:
    if json:
        print_json({"refused": no.code, "status": no.status, "detail": no.detail})
        return
    console = out()
    console.print(Text("refused  ", style="bold red"), f"{no.status} {no.code}", sep="")
    console.print(f"         {no.detail}")


def _show(told: Explanation, blind: bool) -> None:
    console = out()
    for label, value in (*_rows(told), *([("note", BLIND)] if blind else [])):
        line = Text(f"{label:<9}", style="cyan")
        line.append(value, style="bold" if label == "route" else "")
        console.print(line)


def _rows(told: Explanation) -> Iterator[tuple[str, str]]:
    yield "route", f"{told.tool}: {told.route}" if told.tool else "none: passed through ungated"
    yield "why", told.why
    if not told.tool:
        return
    yield "lane", f"{told.lane} (waits {_time(told.wait_ms)}; without the store: {told.store_down})"
    who = told.who
    yield (
        "caller",
        f"tenant {who.tenant}, workflow {who.workflow}, run {who.run or '-'}, priority {who.priority}",
    )
    yield from _entities(told)
    if told.intent_key:
        yield "intent", f"{told.intent_kind}: {told.intent}"
        resend = "looked for" if told.probe else "sent again" if told.resend else "held"
        until = " or until a change" if told.until == "change" else ""
        yield (
            "",
            f"a twin within {_time(told.window_ms)}{until} is a duplicate; an unknown outcome is {resend}",
        )
        if told.probe:
            yield "probe", told.probe
    for cap in told.caps:
        yield "cap", f"{cap.name} {_limit(cap)}"
        for least in cap.mins if isinstance(cap, Cap) else ():
            yield (
                "",
                f"{least.slots} kept for {least.name}{', lent while it has no use for them' if least.lent else ''}",
            )
    for rate in told.rates:
        takes = f", of which this call takes {rate.cost}" if rate.cost > 1 else ""
        yield "rate", f"{rate.name} {rate.most} per {_time(rate.period_ms)}{takes}"
    yield from _bounds(told)
    yield "timeout", _time(told.timeout_ms)
    if told.reads_body:
        yield "body", f"looked into, up to {told.body_limit} bytes"
    if told.mode == "observe":
        yield "mode", "observe: nothing is refused or delayed"
    if told.empty:
        yield "", "nothing is asked of the store: this call passes ungated"


def _entities(told: Explanation) -> Iterator[tuple[str, str]]:
    idle_ms = {hold.entity: hold.idle_ms for hold in told.holds}
    for lock in told.locks:
        yield "lock", lock + (f", kept by the run for {_time(idle_ms[lock])}" if lock in idle_ms else "")
    for entity in told.observes:
        yield "observes", entity
    for entity in told.fresh:
        yield "fresh", f"{entity}: refused where another run changed it since this run read it"
    if told.ends_run:
        yield "run", "ends with this call: it keeps nothing"
    for order in told.order:
        yield "order", _order(order)


def _bounds(told: Explanation) -> Iterator[tuple[str, str]]:
    for budget in told.budgets:
        amount, limit = shown(budget.amount, budget.decimals), shown(budget.limit, budget.decimals)
        yield (
            "budget",
            f"{budget.name} {limit} in {_time(budget.window_ms)}, of which this call takes {amount}",
        )
    if told.approval is not None:
        yield from _approval(told.approval)


def _order(order: Order) -> str:
    said = []
    if order.requires:
        age = f" for at most {_time(order.max_age_ms)}" if order.max_age_ms else ""
        said.append(
            f"must be {listed(order.requires)}{age}, {_UNSEEN.get(order.unseen, order.unseen)} if nobody saw it"
        )
    if order.sets:
        said.append(f"is {order.sets} once this is done, and remembered for {_time(order.retention_ms)}")
    return f"{order.entity} {'; '.join(said)} (waits {_time(order.wait_ms)} for a step on its way)"


_UNSEEN = {"refuse": "refused", "allow": "allowed", "probe": "asked of the tool"}


def _approval(asked: Approval) -> Iterator[tuple[str, str]]:
    many = "a person" if asked.approvers == 1 else f"{asked.approvers} people"
    held = f"its agent is held {_time(asked.hold_ms)}" if asked.hold_ms else "its agent is told at once"
    yield "approval", f"{many} must agree, within {_time(asked.ttl_ms)}; {held}"
    seen = orjson.loads(asked.seen)
    shown = {"call": f"{seen['method']} {seen['host']}{seen['path']}"} | seen["show"]
    yield "", f"seen by them: {', '.join(f'{label} {value}' for label, value in shown.items())}"


def _limit(cap: Cap | AutoCap) -> str:
    return f"at most {cap.limit}" if isinstance(cap, Cap) else f"finds its limit, {cap.least} to {cap.most}"


def _time(ms: int) -> str:
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
        if ms >= size and ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms}ms"
