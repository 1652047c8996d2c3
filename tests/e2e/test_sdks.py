"""Vendors' SDKs, unmodified, at their vendors' own addresses: each is gated by nothing but its environment."""

import asyncio
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.e2e.conftest import Start
from tests.e2e.harness import CLEAN_ENV, Seen, Sidecar, Tool, drop

HUBSPOT = """
from hubspot import HubSpot
HubSpot(access_token="t").crm.deals.basic_api.update("1", {"properties": {"stage": "won"}})
"""


@dataclass(frozen=True)
class Sdk:
    """A call with an effect."""

    host: str
    script: str
    shim: bool = False
    answer: Any = None


SDKS = {
    "stripe": Sdk(
        "api.stripe.com",
        'import stripe; stripe.api_key = "sk_test_1"; stripe.Refund.create(charge="ch_1", amount=5)',
        shim=True,
        answer={"id": "re_1", "object": "refund"},
    ),
    "hubspot-api-client": Sdk(
        "api.hubapi.com",
        HUBSPOT,
        shim=True,
        answer={
            "id": "1",
            "properties": {},
            "createdAt": "2026-01-01T00:00:00Z",
            "updatedAt": "2026-01-01T00:00:00Z",
        },
    ),
    "slack-sdk": Sdk(
        "slack.com",
        'from slack_sdk import WebClient; WebClient(token="xoxb-1").chat_postMessage(channel="C1", text="hi")',
        answer={"ok": True},
    ),
    "sendgrid": Sdk(
        "api.sendgrid.com",
        'from sendgrid import SendGridAPIClient; SendGridAPIClient("k").send({"subject": "hi"})',
    ),
    "resend": Sdk(
        "api.resend.com",
        'import resend; resend.api_key = "k"; resend.Emails.send({"from": "a@b.test", "to": "c@d.test"})',
        answer={"id": "1"},
    ),
    "simple-salesforce": Sdk(
        "acme.salesforce.test",
        "from simple_salesforce import Salesforce\n"
        'Salesforce(instance="acme.salesforce.test", session_id="s").Contact.update("003", {"Name": "A"})',
    ),
}


def configure(folder: Path, tool: Tool, host: str, more: str = "") -> Path:
    (folder / "routes").mkdir()
    (folder / "sidecar.yaml").write_text(
        'version: 1\nlisten: {proxy: "127.0.0.1:0", admin: "127.0.0.1:0"}\n'
        'egress: {allow: ["127.0.0.0/8"]}\ntls: {ca_cert: ca.crt, ca_key: ca.key}\n'
    )
    (folder / "routes" / "vendor.yaml").write_text(
        f"version: 1\ntool: vendor\nhosts: [{host}]\nupstream: {tool.url}\n{more}\n"
        "routes: [{name: any, match: {path: '/{rest...}'}, lane: write, intent: {explicit: ignore}}]\n"
    )
    return folder


async def run(*command: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *command, env=CLEAN_ENV, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def sidecar_says(*words: str) -> tuple[int, str, str]:
    return await run(sys.executable, "-m", "sidecar", *words)


async def agent(sidecar: Sidecar, *command: str, shim: bool = False) -> tuple[int, str, str]:
    """Run ``command`` as an agent of ``sidecar``."""
    options = ["--config", str(sidecar.folder), "--proxy", sidecar.proxy, *(["--shim"] if shim else [])]
    return await sidecar_says("exec", *options, "--", *command)


async def started(start: Start, folder: Path) -> Sidecar:
    status, _, err = await sidecar_says("ca", "init", "--config", str(folder))
    assert status == 0, err
    return await start(folder)


def answering(tool: Tool, answer: Any) -> None:
    async def react(_seen: Seen, _request: web.Request) -> web.Response:
        return web.json_response(answer) if answer is not None else web.Response(status=202)

    tool.react = react


@pytest.mark.parametrize("name", SDKS)
async def test_an_sdk_is_gated_by_its_environment_alone(
    tool: Tool, start: Start, tmp_path: Path, name: str
) -> None:
    sdk = SDKS[name]
    answering(tool, sdk.answer)
    sidecar = await started(start, configure(tmp_path, tool, sdk.host))
    for verdict in ("executed", "replayed"):
        status, _, err = await agent(sidecar, sys.executable, "-c", sdk.script, shim=sdk.shim)
        assert status == 0, err
        await sidecar.decided(verdict=verdict, route="any", host=sdk.host)
    assert len(tool.seen) == 1, "two runs of one agent had one effect"


async def test_an_sdks_own_retries_do_not_multiply_an_unknown_outcome(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    tool.react = drop
    told = 'clients: [{user_agent: "Stripe/*", header: Stripe-Should-Retry}]'
    sidecar = await started(start, configure(tmp_path, tool, "api.stripe.com", told))
    script = f"import stripe; stripe.max_network_retries = 2\n{SDKS['stripe'].script}"
    status, _, err = await agent(sidecar, sys.executable, "-c", script, shim=True)
    assert status == 1
    assert "upstream-failed" in err or "broke off" in err
    await sidecar.decided(verdict="refused", code="upstream-failed")
    assert len([line for line in sidecar.decisions if line["route"] == "any"]) == 1, "it did not try again"
    assert len(tool.seen) == 1


NODE = """
const https = require('https')
const body = JSON.stringify({text: 'hi'})
const headers = {'content-type': 'application/json'}
const own = () => new Promise((resolve, reject) => https.request('https://api.node.test/notes',
  {method: 'POST', headers, agent: new https.Agent({keepAlive: true})}, answer => {
    answer.resume().on('end', () => resolve(answer.headers['sidecar-verdict']))
  }).on('error', reject).end(body))
const fetched = () => fetch('https://api.node.test/notes', {method: 'POST', headers, body})
  .then(answer => answer.headers.get('sidecar-verdict'))
const plain = () => fetch('http://api.node.test/notes', {method: 'POST', headers, body})
  .then(answer => answer.headers.get('sidecar-verdict'))
;(async () => {
  for (const call of [own, fetched, plain]) console.log((await call()).split(';')[0])
  process.exit(0)
})().catch(error => { console.error(error); process.exit(1) })
"""


async def test_nodes_own_agents_and_fetch_are_gated_by_the_shim(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    if shutil.which("node") is None:
        pytest.fail("node is not installed: tests/tools.sh installs it")
    sidecar = await started(start, configure(tmp_path, tool, "api.node.test"))
    status, out, err = await agent(sidecar, "node", "-e", NODE, shim=True)
    assert status == 0, err
    assert out.split() == ["executed", "replayed", "replayed"]
    assert len(tool.seen) == 1


async def examined(sidecar: Sidecar, *, shim: bool, bare: bool = False) -> dict[str, Any]:
    words = [
        "doctor",
        "--config",
        str(sidecar.folder),
        "--proxy",
        sidecar.proxy,
        "--json",
        "--",
        sys.executable,
    ]
    command = [sys.executable, "-m", "sidecar", *words]
    status, out, err = await (run(*command) if bare else agent(sidecar, *command, shim=shim))
    assert out, err
    found = json.loads(out)
    assert found["good"] is (status == 0)
    return {each["client"]: (each["verdict"], each["change"]) for each in found["findings"]}


async def test_the_doctor_says_which_client_goes_where_and_what_mends_it(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await started(start, configure(tmp_path, tool, "api.stripe.com"))
    bare = await examined(sidecar, shim=False, bare=True)
    assert {verdict for verdict, _ in bare.values()} == {"bypasses"}
    assert bare["requests"][1] == "set HTTPS_PROXY: run it with 'sidecar exec'"
    variables = await examined(sidecar, shim=False)
    for client in ("requests", "httpx", "urllib", "slack-sdk", "sendgrid"):
        assert variables[client] == ("through", "")
    assert variables["hubspot-api-client"][0] == variables["aiohttp"][0] == "bypasses"
    assert variables["stripe"][0] == "fails-tls"
    assert variables["stripe"][1].startswith("load the shim")
    shimmed = await examined(sidecar, shim=True)
    assert {verdict for verdict, _ in shimmed.values()} == {"through"}
    assert tool.seen == [], "no probe had an effect"


async def test_the_doctor_says_so_where_no_sidecar_runs(tmp_path: Path) -> None:
    (tmp_path / "sidecar.yaml").write_text("version: 1\n")
    status, out, err = await sidecar_says(
        "doctor", "--config", str(tmp_path), "--proxy", "http://u:hunter2@127.0.0.1:9"
    )
    assert (status, out) == (1, "")
    assert "no sidecar answers at http://127.0.0.1:9" in err


async def test_an_agent_runs_on_where_the_shim_cannot_help(tmp_path: Path) -> None:
    """A library that is not what the shim expects is left alone, with one line."""
    (tmp_path / "sidecar.yaml").write_text("version: 1\n")
    (tmp_path / "aiohttp").mkdir()
    (tmp_path / "aiohttp" / "__init__.py").write_text("from aiohttp import client\n")
    (tmp_path / "aiohttp" / "client.py").write_text("strange = True\n")
    (tmp_path / "sitecustomize.py").write_text("print('mine as well')\n")
    code = "import aiohttp.client; print(aiohttp.client.strange)"
    status, out, err = await sidecar_says(
        *("exec", "--shim", "--config", str(tmp_path), "--"),
        *(
            "env",
            "-C",
            str(tmp_path),
            "sh",
            "-c",
            'PYTHONPATH="$PYTHONPATH:." exec "$0" -c "$1"',
            sys.executable,
            code,
        ),
    )
    assert (status, out) == (0, "mine as well\nTrue\n"), err
    assert err.startswith("sidecar shim: aiohttp.client is left as it is: AttributeError")
    assert err.count("\n") == 1
