"""HTTPS through a sidecar that has an authority: gated by whichever door it comes, where a tool has the host."""

import asyncio
import json
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.authority import Authority
from tests.e2e import harness
from tests.e2e.conftest import Start
from tests.e2e.harness import CLEAN_ENV, Seen, Sidecar, Tool, admin, configure

TLS = "tls: {ca_cert: own/ca.crt, ca_key: own/ca.key, upstream_ca: far/ca.pem}\n"


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The sidecar's own command line."""
    return subprocess.run(
        [sys.executable, "-m", "sidecar", *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=CLEAN_ENV,
        timeout=60,
    )


@pytest.fixture
def far(tmp_path: Path) -> Authority:
    """The authority that upstreams are verified against."""
    (tmp_path / "far").mkdir()
    return Authority(tmp_path / "far")


@pytest.fixture
async def tool(far: Authority) -> AsyncIterator[Tool]:
    async with harness.tool(far.server("127.0.0.1")) as it:
        yield it


async def ready(folder: Path, tool: Tool, start: Start, process: str = TLS, tool_fields: str = "") -> Sidecar:
    configure(folder, tool, process=process, tool_fields=tool_fields)
    made = command("ca", "init", "--config", str(folder))
    assert made.returncode == 0, made.stderr
    return await start(folder)


async def post(sidecar: Sidecar, url: str, text: str, proxied: bool = True) -> tuple[int, str]:
    """A POST on a connection of its own; status and verdict."""
    trusted = ssl.create_default_context(cafile=sidecar.folder / "own" / "ca.crt")
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            url, json={"text": text}, proxy=sidecar.proxy if proxied else None, ssl=trusted
        ) as answer,
    ):
        return answer.status, answer.headers.get("Sidecar-Verdict", "none").split(";")[0]


async def absolute(sidecar: Sidecar, target: str, body: bytes) -> tuple[int, str]:
    """What old axios does: ``https://`` in absolute form, over plain HTTP to the proxy."""
    host, number = sidecar.proxy.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(number))
    writer.write(
        b"POST %s HTTP/1.1\r\nHost: crm.test\r\nContent-Type: application/json\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (target.encode(), len(body), body)
    )
    answer = (await asyncio.wait_for(reader.read(), 20)).decode()
    writer.close()
    verdict = answer.split("Sidecar-Verdict: ")[1].split(";")[0]
    return int(answer.split(" ")[1]), verdict


async def by(door: str, sidecar: Sidecar, text: str) -> tuple[int, str]:
    body = json.dumps({"text": text}).encode()
    match door:
        case "intercepted":
            return await post(sidecar, "https://crm.test/notes", text)
        case "absolute":
            return await absolute(sidecar, "https://crm.test/notes", body)
        case "plain":
            return await absolute(sidecar, "http://crm.test/notes", body)
        case _:
            return await post(sidecar, f"{sidecar.proxy}/_tool/crm/notes", text, proxied=False)


DOORS = ("intercepted", "absolute", "reverse", "plain")


async def test_one_call_is_one_intent_whichever_door_it_came_by(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await ready(tmp_path, tool, start)
    for number, first in enumerate(DOORS):
        assert await by(first, sidecar, f"note {number}") == (200, "executed")
        for door in DOORS:
            assert await by(door, sidecar, f"note {number}") == (200, "replayed"), (first, door)
    assert len(tool.seen) == len(DOORS)
    assert {seen.headers["Host"] for seen in tool.seen} == {f"127.0.0.1:{tool.port}"}


async def test_two_clients_at_two_doors_take_turns(tool: Tool, start: Start, tmp_path: Path) -> None:
    sidecar = await ready(tmp_path, tool, start)
    tool.hold()
    calls = [
        harness.later(by("intercepted", sidecar, "one")),
        harness.later(by("reverse", sidecar, "two")),
        harness.later(by("absolute", sidecar, "three")),
    ]
    await tool.got(1)
    tool.release()
    assert [await call for call in calls] == [(200, "executed")] * 3
    assert tool.overlaps == 0


async def test_what_no_tool_names_is_tunnelled_blind(
    far: Authority, tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await ready(tmp_path, tool, start)
    trusted = ssl.create_default_context(cafile=far.bundle)
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{tool.url}/notes", data=b"x", proxy=sidecar.proxy, ssl=trusted) as answer,
    ):
        assert answer.status == 200
        assert "Sidecar-Verdict" not in answer.headers
    assert "Via" not in tool.seen[0].headers


async def test_what_no_tool_names_is_denied_where_config_says_so(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await ready(tmp_path, tool, start)
    file = tmp_path / "sidecar.yaml"
    file.write_text(file.read_text().replace("egress: {", "egress: {unmatched: deny, "))
    await sidecar.said("config reloaded")
    with pytest.raises(aiohttp.ClientHttpProxyError) as refused:
        await post(sidecar, f"{tool.url}/notes", "x")
    assert refused.value.status == 403
    assert await by("intercepted", sidecar, "x") == (200, "executed")


async def test_an_upstream_that_is_not_verified_hears_nothing(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    process = TLS.replace(", upstream_ca: far/ca.pem", "")
    sidecar = await ready(tmp_path, tool, start, process=process)
    assert await by("intercepted", sidecar, "x") == (502, "refused")
    assert tool.seen == []


async def test_a_tool_may_have_a_client_certificate(far: Authority, start: Start, tmp_path: Path) -> None:
    asks = far.server("127.0.0.1")
    asks.verify_mode = ssl.CERT_REQUIRED
    asks.load_verify_locations(far.bundle)
    (tmp_path / "far" / "agent.pem").write_bytes(far.leaf("agent").read_bytes())
    shown = []

    async def look(_seen: Seen, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        shown.append(request.transport.get_extra_info("peercert")["subject"])
        return web.json_response({})

    async with harness.tool(asks) as tool:
        tool.react = look
        fields = "tls: {upstream_ca: far/ca.pem, client_cert: far/agent.pem, client_key: far/agent.pem}"
        process = TLS.replace(", upstream_ca: far/ca.pem", "")
        sidecar = await ready(tmp_path, tool, start, process=process, tool_fields=fields)
        assert await by("intercepted", sidecar, "x") == (200, "executed")
        assert shown == [((("commonName", "agent"),),)]


async def test_who_must_prove_himself_does_so_at_the_connect(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"  # of "secret"
    users = f"users: [{{name: acme, token_sha256: {digest}}}]\n"
    sidecar = await ready(tmp_path, tool, start, process=TLS + users)
    with pytest.raises(aiohttp.ClientHttpProxyError) as refused:
        await post(sidecar, "https://crm.test/notes", "x")
    assert refused.value.status == 407
    assert refused.value.headers is not None
    assert refused.value.headers["Proxy-Authenticate"].startswith("Basic")
    sidecar.proxy = sidecar.proxy.replace("http://", "http://acme:secret@")
    assert await post(sidecar, "https://crm.test/notes", "x") == (200, "executed")
    assert (await sidecar.decided(verdict="executed"))["tenant"] == "acme"
    assert "Proxy-Authorization" not in tool.seen[0].headers


async def test_a_client_without_the_authority_shows_in_log_and_metrics(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await ready(tmp_path, tool, start)
    code = "import requests, sys; requests.get('https://crm.test/', proxies={'https': sys.argv[1]})"
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", code, sidecar.proxy],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "CERTIFICATE_VERIFY_FAILED" in ran.stderr
    await sidecar.said("TLS for crm.test: a client")
    told = (await admin(sidecar, "/metrics")).body.decode()
    assert 'sidecar_interceptions_total{host="crm.test",result="ca-rejected"} 1.0' in told
    assert "tunnel" not in told


async def test_a_reload_takes_a_new_authority_and_refuses_a_broken_one(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await ready(tmp_path, tool, start)
    assert await by("intercepted", sidecar, "x") == (200, "executed")
    assert command("ca", "init", "--config", str(tmp_path)).returncode == 1
    assert command("ca", "init", "--config", str(tmp_path), "--force").returncode == 0
    (tmp_path / "sidecar.yaml").touch()
    await sidecar.said("config reloaded")
    assert await by("intercepted", sidecar, "x") == (200, "replayed")
    (tmp_path / "own" / "ca.key").write_text("nonsense")
    (tmp_path / "sidecar.yaml").write_text((tmp_path / "sidecar.yaml").read_text() + "drain: 9s\n")
    await sidecar.said("holds no PEM private key")
    assert await by("intercepted", sidecar, "x") == (200, "replayed")


async def test_what_agents_are_to_trust_is_where_config_says_before_it_is_ready(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    await ready(tmp_path, tool, start, process=TLS.replace("{", "{share: shared, "))
    own = (tmp_path / "own" / "ca.crt").read_bytes()
    assert (tmp_path / "shared" / "ca.pem").read_bytes() == own
    assert (tmp_path / "shared" / "ca-bundle.pem").read_bytes().endswith(own)


async def test_it_does_not_start_without_a_place_for_what_agents_are_to_trust(tmp_path: Path) -> None:
    configure(tmp_path, "https://crm.test", process="tls: {ca: ephemeral, share: sidecar.yaml}\n")
    ran = await asyncio.to_thread(command, "run", "--config", str(tmp_path))
    assert ran.returncode == 1
    assert (
        "ca-bundle.pem: cannot be written: File exists; name a folder with --share DIR, or in tls.share"
        in ran.stderr
    )


async def test_it_does_not_start_with_an_authority_that_it_cannot_read(tool: Tool, tmp_path: Path) -> None:
    configure(tmp_path, tool, process=TLS)
    for arguments in (["run", "--config", str(tmp_path)], ["check", str(tmp_path)]):
        ran = await asyncio.to_thread(command, *arguments)
        assert ran.returncode == 1
        assert "own/ca.crt cannot be read: No such file or directory; 'sidecar ca init'" in ran.stderr


def test_the_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        assert command("ca", "init", "--out", str(tmp_path / "own")).returncode == 0
    finally:
        os.umask(old)
    assert (tmp_path / "own" / "ca.key").stat().st_mode & 0o777 == 0o600
    assert command("ca", "init", "--out", str(tmp_path / "own")).returncode == 1
    shown = json.loads(command("ca", "show", "--out", str(tmp_path / "own"), "--json").stdout)
    assert shown["signs_for"] == []
    assert len(shown["fingerprint_sha256"]) == 95


def test_who_intercepts_nothing_pays_nothing_for_it() -> None:
    code = (
        "import sys, sidecar.app; from pathlib import Path; from sidecar.settings import load; "
        "from sidecar.wire.proof import proven; print(proven(load(Path(sys.argv[1]), {})), *sys.modules)"
    )
    config = Path(__file__).parents[2] / "config"
    ran = subprocess.run(
        [sys.executable, "-c", code, str(config)], check=True, capture_output=True, text=True
    )
    authority, *modules = ran.stdout.split()
    assert authority == "None"
    assert "cryptography.x509" not in modules
