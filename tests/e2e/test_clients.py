"""Real clients, unmodified: each goes through the sidecar by its own proxy support, and each is gated."""

import asyncio
import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Start
from tests.e2e.harness import CLEAN_ENV, Tool, configure

PYTHON_CLIENTS = {
    "requests": """
import requests
answer = requests.post(url, json={"text": "hi"})
print(answer.status_code, answer.headers["Sidecar-Verdict"].split(";")[0], answer.text)
""",
    "httpx": """
import httpx
answer = httpx.post(url, json={"text": "hi"})
print(answer.status_code, answer.headers["Sidecar-Verdict"].split(";")[0], answer.text)
""",
    "aiohttp": """
import aiohttp, asyncio
async def main():
    async with aiohttp.ClientSession(trust_env=True) as session, session.post(url, json={"text": "hi"}) as answer:
        print(answer.status, answer.headers["Sidecar-Verdict"].split(";")[0], await answer.text())
asyncio.run(main())
""",
    "urllib3": """
import os, urllib3
answer = urllib3.ProxyManager(os.environ["http_proxy"]).request("POST", url, json={"text": "hi"})
print(answer.status, answer.headers["Sidecar-Verdict"].split(";")[0], answer.data.decode())
""",
    "urllib": """
import urllib.request
request = urllib.request.Request(url, data=b'{"text": "hi"}', headers={"Content-Type": "application/json"})
with urllib.request.urlopen(request) as answer:
    print(answer.status, answer.headers["Sidecar-Verdict"].split(";")[0], answer.read().decode())
""",
}

URL = "http://crm.test/notes"


async def run(*command: str, proxy: str) -> tuple[str, str, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        env=CLEAN_ENV | {"http_proxy": proxy, "HTTP_PROXY": proxy},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    status, verdict, body = out.decode().strip().split(" ", 2)
    return status, verdict, body


async def twice(*command: str, tool: Tool, proxy: str) -> None:
    first = await run(*command, proxy=proxy)
    again = await run(*command, proxy=proxy)
    assert first[:2] == ("200", "executed")
    assert again == ("200", "replayed", first[2])
    assert [seen.json for seen in tool.seen] == [{"text": "hi"}]


@pytest.mark.parametrize("client", PYTHON_CLIENTS)
async def test_a_python_client_is_gated(tool: Tool, start: Start, tmp_path: Path, client: str) -> None:
    sidecar = await start(configure(tmp_path, tool))
    await twice(
        sys.executable, "-c", f"url = {URL!r}\n{PYTHON_CLIENTS[client]}", tool=tool, proxy=sidecar.proxy
    )


async def test_curl_is_gated(tool: Tool, start: Start, tmp_path: Path) -> None:
    sidecar = await start(configure(tmp_path, tool))
    script = """
verdict=$(mktemp)
body=$(curl -sS -H 'Content-Type: application/json' -d '{"text": "hi"}' -D "$verdict" "$0")
status=$(sed -n '1s/[^ ]* \\([0-9]*\\).*/\\1/p' "$verdict")
echo "$status $(sed -n 's/^Sidecar-Verdict: \\([a-z]*\\).*/\\1/p' "$verdict") $body"
rm "$verdict"
"""
    await twice("sh", "-c", script, URL, tool=tool, proxy=sidecar.proxy)


async def test_node_fetch_with_a_proxy_agent_is_gated(tool: Tool, start: Start, tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.fail("node is not installed: tests/tools.sh installs it")
    sidecar = await start(configure(tmp_path, tool))
    script = """
const http = require('http')
const proxy = new URL(process.env.http_proxy)
const body = JSON.stringify({text: 'hi'})
const request = http.request({host: proxy.hostname, port: proxy.port, method: 'POST', path: process.argv[1],
  headers: {'Content-Type': 'application/json', 'Content-Length': body.length, Host: 'crm.test'}}, answer => {
  let text = ''
  answer.on('data', piece => text += piece)
  answer.on('end', () => console.log(answer.statusCode, answer.headers['sidecar-verdict'].split(';')[0], text))
})
request.end(body)
"""
    await twice("node", "-e", script, URL, tool=tool, proxy=sidecar.proxy)


async def test_node_fetch_through_the_reverse_form_is_gated(tool: Tool, start: Start, tmp_path: Path) -> None:
    sidecar = await start(configure(tmp_path, tool))
    script = """
const headers = {'Content-Type': 'application/json'}
fetch(process.argv[1], {method: 'POST', body: JSON.stringify({text: 'hi'}), headers}).then(async answer => {
  console.log(answer.status, answer.headers.get('sidecar-verdict').split(';')[0], await answer.text())
})
"""
    await twice("node", "-e", script, f"{sidecar.proxy}/_tool/crm/notes", tool=tool, proxy=sidecar.proxy)


async def test_one_call_is_one_intent_whichever_door_it_came_by(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool))
    code = "import os; os.environ['no_proxy'] = '127.0.0.1'\n" + PYTHON_CLIENTS["requests"]
    forward = await run(sys.executable, "-c", f"url = {URL!r}\n{code}", proxy=sidecar.proxy)
    door = f"{sidecar.proxy}/_tool/crm/notes"
    reverse = await run(sys.executable, "-c", f"url = {door!r}\n{code}", proxy=sidecar.proxy)
    assert (forward[1], reverse[1]) == ("executed", "replayed")
    assert json.loads(forward[2]) == json.loads(reverse[2])
