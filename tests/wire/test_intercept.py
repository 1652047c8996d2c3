"""CONNECTs that are opened: real TLS clients at a listener whose authority signs for whatever it is asked for."""

import asyncio
import contextlib
import logging
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from sidecar.core.call import Answer, Headers
from sidecar.core.refusal import Refusal
from sidecar.wire.authority import Authority
from sidecar.wire.body import Body
from sidecar.wire.certificates import Signer, new_authority, new_leaf
from sidecar.wire.exchange import Exchange
from sidecar.wire.held import Held
from sidecar.wire.listener import Listener
from sidecar.wire.response import LiveAnswer
from sidecar.wire.shared import Limits
from sidecar.wire.trust import TrustError
from tests import authority as authorities
from tests.wire.agents import PATIENCE_S, Agent, Far, Handle, agent, parsed, port, problem, quiet

CONNECT = b"CONNECT crm.test:443 HTTP/1.1\r\nHost: crm.test:443\r\n\r\n"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
GET = b"GET /deals?id=1 HTTP/1.1\r\nHost: crm.test\r\n\r\n"
POST = b"POST /deals HTTP/1.1\r\nHost: crm.test\r\nContent-Length: 5\r\n\r\nhello"


class Ca:
    """An authority in a folder, and clients that trust it or do not."""

    def __init__(self, folder: Path, hosts: Sequence[str] = ()) -> None:
        certificate, key = new_authority(hosts, datetime.now(UTC), timedelta(days=9))
        self.cert, self.key = folder / "ca.crt", folder / "ca.key"
        self.cert.write_bytes(certificate)
        self.key.write_bytes(key)

    def load(self, clock: Callable[[], float] | None = None) -> Authority:
        paths = str(self.cert), str(self.key)
        return Authority.load(*paths) if clock is None else Authority.load(*paths, clock)

    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.cert))
        context.set_alpn_protocols(["h2", "http/1.1"])
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context


@pytest.fixture
def ca(tmp_path: Path) -> Ca:
    return Ca(tmp_path)


class Opened:
    """A listener that opens every CONNECT, and what it counted."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.results: list[tuple[str, str]] = []
        self.users: list[bytes | None] = []

    async def result(self) -> tuple[str, str]:
        async with asyncio.timeout(PATIENCE_S):
            while not self.results:
                await asyncio.sleep(0.002)
        return self.results[-1]


@contextlib.asynccontextmanager
async def opened(
    authority: Authority, limits: Limits | None = None, handler: Handle | None = None
) -> AsyncIterator[Opened]:
    results: list[tuple[str, str]] = []
    users: list[bytes | None] = []

    async def say(exchange: Exchange) -> None:
        call = exchange.call
        try:
            body = await exchange.read(1 << 24)
        except Refusal as no:
            exchange.reply(no.as_answer(call.id, ""))
            return
        where = f"{call.scheme}://{call.host}:{call.port}{call.path}?{call.query}"
        exchange.reply(Answer(200, [], f"{call.intake} {call.method} {where} {len(body)}".encode()))

    async def handle(exchange: Exchange) -> None:
        users.append(exchange.call.headers.get(b"proxy-authorization"))
        if exchange.call.method == "CONNECT":
            exchange.intercept()
        else:
            await (handler or say)(exchange)

    async with port(handle, limits, intercepted=lambda *it: results.append(it)) as listener:
        listener.obey(authority)
        it = Opened(listener)
        it.results, it.users = results, users
        yield it


@contextlib.asynccontextmanager
async def inside(
    listener: Listener, context: ssl.SSLContext, name: str = "crm.test", connect: bytes = CONNECT
) -> AsyncIterator[Agent]:
    """An agent that has shaken hands behind its CONNECT, by blocking sockets' own TLS."""
    async with agent(listener) as it:
        await it.say(connect)
        assert await it.until(b"\r\n\r\n") == ESTABLISHED
        await it.writer.start_tls(context, server_hostname=name)
        yield it


async def test_calls_inside_are_seen_as_calls(ca: Ca) -> None:
    async with opened(ca.load()) as it, inside(it.listener, ca.client()) as near:
        assert near.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        for _ in range(50):
            await near.say(GET)
            assert (await near.reply())[2] == b"intercept GET https://crm.test:443/deals?id=1 0"
        await near.say(POST + GET)
        assert (await near.reply())[2] == b"intercept POST https://crm.test:443/deals? 5"
        assert (await near.reply())[2].startswith(b"intercept GET")
        assert it.results == [("crm.test", "opened")]
        assert it.listener.connections == 1


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_versions_of_tls_are_spoken(ca: Ca, version: ssl.TLSVersion) -> None:
    context = ca.client()
    context.minimum_version = context.maximum_version = version
    async with opened(ca.load()) as it, inside(it.listener, context) as near:
        await near.say(GET)
        assert (await near.reply())[0] == 200


async def test_old_tls_is_refused_and_told(ca: Ca, caplog: pytest.LogCaptureFixture) -> None:
    context = ca.client()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with opened(ca.load()) as it:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with inside(it.listener, context):
                pass
        assert await it.result() == ("crm.test", "no-common-tls")
        assert "TLS for crm.test" in caplog.text
        await quiet(it.listener)


def memory(
    context: ssl.SSLContext, name: str = "crm.test"
) -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    return context.wrap_bio(incoming, outgoing, server_hostname=name), incoming, outgoing


async def shaken(near: Agent, tls: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
    """Finish a handshake by hand."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                tls.do_handshake()
                return
            except ssl.SSLWantReadError:
                await near.say(outgoing.read())
                incoming.write(await near.reader.read(65536))


@pytest.mark.parametrize("cut", ["with the CONNECT", "byte by byte"])
async def test_it_does_not_matter_how_the_network_cuts_the_handshake(ca: Ca, cut: str) -> None:
    tls, incoming, outgoing = memory(ca.client())
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    async with opened(ca.load()) as it, agent(it.listener) as near:
        if cut == "with the CONNECT":
            await near.say(CONNECT + hello)
        else:
            await near.say(
                *(CONNECT + hello[: i + 1][-1:] if i == 0 else hello[i : i + 1] for i in range(len(hello)))
            )
        assert await near.until(b"\r\n\r\n") == ESTABLISHED
        incoming.write(await near.reader.read(65536))
        await shaken(near, tls, incoming, outgoing)
        tls.write(GET)
        sent = outgoing.read()
        await near.say(*(sent[i : i + 1] for i in range(len(sent))))
        assert b"intercept GET https://crm.test:443/deals?id=1 0" in await decrypted(near, tls, incoming)


async def decrypted(near: Agent, tls: ssl.SSLObject, incoming: ssl.MemoryBIO) -> bytes:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return tls.read(65536)
            except ssl.SSLWantReadError:
                incoming.write(await near.reader.read(65536))


async def test_large_bodies_pass_both_ways(ca: Ca) -> None:
    size = 8 << 20

    async def mirror(exchange: Exchange) -> None:
        exchange.reply(Answer(200, [], await exchange.read(size)))

    body = bytes(range(256)) * (size // 256)
    async with opened(ca.load(), handler=mirror) as it, inside(it.listener, ca.client()) as near:
        head = b"POST / HTTP/1.1\r\nHost: crm.test\r\nContent-Length: %d\r\n\r\n" % size
        sending = asyncio.ensure_future(near.say(head, body))  # noqa: TID251 - a test's own
        assert (await near.reply())[2] == body
        await sending


@pytest.mark.parametrize("early", [b"", POST, POST[:1], POST[:-2]])
async def test_plain_http_inside_a_connect_is_served(ca: Ca, early: bytes) -> None:
    async with opened(ca.load()) as it, agent(it.listener) as near:
        await near.say(b"CONNECT crm.test:80 HTTP/1.1\r\nHost: crm.test:80\r\n\r\n" + early)
        assert await near.until(b"\r\n\r\n") == ESTABLISHED
        await near.say(POST[len(early) :])
        assert (await near.reply())[2] == b"intercept POST http://crm.test:80/deals? 5"
        await near.say(GET)
        assert (await near.reply())[2] == b"intercept GET http://crm.test:80/deals?id=1 0"


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"GET / HTTP/1.1\r\nHost: other.test\r\n\r\n", "its Host is another than CONNECT named"),
        (b"GET / HTTP/1.1\r\nHost: crm.test:80\r\n\r\n", "its Host is another than CONNECT named"),
        (b"GET https://other.test/ HTTP/1.1\r\nHost: crm.test\r\n\r\n", "its target is another"),
        (b"GET http://crm.test/ HTTP/1.1\r\nHost: crm.test\r\n\r\n", "its target is another"),
        (b"CONNECT crm.test:443 HTTP/1.1\r\nHost: crm.test\r\n\r\n", "a target is a path"),
        (b"SSH-2.0-OpenSSH\r\n", "its first line"),
    ],
)
async def test_whatever_names_another_host_is_refused_in_words(ca: Ca, sent: bytes, words: str) -> None:
    async with opened(ca.load()) as it, inside(it.listener, ca.client()) as near:
        await near.say(sent)
        it_said = problem(await near.rest())
        assert it_said["status"] == 400
        assert words in it_said["detail"]


@pytest.mark.parametrize("host", [b"crm.test", b"CRM.test:443", b"crm.test."])
async def test_one_host_has_many_spellings(ca: Ca, host: bytes) -> None:
    async with opened(ca.load()) as it, inside(it.listener, ca.client()) as near:
        await near.say(b"GET https://crm.test:443/a HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        assert (await near.reply())[2] == b"intercept GET https://crm.test:443/a? 0"


async def test_the_reverse_form_is_a_path_like_any_other_inside(ca: Ca) -> None:
    async with opened(ca.load()) as it, inside(it.listener, ca.client()) as near:
        await near.say(b"GET /_tool/billing/x HTTP/1.1\r\nHost: crm.test\r\n\r\n")
        assert (await near.reply())[2] == b"intercept GET https://crm.test:443/_tool/billing/x? 0"


async def test_a_name_in_the_handshake_that_connect_did_not_name_is_refused_in_words(ca: Ca) -> None:
    async with opened(ca.load()) as it, inside(it.listener, ca.client(), "other.test") as near:
        await near.say(GET)
        assert "the TLS handshake named another host (SNI)" in problem(await near.rest())["detail"]


async def test_an_address_has_a_certificate_too(ca: Ca) -> None:
    connect = b"CONNECT 127.0.0.1:8443 HTTP/1.1\r\nHost: 127.0.0.1:8443\r\n\r\n"
    async with opened(ca.load()) as it, inside(it.listener, ca.client(), "127.0.0.1", connect) as near:
        await near.say(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8443\r\n\r\n")
        assert (await near.reply())[2] == b"intercept GET https://127.0.0.1:8443/? 0"


async def test_the_credentials_of_the_connect_are_those_of_every_call_inside(ca: Ca) -> None:
    connect = CONNECT[:-2] + b"Proxy-Authorization: Basic YTpi\r\n\r\n"
    async with opened(ca.load()) as it, inside(it.listener, ca.client(), connect=connect) as near:
        await near.say(GET)
        await near.reply()
        await near.say(GET[:-2] + b"Proxy-Authorization: Basic Yzpk\r\n\r\n")
        await near.reply()
        assert it.users == [b"Basic YTpi"] * 3


# Clients that take no certificate of ours.


def refusing(address: tuple[str, int]) -> None:
    """A client that speaks TLS over a socket, as requests and most others do, and knows no authority of ours."""
    with socket.create_connection(address, PATIENCE_S) as sock:
        sock.sendall(CONNECT[:-2] + b"User-Agent: stripe/1.0\r\n\r\n")
        assert sock.recv(1000) == ESTABLISHED
        with pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(sock, server_hostname="crm.test")


async def test_a_client_that_does_not_trust_the_authority_leaves_one_line_and_a_count(
    ca: Ca, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(ca.load()) as it:
        for _ in range(3):
            await asyncio.to_thread(refusing, it.listener.address)
            await quiet(it.listener)
        assert it.results == [("crm.test", "ca-rejected")] * 3
        lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert len(lines) == 1
        assert lines[0].startswith(
            "TLS for crm.test: a client (stripe/1.0) does not trust the sidecar's authority. Give it tls.ca_cert"
        )


async def test_one_that_leaves_without_an_alert_is_told_of_too(
    ca: Ca, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(ca.load()) as it:
        with pytest.raises(ssl.SSLCertVerificationError):  # asyncio sends no alert
            async with inside(it.listener, ssl.create_default_context()):
                pass
        assert await it.result() == ("crm.test", "left-in-handshake")
        assert "likely it does not trust the sidecar's authority" in caplog.text


async def test_a_constrained_authority_can_play_no_other_host(tmp_path: Path) -> None:
    ca = Ca(tmp_path, ["crm.test"])
    async with opened(ca.load()) as it:
        async with inside(it.listener, ca.client()) as near:
            await near.say(GET)
            assert (await near.reply())[0] == 200
        connect = b"CONNECT bank.test:443 HTTP/1.1\r\nHost: bank.test:443\r\n\r\n"
        with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
            async with inside(it.listener, ca.client(), "bank.test", connect):
                pass
        connect = b"CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: 127.0.0.1:443\r\n\r\n"
        with pytest.raises(ssl.SSLCertVerificationError, match="excluded subtree"):
            async with inside(it.listener, ca.client(), "127.0.0.1", connect):
                pass


@pytest.mark.parametrize(
    ("said", "result"),
    [
        (b"", ""),
        (b"\x16\x03\x01\x02", "left-in-handshake"),
        (b"\x16\x03\x01\x00\x05hello", "handshake-failed"),
    ],
)
async def test_a_client_that_leaves_early_is_told_of(ca: Ca, said: bytes, result: str) -> None:
    async with opened(ca.load()) as it:
        async with agent(it.listener) as near:
            await near.say(CONNECT)
            await near.until(b"\r\n\r\n")
            await near.say(said)
        await quiet(it.listener)
        assert it.results == ([("crm.test", result)] if result else [])


async def test_a_client_that_leaves_without_a_call_is_told_of(
    ca: Ca, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(ca.load()) as it:
        async with inside(it.listener, ca.client()):
            pass
        assert await it.result() == ("crm.test", "left-without-call")
        assert "some look at it this late" in caplog.text
        await quiet(it.listener)


@pytest.mark.parametrize(("said", "result"), [(b"", "silent"), (b"\x16\x03\x01\x02", "handshake-timeout")])
async def test_a_handshake_never_hangs(ca: Ca, said: bytes, result: str) -> None:
    async with opened(ca.load(), Limits(head_s=0.1)) as it, agent(it.listener) as near:
        await near.say(CONNECT)
        await near.until(b"\r\n\r\n")
        await near.say(said)
        with contextlib.suppress(ConnectionError):
            assert await near.rest() == b""
        assert it.results == [("crm.test", result)]
        await quiet(it.listener)


# The ends of connections.


async def test_a_client_that_finished_speaking_is_still_answered(ca: Ca) -> None:
    tls, incoming, outgoing = memory(ca.client())
    async with opened(ca.load()) as it, agent(it.listener) as near:
        await near.say(CONNECT)
        await near.until(b"\r\n\r\n")
        await shaken(near, tls, incoming, outgoing)
        tls.write(GET)
        with pytest.raises(ssl.SSLWantReadError):
            tls.unwrap()
        await near.say(outgoing.read())
        near.finish()
        assert b"intercept GET" in await decrypted(near, tls, incoming)
        with pytest.raises(ssl.SSLZeroReturnError):  # a close_notify
            tls.read(1)
        await quiet(it.listener)


async def test_the_last_reply_ends_in_a_close_notify(ca: Ca) -> None:
    async with opened(ca.load()) as it, inside(it.listener, ca.client()) as near:
        await near.say(GET[:-2] + b"Connection: close\r\n\r\n")
        assert (await near.rest()).endswith(b"/deals?id=1 0")
        near.writer.close()
        await quiet(it.listener)


async def test_a_drained_listener_closes_what_is_idle_inside(ca: Ca) -> None:
    async with opened(ca.load()) as it, inside(it.listener, ca.client()) as near:
        await near.say(GET)
        await near.reply()
        async with asyncio.timeout(PATIENCE_S):
            await it.listener.drain()
        assert await near.rest() == b""
        await quiet(it.listener)


UPGRADE = b"GET /ws HTTP/1.1\r\nHost: crm.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


@contextlib.asynccontextmanager
async def upgrading(ca: Ca) -> AsyncIterator[tuple[Opened, "asyncio.Queue[Agent]"]]:
    """A listener whose upstream switches protocols, and the upstream's ends of the connections."""
    accepted: asyncio.Queue[Agent] = asyncio.Queue()
    server = await asyncio.start_server(lambda *ends: accepted.put_nowait(Agent(*ends)), "127.0.0.1", 0)

    async def switch(exchange: Exchange) -> None:
        fields = Headers([(b"Upgrade", b"websocket"), (b"Connection", b"upgrade")])
        body = Body(Far(), 0)
        body.end()
        await exchange.relay(LiveAnswer(101, b"Switching", fields, body, Far()), b"executed", 0, True)
        exchange.finish()
        address = server.sockets[0].getsockname()
        _, held = await asyncio.get_running_loop().create_connection(Held, *address)
        await exchange.tunnel(held)

    async with server, opened(ca.load(), handler=switch) as it:
        yield it, accepted


async def test_an_upgrade_inside_becomes_a_tunnel(ca: Ca) -> None:
    async with upgrading(ca) as (it, accepted), inside(it.listener, ca.client()) as near:
        await near.say(UPGRADE)
        assert parsed(await near.until(b"\r\n\r\n"))[0] == 101
        other = await accepted.get()
        await near.say(b"frame")
        assert await other.exactly(5) == b"frame"
        await other.say(b"last words")
        other.finish()
        assert await near.rest() == b"last words"
        near.writer.close()
        assert await other.rest() == b""
        other.writer.close()
        await quiet(it.listener)


async def test_in_a_tunnel_inside_the_upstream_may_finish_before_the_agent(ca: Ca) -> None:
    tls, incoming, outgoing = memory(ca.client())
    async with upgrading(ca) as (it, accepted), agent(it.listener) as near:
        await near.say(CONNECT)
        await near.until(b"\r\n\r\n")
        await shaken(near, tls, incoming, outgoing)
        tls.write(UPGRADE)
        await near.say(outgoing.read())
        assert (await decrypted(near, tls, incoming)).startswith(b"HTTP/1.1 101")
        other = await accepted.get()
        other.finish()
        assert await decrypted(near, tls, incoming) == b"", "no close_notify"
        tls.write(b"all of it")
        tls.unwrap()
        await near.say(outgoing.read())
        assert await other.rest() == b"all of it"
        other.writer.close()
        await quiet(it.listener)


# The certificates.


async def test_a_leaf_is_made_once_and_again_before_it_expires(ca: Ca) -> None:
    now_s = datetime.now(UTC).timestamp()
    authority = ca.load(lambda: now_s)
    first = authority.context("crm.test")
    now_s += 15 * 3600
    assert authority.context("crm.test") is first
    assert authority.context("other.test") is not first
    now_s += 2 * 3600
    second = authority.context("crm.test")
    assert second is not first
    now_s += 15 * 3600
    assert authority.context("crm.test") is second
    now_s -= 24 * 3600  # a clock that was ahead is put right: what it made is not valid yet
    assert authority.context("crm.test") is not second


def leaf(context: ssl.SSLContext) -> x509.Certificate:
    """What a server with ``context`` shows, valid now or not."""
    looking = ssl.create_default_context()
    looking.check_hostname, looking.verify_mode = False, ssl.CERT_NONE
    client, incoming, outgoing = memory(looking)
    server = context.wrap_bio(outgoing, incoming, server_side=True)
    for _ in range(2):
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    return x509.load_der_x509_certificate(client.getpeercert(binary_form=True) or b"")


async def test_a_leaf_says_what_it_is_for_and_for_how_long(ca: Ca) -> None:
    shown = leaf(ca.load().context("crm.test"))
    left = shown.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(hours=23) < left <= timedelta(hours=24)
    names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["crm.test"]
    assert isinstance(shown.public_key(), ec.EllipticCurvePublicKey)


async def test_no_leaf_outlives_its_authority(ca: Ca) -> None:
    now_s = datetime.now(UTC).timestamp() + 8.9 * 24 * 3600
    authority = ca.load(lambda: now_s)
    context = authority.context("crm.test")
    assert authority.context("crm.test") is context
    assert leaf(context).not_valid_after_utc == authority.certificate.not_valid_after_utc
    assert any("expires on" in doubt for doubt in authority.doubts([]))


async def test_contexts_do_not_pile_up(ca: Ca, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.wire.authority.MOST", 3)
    authority = ca.load()
    first = authority.context("0.test")
    for number in (1, 2, 0, 3):
        authority.context(f"{number}.test")
    assert authority.context("0.test") is first, "the one used last was dropped"
    assert len(authority._kept) == 3


@pytest.mark.parametrize("kind", ["EC", "RSA"])
async def test_an_authority_may_be_brought_with_its_chain(tmp_path: Path, kind: str) -> None:
    """The platform's root signs an intermediate for us; agents know the root alone."""
    root = authorities.Authority(tmp_path)
    key = ec.generate_private_key(ec.SECP256R1()) if kind == "EC" else rsa.generate_private_key(65537, 2048)
    chain = root.intermediate(key).public_bytes(Encoding.PEM) + root.bundle.read_bytes()
    (tmp_path / "ca.crt").write_bytes(chain)
    (tmp_path / "ca.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    authority = Authority.load(str(tmp_path / "ca.crt"), str(tmp_path / "ca.key"))
    context = ssl.create_default_context(cafile=str(root.bundle))
    async with opened(authority) as it, inside(it.listener, context) as near:
        await near.say(GET)
        assert (await near.reply())[0] == 200


@pytest.mark.parametrize(
    ("cert", "key", "words"),
    [
        ("", "key", "ca_cert: {}/cert holds no PEM certificate"),
        ("cert", "", "ca_key: {}/key holds no PEM private key"),
        ("cert", "other", "{}/key is not the key of {}/cert"),
        ("leaf", "leaf", "{}/cert is not an authority's certificate (CA:TRUE)"),
        ("cert", "locked", "{}/key is locked by a passphrase"),
        ("old", "old key", "{}/cert expired on "),
    ],
)
def test_an_authority_that_is_no_good_is_refused_in_words(
    ca: Ca, tmp_path: Path, cert: str, key: str, words: str
) -> None:
    now = datetime.now(UTC)
    old, old_key = new_authority([], now - timedelta(days=9), timedelta(days=8))
    made = load_pem_private_key(ca.key.read_bytes(), None)
    signing = Signer(x509.load_pem_x509_certificate(ca.cert.read_bytes()), made)  # type: ignore[arg-type] - it is EC
    texts = {
        "": b"nothing",
        "cert": ca.cert.read_bytes(),
        "key": ca.key.read_bytes(),
        "other": new_authority([], now, timedelta(days=1))[1],
        "leaf": new_leaf("crm.test", signing, now, now + timedelta(days=1)),
        "locked": made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")),
        "old": old,
        "old key": old_key,
    }
    (tmp_path / "cert").write_bytes(texts[cert])
    (tmp_path / "key").write_bytes(texts[key])
    with pytest.raises(TrustError) as refused:
        Authority.load(str(tmp_path / "cert"), str(tmp_path / "key"))
    assert words.replace("{}", str(tmp_path)) in str(refused.value)


def test_an_authority_made_at_start_signs_for_the_tools_alone_and_stays() -> None:
    it = Authority.made(["crm.test"])
    assert list(it.doubts(["crm.test", "api.crm.test"])) == []
    assert list(it.doubts(["other.test"])) == [
        (
            "the authority made at start may not sign for other.test, so clients will reject what it signs; restart "
            "the sidecar and its agents"
        )
    ]
    assert x509.load_pem_x509_certificate(it.pem) == it.certificate
    context = ssl.create_default_context(cadata=it.pem.decode())
    assert context.cert_store_stats()["x509_ca"] == 1
    assert Authority.made(["crm.test"]).fingerprint != it.fingerprint


async def test_curl_and_requests_are_served(ca: Ca) -> None:
    async with opened(ca.load()) as it:
        host, number = it.listener.address
        proxy = f"http://user:pw@{host}:{number}"
        code = (
            "import requests, sys; s = requests.Session(); "
            "print(*(s.post(sys.argv[1], data='hello', proxies={'https': sys.argv[2]}, verify=sys.argv[3]).text "
            "for _ in range(3)), sep='\\n')"
        )
        url = "https://crm.test/deals"
        for command in (
            ["curl", "-sS", "--http2", "-x", proxy, "--cacert", str(ca.cert), "-d", "hello", url],
            [sys.executable, "-c", code, url, proxy, str(ca.cert)],
        ):
            ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
            assert ran.returncode == 0, ran.stderr
            assert set(ran.stdout.split("\n")) - {""} == {"intercept POST https://crm.test:443/deals? 5"}
