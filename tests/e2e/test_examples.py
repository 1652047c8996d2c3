"""The examples of order in ``config/``, as they stand there, but for where their tools are."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.e2e.conftest import Start
from tests.e2e.harness import Got, Seen, Sidecar, Tool, ask

CONFIG = Path(__file__).parent.parent.parent / "config"


@pytest.fixture
async def sidecar(tool: Tool, start: Start, tmp_path: Path) -> Sidecar:
    """One with the routes and the states of ``config/``; every tool is the counting one."""
    for name in ("routes", "states"):
        shutil.copytree(CONFIG / name, tmp_path / name)
    for file in (tmp_path / "routes").iterdir():
        file.write_text(re.sub(r"(?m)^upstream: .*$", f"upstream: {tool.url}", file.read_text()))
    (tmp_path / "sidecar.yaml").write_text(
        'version: 1\nlisten: {proxy: "127.0.0.1:0", admin: "127.0.0.1:0"}\negress: {allow: ["127.0.0.0/8"]}\n'
    )
    return await start()


def answers(tool: Tool, told: dict[str, Any]) -> None:
    """GETs are answered with ``told``."""

    async def react(seen: Seen, _request: web.Request) -> web.StreamResponse:
        return web.json_response(told if seen.method == "GET" else {})

    tool.react = react


def missing(got: Got, *words: str) -> bool:
    assert (got.status, got.json["code"]) == (409, "prior-step-missing")
    return all(word in got.json["detail"] for word in words)


async def test_a_lead_is_qualified_before_it_is_assigned(tool: Tool, sidecar: Sidecar) -> None:
    contact = "http://api.hubapi.com/crm/v3/objects/contacts/7"
    batch = "http://api.hubapi.com/crm/v3/objects/contacts/batch/update"
    owner = {"properties": {"hubspot_owner_id": "1"}}
    answers(tool, {"properties": {"hs_lead_status": None}})
    assert missing(await ask(sidecar, "PATCH", contact, owner), "lead:7", "lead.qualify")
    assert missing(await ask(sidecar, "POST", batch, {"inputs": [{"id": "7"} | owner]}), "lead:7")

    other = {"inputs": [{"id": "8", "properties": {"city": "Bonn"}}]}
    assert (await ask(sidecar, "POST", batch, other)).status == 200
    qualified = await ask(sidecar, "PATCH", contact, {"properties": {"hs_lead_status": "QUALIFIED"}})
    assert (qualified.status, (await ask(sidecar, "PATCH", contact, owner)).status) == (200, 200)
    assert [seen.method for seen in tool.seen if seen.method != "GET"] == ["POST", "PATCH", "PATCH"]


async def test_a_lead_that_a_person_qualified_may_be_assigned(tool: Tool, sidecar: Sidecar) -> None:
    answers(tool, {"properties": {"hs_lead_status": "QUALIFIED"}})
    contact = "http://api.hubapi.com/crm/v3/objects/contacts/7"
    assert (await ask(sidecar, "PATCH", contact, {"properties": {"hubspot_owner_id": "1"}})).status == 200
    assert tool.seen[0].path == "/crm/v3/objects/contacts/7?properties=hs_lead_status"


async def test_an_invoice_is_validated_before_it_is_paid_and_paid_once(tool: Tool, sidecar: Sidecar) -> None:
    invoice = "http://billing.example.com/invoices/7"
    assert missing(await ask(sidecar, "POST", f"{invoice}/pay", {}), "invoice.validate", "'draft'")
    assert (await ask(sidecar, "POST", f"{invoice}/validate", {})).status == 200
    assert (await ask(sidecar, "POST", f"{invoice}/pay", {})).status == 200
    assert (await ask(sidecar, "POST", f"{invoice}/pay", {})).verdict == "replayed"
    assert missing(await ask(sidecar, "POST", f"{invoice}/void", {}), "'paid'")
    assert [seen.path for seen in tool.seen] == ["/invoices/7/validate", "/invoices/7/pay"]


async def test_a_reply_is_drafted_for_an_open_ticket_only(tool: Tool, sidecar: Sidecar) -> None:
    ticket = "http://support.example.com/tickets/7"
    answers(tool, {"status": "closed"})
    assert missing(await ask(sidecar, "POST", f"{ticket}/drafts", {"text": "hi"}), "'closed'", "ticket.open")
    assert (await ask(sidecar, "PUT", ticket, {"status": "open"})).status == 200
    assert (await ask(sidecar, "POST", f"{ticket}/drafts", {"text": "hi"})).status == 200
    assert (await ask(sidecar, "PUT", ticket, {"status": "closed"})).status == 200
    assert missing(await ask(sidecar, "POST", f"{ticket}/drafts", {"text": "ho"}), "'closed'")
    assert [seen.method for seen in tool.seen] == ["GET", "PUT", "POST", "PUT"]
