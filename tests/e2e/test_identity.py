"""Who makes a call: from the proxy URL, headers, baggage, or pinned; and none of it leaves."""

from pathlib import Path

from tests.e2e.conftest import Start
from tests.e2e.harness import Tool, ask, configure

IDENTITY = {
    "X-Agent-Tenant": "acme",
    "X-Agent-Workflow": "dunning",
    "X-Agent-Run": "run-7",
    "X-Agent-Priority": "background",
    "Proxy-Authorization": "Basic YWNtZTp0b2tlbg==",
    "Proxy-Connection": "keep-alive",
    "X-Custom": "kept",
}


async def test_identity_and_hop_by_hop_fields_never_leave(tool: Tool, start: Start, tmp_path: Path) -> None:
    sidecar = await start(configure(tmp_path, tool))
    got = await ask(sidecar, "POST", "http://crm.test/notes", {"text": "hi"}, headers=IDENTITY)
    assert got.status == 200
    left = {name.lower() for name in tool.seen[0].headers}
    assert "x-custom" in left
    assert "via" in left
    assert not [name for name in left if name.startswith(("x-agent-", "proxy-"))]
    line = await sidecar.decided(verdict="executed")
    assert (line["tenant"], line["workflow"], line["run"]) == ("acme", "dunning", "run-7")


async def test_a_pinned_tenant_cannot_be_changed_by_a_header(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await start(configure(tmp_path, tool, process="identity: {tenant: {pin: mine}}\n"))
    await ask(sidecar, "POST", "http://crm.test/notes", {"text": "hi"}, headers={"X-Agent-Tenant": "yours"})
    assert (await sidecar.decided(verdict="executed"))["tenant"] == "mine"


async def test_the_proxy_url_can_carry_the_tenant(tool: Tool, start: Start, tmp_path: Path) -> None:
    sidecar = await start(configure(tmp_path, tool))
    proxy = sidecar.proxy.replace("http://", "http://globex:secret-token@")
    sidecar.proxy = proxy
    await ask(sidecar, "POST", "http://crm.test/notes", {"text": "hi"})
    assert (await sidecar.decided(verdict="executed"))["tenant"] == "globex"
    assert "secret-token" not in str(sidecar.decisions) + str(sidecar.stderr)


async def test_configured_users_must_show_their_token(tool: Tool, start: Start, tmp_path: Path) -> None:
    import hashlib

    digest = hashlib.sha256(b"right").hexdigest()
    users = f"users: [{{name: acme, token_sha256: {digest}, tenant: acme-prod}}]\n"
    sidecar = await start(configure(tmp_path, tool, process=users))
    plain = sidecar.proxy
    for wrong in (
        plain,
        plain.replace("http://", "http://acme:wrong@"),
        plain.replace("http://", "http://other:right@"),
    ):
        sidecar.proxy = wrong
        got = await ask(sidecar, "POST", "http://crm.test/notes", {"text": "hi"})
        assert (got.status, got.json["code"]) == (407, "proxy-auth-required")
        assert got.headers["Proxy-Authenticate"].startswith("Basic")
    sidecar.proxy = plain.replace("http://", "http://acme:right@")
    assert (await ask(sidecar, "POST", "http://crm.test/notes", {"text": "hi"})).status == 200
    assert (await sidecar.decided(verdict="executed"))["tenant"] == "acme-prod"
