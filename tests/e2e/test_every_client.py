"""Every client at once: what holds for one of them holds for all, whoever wrote it.

One sidecar, one tool behind it, and each client in a process of its own.  How each is brought to the sidecar (by
variables, by the shim, in which form) is what the tests beside this one are about.
"""

import asyncio
import sys
from collections import Counter
from pathlib import Path

from aiohttp import web

from tests.e2e.conftest import Start
from tests.e2e.harness import Seen, Sidecar, Tool, admin, drop
from tests.e2e.test_sdks import SDKS, agent, started

SCRIPTS = Path(__file__).parent.parent / "node"
NODE = {f"{name}.test": name for name in ("fetch", "undici", "axios", "axios-old")} | {
    "stripe-node.test": "stripe"
}
PLAIN = {
    "curl": ("curl", "--fail", "--silent", "--show-error", "--data", "text=hi", "https://curl.test/notes"),
    "requests": 'import requests; requests.post("https://requests.test/n", json={}).raise_for_status()',
    "httpx": 'import httpx; httpx.post("https://httpx.test/n", json={}).raise_for_status()',
    "urllib3": "import os, urllib3\n"
    'http = urllib3.ProxyManager(os.environ["HTTPS_PROXY"], ca_certs=os.environ["SSL_CERT_FILE"])\n'
    'raise SystemExit(http.request("POST", "https://urllib3.test/n", body=b"x", retries=2).status >= 400)',
    "aiohttp": "import aiohttp, asyncio\n"
    "async def main():\n"
    "    async with aiohttp.ClientSession(trust_env=True, raise_for_status=True) as session:\n"
    '        async with session.post("https://aiohttp.test/n", json={}): pass\n'
    "asyncio.run(main())",
}
CLIENTS: dict[str, tuple[str, ...]] = (
    {sdk.host: (sys.executable, "-c", sdk.script) for sdk in SDKS.values()}
    | {
        f"{name}.test": (sys.executable, "-c", how) if isinstance(how, str) else how
        for name, how in PLAIN.items()
    }
    | {host: ("node", str(SCRIPTS / f"{name}.js")) for host, name in NODE.items()}
)
"""The host that each asks, which tells them apart, and its command."""
ANSWERS = {sdk.host: sdk.answer for sdk in SDKS.values()}


def configure(folder: Path, tool: Tool, route: str) -> Path:
    """Every host is a tool of its own, so that no client waits for another."""
    (folder / "routes").mkdir()
    (folder / "sidecar.yaml").write_text(
        'version: 1\nlisten: {proxy: "127.0.0.1:0", admin: "127.0.0.1:0"}\n'
        'egress: {allow: ["127.0.0.0/8"]}\ntls: {ca_cert: ca.crt, ca_key: ca.key}\ncaps: {per_tenant: 100}\n'
    )
    for host in CLIENTS:
        (folder / "routes" / f"{host}.yaml").write_text(
            f"version: 1\ntool: {host}\nhosts: [{host}]\nupstream: {tool.url}/{host}\n"
            'clients: [{user_agent: "*Stripe/*", header: Stripe-Should-Retry, error: error}]\n'
            f"routes: [{{name: any, match: {{path: '/{{rest...}}'}}, lane: write, {route}}}]\n"
        )
    return folder


def host_of(path: str) -> str:
    return path.split("/")[1]


async def all_run(sidecar: Sidecar, times: int = 1) -> dict[str, list[int]]:
    """Every client, so many times at once: their exit codes."""
    commands = [(host, command) for host, command in CLIENTS.items() for _ in range(times)]
    few = asyncio.Semaphore(6)

    async def one(*command: str) -> int:
        async with few:
            return (await agent(sidecar, *command, shim=True))[0]

    codes = await asyncio.gather(*(one(*command) for _, command in commands))
    found: dict[str, list[int]] = {host: [] for host in CLIENTS}
    for (host, _), code in zip(commands, codes, strict=True):
        found[host].append(code)
    return found


async def somebody_waits(sidecar: Sidecar, host: str) -> None:
    while not any(line["id"] == f"lock:{host}" for line in (await admin(sidecar, "/queues")).json["items"]):
        await asyncio.sleep(0.05)


async def answer(seen: Seen, _request: web.Request) -> web.Response:
    said = ANSWERS.get(host_of(seen.path))
    return web.json_response({"id": "1", "ok": True} if said is None else said)


async def test_a_lost_response_makes_one_effect_whoever_retries_it(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    """The client's own retries, then the agent's framework that runs it again."""
    tool.react = drop
    sidecar = await started(start, configure(tmp_path, tool, "intent: {explicit: ignore}"))
    for _ in range(2):
        codes = await all_run(sidecar)
        assert not [host for host, each in codes.items() if 0 in each], "a client took a refusal for success"
    assert Counter(host_of(seen.path) for seen in tool.seen) == dict.fromkeys(CLIENTS, 1)


async def test_two_of_a_kind_on_one_entity_take_turns_whatever_client_they_are(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    most: Counter[str] = Counter()
    running: Counter[str] = Counter()
    met = {host: asyncio.Event() for host in CLIENTS}

    async def linger(seen: Seen, request: web.Request) -> web.Response:
        host = host_of(seen.path)
        running[host] += 1
        most[host] = max(most[host], running[host])
        if not met[host].is_set():  # the first stays until the second waits for it
            await somebody_waits(sidecar, host)
            met[host].set()
        running[host] -= 1
        return await answer(seen, request)

    tool.react = linger
    sidecar = await started(start, configure(tmp_path, tool, 'locks: ["{host}"], intent: none'))
    codes = await all_run(sidecar, times=2)
    assert codes == {host: [0, 0] for host in CLIENTS}
    assert most == dict.fromkeys(CLIENTS, 1)
    assert Counter(host_of(seen.path) for seen in tool.seen) == dict.fromkeys(CLIENTS, 2)
