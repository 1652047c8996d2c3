"""Agents that know of no proxy, in a pod that redirects them: gated all the same, or nothing goes out."""

import asyncio
import json
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from cryptography import x509

from tests.authority import Authority
from tests.e2e import harness
from tests.e2e.conftest import Start
from tests.e2e.harness import Sidecar, Tool, configure
from tests.e2e.pod import AGENT, SIDECAR, Pod, Ran, pod

TOOL, ELSEWHERE = 10, 20
"""Where the tools live, and where nothing does that any configuration names."""
NAMES = {
    "crm.test": TOOL,
    "crm6.test": TOOL,
    "api.hubapi.com": TOOL,
    "neighbour.test": TOOL,
    "elsewhere.test": ELSEWHERE,
}
PROXIES = ("http_proxy", "https_proxy", "no_proxy")
DEAL = '{"properties": {"stage": "won"}}'
HUBSPOT = {
    "id": "7",
    "properties": {},
    "createdAt": "2026-01-01T00:00:00Z",
    "updatedAt": "2026-01-01T00:00:00Z",
}

REQUESTS = f"""
import requests, sys
it = requests.patch("https://api.hubapi.com/crm/v3/objects/deals/7", json={DEAL})
print(it.headers["Sidecar-Verdict"], file=sys.stderr)
"""
SDK = f"""
import sys
from hubspot import HubSpot
it = HubSpot(access_token="t").crm.deals.basic_api.update_with_http_info("7", {DEAL})
print(it[2]["Sidecar-Verdict"], file=sys.stderr)
"""
FETCH = f"""
fetch("https://api.hubapi.com/crm/v3/objects/deals/7",
      {{method: "PATCH", body: JSON.stringify({DEAL}), headers: {{"Content-Type": "application/json"}}}})
  .then(it => console.error(it.headers.get("sidecar-verdict")))
"""
CLIENTS = {
    "curl": (
        *(
            "curl",
            "-sS",
            "-D",
            "/dev/stderr",
            "-X",
            "PATCH",
            "-H",
            "Content-Type: application/json",
            "-d",
            DEAL,
        ),
        "https://api.hubapi.com/crm/v3/objects/deals/7",
    ),
    "requests": (sys.executable, "-c", REQUESTS),
    "hubspot-api-client": (sys.executable, "-c", SDK),
    "node fetch": ("node", "-e", FETCH),
}


@pytest.fixture
def here() -> Iterator[Pod]:
    with pod((TOOL, ELSEWHERE), NAMES) as it:
        yield it


@pytest.fixture
def far(tmp_path: Path) -> Authority:
    (tmp_path / "far").mkdir()
    return Authority(tmp_path / "far")


@pytest.fixture
async def tool(here: Pod, far: Authority) -> AsyncIterator[Tool]:
    """The tools' upstream, on both ports and in both families."""
    places = [(host, port) for host in (here.v4(TOOL), here.v6(TOOL)) for port in (80, 443)]
    async with harness.tool(far.server(*NAMES), places) as it:
        yield it


@pytest.fixture
async def elsewhere(here: Pod, far: Authority) -> AsyncIterator[Tool]:
    async with harness.tool(far.server(*NAMES), [(here.v4(ELSEWHERE), port) for port in (80, 443)]) as it:
        yield it


def written(folder: Path, here: Pod, process: str = "", egress: str = "") -> Path:
    """A configuration with two tools at their own hosts."""
    configure(folder, "https://unused.test")
    (folder / "sidecar.yaml").write_text(
        'version: 1\nlisten: {proxy: "127.0.0.1:0", admin: "127.0.0.1:0", transparent: 15001}\n'
        f"egress: {{{egress}allow: {here.networks}}}\n"
        "tls: {ca: ephemeral, share: shared, upstream_ca: far/ca.pem}\n" + process
    )
    (folder / "routes" / "crm.yaml").write_text("version: 1\ntool: crm\nhosts: [crm.test, crm6.test]\n")
    (folder / "routes" / "hubspot.yaml").write_text(
        "version: 1\ntool: hubspot\nhosts: [api.hubapi.com]\nroutes:\n"
        "  - {name: deal.update, match: {method: PATCH, path: '/crm/v3/objects/deals/{id}'}, lane: write,\n"
        "     locks: ['deal:{path.id}'], intent: none}\n"
    )
    return folder


async def enforced(
    folder: Path, here: Pod, start: Start, process: str = "", egress: str = "", uid: int = SIDECAR
) -> Sidecar:
    """The pod as its agents find it: redirected first, then served."""
    ran = await here.redirect(uid=uid)
    assert ran.status == 0, f"{ran}"
    return await start(written(folder, here, process, egress), within=here.within(SIDECAR))


async def trusting(here: Pod, sidecar: Sidecar) -> dict[str, str]:
    """What ``sidecar env`` says of certificates, and not a word of proxies."""
    words = ("env", "--config", str(sidecar.folder), "--proxy", sidecar.proxy, "--format", "dotenv")
    ran = await here.run(sys.executable, "-m", "sidecar", *words, user=0)
    assert ran.status == 0, f"{ran}"
    lines = (line.partition("=") for line in ran.out.splitlines())
    return {
        name: value.strip("'\"")
        for name, _, value in lines
        if name.lower() not in PROXIES and "PROXY" not in name
    }


async def curl(here: Pod, sidecar: Sidecar, *words: str) -> Ran:
    ca = str(sidecar.folder / "shared" / "ca-bundle.pem")
    return await here.run(
        "curl", "-sS", "--http1.1", "--max-time", "20", "--cacert", ca, "-D", "/dev/stderr", *words
    )


def verdict(ran: Ran) -> str:
    """As it stands in the reply's head."""
    lines = (line.partition(":") for line in ran.err.lower().splitlines())
    return next(
        (value.split(";")[0].strip() for name, _, value in lines if name == "sidecar-verdict"), "none"
    )


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_client_that_knows_no_proxy_is_gated(
    here: Pod, tool: Tool, start: Start, tmp_path: Path, client: str
) -> None:
    async def answer(_seen: harness.Seen, _request: object) -> harness.web.StreamResponse:
        return harness.web.json_response(HUBSPOT)

    tool.react = answer
    sidecar = await enforced(tmp_path, here, start)
    env = await trusting(here, sidecar)
    ran = await here.run(*CLIENTS[client], env=env)
    assert ran.status == 0, f"{ran}"
    assert "executed" in ran.err
    assert [(seen.method, seen.headers["Host"]) for seen in tool.seen] == [("PATCH", "api.hubapi.com")]
    assert (await sidecar.decided(route="deal.update"))["verdict"] == "executed"


async def test_two_clients_on_one_record_take_turns(
    here: Pod, tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await enforced(tmp_path, here, start)
    env = await trusting(here, sidecar)
    tool.hold()
    calls = [harness.later(here.run(*CLIENTS[name], env=env)) for name in ("curl", "requests", "node fetch")]
    await tool.got(1)
    tool.release()
    assert [(await call).status for call in calls] == [0, 0, 0]
    assert len(tool.seen) == 3
    assert tool.overlaps == 0


@pytest.mark.parametrize(
    "url", ["http://crm.test/notes", "https://crm6.test/notes", "http://crm6.test/notes"]
)
async def test_plain_http_and_ipv6_are_gated_too(
    here: Pod, tool: Tool, start: Start, tmp_path: Path, url: str
) -> None:
    sidecar = await enforced(tmp_path, here, start)
    assert verdict(await curl(here, sidecar, "-d", "a note", url)) == "executed"
    assert verdict(await curl(here, sidecar, "-d", "a note", url)) == "replayed"
    assert len(tool.seen) == 1


async def test_a_pod_without_ipv6_is_enforced_as_well(
    here: Pod, tool: Tool, start: Start, tmp_path: Path
) -> None:
    await here.run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6", user=0)
    sidecar = await enforced(tmp_path, here, start)
    assert verdict(await curl(here, sidecar, "https://crm.test/")) == "executed"


async def test_identity_comes_by_headers_and_goes_no_further(
    here: Pod, tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await enforced(tmp_path, here, start)
    await curl(here, sidecar, "-H", "X-Agent-Run: run-7", "https://crm.test/notes", "-d", "x")
    assert (await sidecar.decided(verdict="executed"))["run"] == "run-7"
    assert "X-Agent-Run" not in tool.seen[0].headers


async def test_a_tools_address_is_reached_under_no_other_name(
    here: Pod, tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await enforced(tmp_path, here, start)
    address = here.v4(TOOL)
    attempts = (
        ("-k", f"https://{address}/notes"),
        ("-k", f"https://[{here.v6(TOOL)}]/notes"),
        (
            "-k",
            "--resolve",
            f"elsewhere.test:443:{address}",
            "-H",
            "Host: crm.test",
            "https://elsewhere.test/notes",
        ),
        ("-k", "--resolve", f"nobody.test:443:{address}", "https://nobody.test/notes"),
    )
    for attempt in attempts:
        ran = await curl(here, sidecar, "-d", "x", *attempt)
        assert "access denied" in ran.err, (attempt, ran)
    for attempt in ((f"http://{address}/notes",), ("-H", "Host: elsewhere.test", f"http://{address}/notes")):
        ran = await curl(here, sidecar, "-d", "x", *attempt)
        assert json.loads(ran.out)["code"] == "egress-denied", (attempt, ran)
    assert tool.seen == []
    assert (await sidecar.decided(verdict="refused"))["code"] == "egress-denied"


async def test_a_tools_name_leads_to_the_tool_whatever_the_agent_thinks(
    here: Pod, tool: Tool, elsewhere: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await enforced(tmp_path, here, start)
    for scheme, port in (("https", 443), ("http", 80)):
        lie = ("--resolve", f"crm.test:{port}:{here.v4(ELSEWHERE)}", f"{scheme}://crm.test/notes")
        assert verdict(await curl(here, sidecar, "-d", scheme, *lie)) == "executed"
    assert (len(tool.seen), len(elsewhere.seen)) == (2, 0)


async def test_what_no_tool_names_passes_as_it_is(
    here: Pod, elsewhere: Tool, tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await enforced(tmp_path, here, start)
    trusted = str(tmp_path / "far" / "ca.pem")
    ran = await curl(here, sidecar, "--cacert", trusted, "https://elsewhere.test/", "http://elsewhere.test/")
    assert (ran.status, verdict(ran)) == (0, "none"), ran
    unknown = ("--resolve", f"unknown.test:443:{here.v4(ELSEWHERE)}", "-k", "https://unknown.test/")
    assert (await curl(here, sidecar, *unknown)).status == 0
    assert (await curl(here, sidecar, "-k", f"https://{here.v4(ELSEWHERE)}/")).status == 0
    assert len(elsewhere.seen) == 4
    neighbour = await curl(here, sidecar, "--cacert", trusted, "https://neighbour.test/")
    assert (neighbour.status, verdict(neighbour)) == (0, "none"), (
        "it lives where a tool does, by our own look-up"
    )
    assert len(tool.seen) == 1


async def test_what_no_tool_names_is_refused_where_config_says_so(
    here: Pod, elsewhere: Tool, tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await enforced(tmp_path, here, start, egress="unmatched: deny, ")
    ran = await curl(here, sidecar, "-k", "https://elsewhere.test/")
    assert "access denied" in ran.err
    assert (await sidecar.decided(verdict="refused"))["host"] == "elsewhere.test"
    ran = await curl(here, sidecar, "http://elsewhere.test/")
    assert json.loads(ran.out)["code"] == "egress-denied"
    assert verdict(await curl(here, sidecar, "https://crm.test/")) == "executed"
    assert elsewhere.seen == []


SPEAKS_FIRST = """
import socket, sys
with socket.create_connection((sys.argv[1], 443), 20) as it:
    it.sendall(b"EHLO agent\\r\\n")
    print(it.recv(100))
"""


async def test_another_protocol_passes_to_where_no_tool_lives(
    here: Pod, tool: Tool, start: Start, tmp_path: Path
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"heard " + await reader.readline())
        writer.close()

    server = await asyncio.start_server(serve, here.v4(ELSEWHERE), 443)
    await enforced(tmp_path, here, start)
    assert "heard EHLO agent" in (await here.python(SPEAKS_FIRST, here.v4(ELSEWHERE))).out
    assert "heard" not in (await here.python(SPEAKS_FIRST, here.v4(TOOL))).out
    assert tool.seen == []
    server.close()
    await server.wait_closed()


async def test_a_request_to_another_proxy_is_gated(
    here: Pod, tool: Tool, elsewhere: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await enforced(tmp_path, here, start)
    other = ("--proxy", f"http://{here.v4(ELSEWHERE)}:80", "-d", "x")
    assert verdict(await curl(here, sidecar, *other, "http://crm.test/a")) == "executed"
    assert verdict(await curl(here, sidecar, *other, "https://crm.test/b")) == "executed"
    assert (len(tool.seen), elsewhere.seen) == (2, [])


KNOCK = """
import socket, sys
it = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
it.settimeout(20)
it.connect((sys.argv[1], int(sys.argv[2])))
try:
    it.send(b"hello")
    print(it.recv(100))
except TimeoutError:
    print("nobody said a word")
except OSError:
    print("rejected")
"""


async def test_quic_is_rejected_at_once_and_other_udp_is_not(here: Pod) -> None:
    assert (await here.redirect()).status == 0
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as quic,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dns,
    ):
        quic.bind((here.v4(TOOL), 443))
        dns.bind((here.v4(TOOL), 5353))
        assert (await here.python(KNOCK, here.v4(TOOL), "443")).out == "rejected\n"
        asked = harness.later(here.python(KNOCK, here.v4(TOOL), "5353"))
        _, who = await asyncio.to_thread(dns.recvfrom, 100)
        dns.sendto(b"answer", who)
        assert (await asked).out == "b'answer'\n"
        quic.setblocking(False)
        with pytest.raises(BlockingIOError):
            quic.recv(100)


async def test_without_its_sidecar_nothing_leaves_the_pod(
    here: Pod, tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await enforced(tmp_path, here, start)
    assert verdict(await curl(here, sidecar, "https://crm.test/a")) == "executed"
    await sidecar.kill()
    for url in (
        "https://crm.test/a",
        "http://crm.test/a",
        "https://crm6.test/a",
        f"https://{here.v4(TOOL)}/",
    ):
        ran = await curl(here, sidecar, "-k", url)
        assert ran.status == 7, ran
    assert len(tool.seen) == 1


async def test_who_comes_straight_to_the_transparent_port_is_turned_away(
    here: Pod, tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await enforced(tmp_path, here, start)
    for address in ("127.0.0.1", "[::1]"):
        ran = await curl(here, sidecar, "-H", "Host: crm.test", f"http://{address}:15001/")
        assert ran.status != 0
    await sidecar.said("came straight here")
    assert tool.seen == []


async def test_rules_that_except_another_user_make_no_loop(
    here: Pod, tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await enforced(tmp_path, here, start, uid=SIDECAR + 1)
    ran = await curl(here, sidecar, "http://crm.test/a")
    assert json.loads(ran.out)["code"] in ("upstream-unreachable", "upstream-failed"), ran
    await sidecar.said(f"'sidecar redirect --uid' must name its user, {SIDECAR}")
    assert len([line for line in sidecar.stderr if "must name its user" in line]) == 1
    assert tool.seen == []


async def test_a_tool_whose_calls_cannot_be_seen_is_not_reached_blind(
    here: Pod, tool: Tool, start: Start, tmp_path: Path
) -> None:
    ran = await here.redirect()
    written(tmp_path, here)
    file = tmp_path / "sidecar.yaml"
    file.write_text(file.read_text().replace("ca: ephemeral, share: shared, ", ""))
    sidecar = await start(within=here.within(SIDECAR))
    ran = await curl(here, sidecar, "--cacert", str(tmp_path / "far" / "ca.pem"), "https://crm.test/a")
    assert "access denied" in ran.err
    await sidecar.said("crm.test is a tool's, and this sidecar has no authority to open TLS with")
    assert tool.seen == []
    plain = await curl(here, sidecar, "--cacert", str(tmp_path / "far" / "ca.pem"), "http://crm.test/a")
    assert verdict(plain) == "executed"


def secrets_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]


async def test_the_authority_lives_and_dies_with_its_sidecar(
    here: Pod, tool: Tool, start: Start, tmp_path: Path
) -> None:
    sidecar = await enforced(tmp_path, here, start)
    shared = tmp_path / "shared"
    assert sorted(path.name for path in shared.iterdir()) == ["ca-bundle.pem", "ca.pem"]
    first = (shared / "ca.pem").read_bytes()
    assert (shared / "ca-bundle.pem").read_bytes().endswith(first)
    assert (shared / "ca-bundle.pem").read_text().count("BEGIN CERTIFICATE") > 50
    constraints = x509.load_pem_x509_certificate(first).extensions.get_extension_for_class(
        x509.NameConstraints
    )
    names = [name.value for name in constraints.value.permitted_subtrees or ()]
    assert names == ["api.hubapi.com", "crm.test", "crm6.test"]
    assert {path.parent.name for path in secrets_in(tmp_path)} == {"far"}
    file = tmp_path / "sidecar.yaml"
    file.write_text(file.read_text() + "drain: 9s\n")
    await sidecar.said("config reloaded")
    assert (shared / "ca.pem").read_bytes() == first, "agents have it already"
    assert verdict(await curl(here, sidecar, "https://crm.test/")) == "executed"
    await sidecar.stop()
    await start(within=here.within(SIDECAR))
    assert (shared / "ca.pem").read_bytes() != first


async def test_the_rules_are_put_there_found_and_taken_away(here: Pod) -> None:
    assert (await here.redirect("--check")).status == 1
    for _ in range(2):
        ran = await here.redirect("--exclude", "10.96.0.0/12", "--exclude", "fd00::/8")
        assert (ran.status, ran.out[:17]) == (0, "redirected by nft"), ran
    assert (await here.redirect("--check", "--exclude", "10.96.0.0/12", "--exclude", "fd00::/8")).status == 0
    ran = await here.redirect("--check")
    assert (ran.status, "made from other arguments" in ran.err) == (1, True)
    assert (await here.redirect("--remove")).status == 0
    bare = await here.run(sys.executable, "-m", "sidecar", "redirect", "--remove", user=0)
    assert bare.status == 0, f"{bare}"
    assert "agent_sidecar" not in (await here.run("nft", "list", "ruleset", user=0)).out


async def test_what_is_excluded_goes_straight(here: Pod, elsewhere: Tool, tool: Tool) -> None:
    assert (await here.redirect("--exclude", f"{here.v4(ELSEWHERE)}/32", "--port", "443")).status == 0
    assert (await here.run("curl", "-sSk", "--http1.1", "https://elsewhere.test/")).status == 0
    assert (await here.run("curl", "-sS", "http://crm.test/")).status == 0, "only 443 was named"
    assert (await here.run("curl", "-sSk", "https://crm.test/")).status == 7


async def test_what_was_not_redirected_does_not_leave(here: Pod, tool: Tool) -> None:
    assert (await here.redirect()).status == 0
    await here.run("nft", "flush", "chain", "inet", "agent_sidecar", "to_sidecar", user=0)
    for url in ("https://crm.test/", "http://crm6.test/"):
        assert (await here.run("curl", "-sSk", "--max-time", "20", url)).status == 7
    assert tool.seen == []
    assert (await here.run("curl", "-sSk", "--http1.1", "https://crm.test/", user=SIDECAR)).status == 0


async def without_others(here: Pod, programs: Path, *options: str) -> Ran:
    """An init container whose image has these programs only."""
    script = 'mount --bind "$0" /usr/sbin && PATH="$0" exec "$@"'
    words = (sys.executable, "-m", "sidecar", "redirect", "--uid", str(SIDECAR), *options)
    return await here.run("sh", "-c", script, str(programs), *words, user=0)


async def test_where_there_is_no_nft_iptables_does_it(
    here: Pod, tool: Tool, start: Start, tmp_path: Path
) -> None:
    only = tmp_path / "bin"
    only.mkdir()
    for name in ("iptables", "ip6tables", "iptables-restore", "ip6tables-restore"):
        shutil.copy("/usr/sbin/xtables-nft-multi", only / name)
    for _ in range(2):
        ran = await without_others(here, only)
        assert (ran.status, ran.out[:22]) == (0, "redirected by iptables"), ran
    assert (await without_others(here, only, "--check")).status == 0
    assert (await without_others(here, only, "--check", "--to", "9")).status == 1
    sidecar = await start(written(tmp_path, here), within=here.within(SIDECAR))
    for url in ("https://crm.test/a", "http://crm6.test/b"):
        assert verdict(await curl(here, sidecar, url)) == "executed"
    assert (await here.python(KNOCK, here.v4(TOOL), "443")).out == "rejected\n"
    assert (await without_others(here, only, "--remove")).status == 0
    assert (await without_others(here, only, "--check")).status == 1


async def test_without_the_right_or_the_program_it_says_so_and_fails(here: Pod, tmp_path: Path) -> None:
    words = (sys.executable, "-m", "sidecar", "redirect", "--uid", str(SIDECAR))
    for bare in (
        await here.run(*words, user=AGENT),
        await here.run("setpriv", "--bounding-set", "-net_admin", *words, user=0),
    ):
        assert (bare.status, "capability NET_ADMIN is missing" in bare.err) == (1, True), bare
    alone = await here.run("setpriv", "--bounding-set", "-all,+net_admin,+dac_override", *words, user=0)
    assert alone.status == 0, "NET_ADMIN is all it takes"
    nothing = await without_others(here, tmp_path)
    assert (nothing.status, "package 'nftables'" in nothing.err) == (1, True), nothing


@pytest.mark.parametrize("options", [("--uid", "0"), ("--uid", "5", "--exclude", "10.0.0.1/8"), ()])
async def test_arguments_that_would_enforce_nothing_are_bad_usage(
    here: Pod, options: tuple[str, ...]
) -> None:
    assert (await here.run(sys.executable, "-m", "sidecar", "redirect", *options, user=0)).status == 2
