import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

import pytest

from sidecar.core.outbound import Trust
from sidecar.core.refusal import Refusal
from sidecar.wire.dial import Dialer
from sidecar.wire.egress import Egress
from sidecar.wire.held import Held
from sidecar.wire.resolve import Resolver
from sidecar.wire.upstream import HttpUpstream
from tests.authority import Authority
from tests.wire.scripted import (
    LOOPBACK,
    OK,
    Granted,
    Line,
    drain,
    ignore,
    request,
    says,
    says_and_closes,
    stage,
    until,
)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)


@contextlib.contextmanager
def trusting(bundle: Path) -> Iterator[HttpUpstream]:
    upstream = HttpUpstream(LOOPBACK, ca_file=str(bundle))
    try:
        yield upstream
    finally:
        upstream.close()


async def names_of_this_machine(host: str) -> Iterable[str]:
    return ["127.0.0.1"]


async def dial(
    resolver: Resolver,
    port: int,
    host: str = "crm.test",
    connect_timeout_ms: int = 2000,
    timeout_ms: int = 5000,
) -> Held:
    return await Dialer(resolver).dial(
        Held, host, port, connect_timeout_ms=connect_timeout_ms, timeout_ms=timeout_ms
    )


# TLS.


async def test_a_proven_upstream_is_spoken_to_in_http11_and_kept(authority: Authority) -> None:
    async with stage(says(OK, OK), tls=authority.server("127.0.0.1")) as it:
        with trusting(authority.bundle) as upstream:
            for _ in range(2):
                answer = await upstream.send(request(it.port, scheme="https"), b"x", Granted(), ignore)
                assert answer.body.whole == b"hi"
            assert it.connections == 1


@pytest.mark.parametrize(
    ("names", "expired", "words"),
    [
        (["127.0.0.1"], True, "certificate has expired"),
        (["other.test"], False, "not valid for '127.0.0.1'"),
        (["127.0.0.2"], False, "not valid for '127.0.0.1'"),
    ],
)
async def test_an_upstream_that_proves_nothing_hears_nothing(
    authority: Authority, names: list[str], expired: bool, words: str
) -> None:
    async with stage(says(OK), tls=authority.server(*names, expired=expired)) as it:
        with trusting(authority.bundle) as upstream:
            lease = Granted()
            with pytest.raises(Refusal) as refused:
                await upstream.send(request(it.port, scheme="https"), b"x", lease, ignore)
            assert (refused.value.code, refused.value.outcome) == ("upstream-unreachable", "not_sent")
            assert words in refused.value.detail
            assert lease.asked == 0


async def test_an_unknown_authority_is_not_trusted(authority: Authority) -> None:
    async with stage(says(OK), tls=authority.server("127.0.0.1")) as it:
        upstream = HttpUpstream(LOOPBACK)
        with pytest.raises(Refusal) as refused:
            await upstream.send(request(it.port, scheme="https"), b"x", Granted(), ignore)
        assert "certificate is not valid" in refused.value.detail
        assert refused.value.outcome == "not_sent"


async def test_a_name_is_verified_and_told_by_name(authority: Authority) -> None:
    asked: list[str | None] = []
    context = authority.server("crm.test")
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    async with stage(says(OK), tls=context) as it:
        dialer = Dialer(Resolver(LOOPBACK, names_of_this_machine), str(authority.bundle))
        held = await dialer.dial(
            Held, "crm.test.", it.port, trust=Trust(), connect_timeout_ms=2000, timeout_ms=5000
        )
        held.close()
        assert asked == ["crm.test"]


async def test_a_plain_server_behind_an_https_address_is_unreachable(authority: Authority) -> None:
    async def play(line: Line) -> None:
        await line.reader.read(1)
        await line.say(b"HTTP/1.1 400 The plain HTTP request was sent to HTTPS port\r\n\r\n")

    async with stage(play) as it:
        with trusting(authority.bundle) as upstream, pytest.raises(Refusal) as refused:
            await upstream.send(request(it.port, scheme="https"), b"x", Granted(), ignore)
        assert (refused.value.code, refused.value.outcome) == ("upstream-unreachable", "not_sent")
        assert "TLS handshake failed" in refused.value.detail


async def test_old_tls_is_not_spoken(authority: Authority) -> None:
    context = authority.server("127.0.0.1")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with stage(says(OK), tls=context) as it:
        with trusting(authority.bundle) as upstream, pytest.raises(Refusal) as refused:
            await upstream.send(request(it.port, scheme="https"), b"x", Granted(), ignore)
        assert (refused.value.code, refused.value.outcome) == ("upstream-unreachable", "not_sent")


async def test_over_tls_only_a_close_notify_ends_what_nothing_delimits(authority: Authority) -> None:
    said = b"HTTP/1.1 200 OK\r\n\r\nuntil the end"
    async with stage(says_and_closes(said), tls=authority.server("127.0.0.1")) as it:
        with trusting(authority.bundle) as upstream:
            answer = await upstream.send(request(it.port, scheme="https"), b"x", Granted(), ignore)
            assert await drain(answer.body) == b"until the end"


async def test_over_tls_a_bare_close_breaks_off_what_nothing_delimits(authority: Authority) -> None:
    async def play(line: Line) -> None:
        await line.request()
        await line.say(b"HTTP/1.1 200 OK\r\n\r\nuntil the")
        line.cut()
        await line.gone()

    async with stage(play, tls=authority.server("127.0.0.1")) as it:
        with trusting(authority.bundle) as upstream:
            answer = await upstream.send(request(it.port, scheme="https"), b"x", Granted(), ignore)
            with pytest.raises(Refusal) as refused:
                await drain(answer.body)
            assert refused.value.code == "upstream-failed"


# Time.


@contextlib.asynccontextmanager
async def deaf_port() -> AsyncIterator[int]:
    """A port whose backlog is full: the kernel drops further SYNs, so connecting hangs."""
    with socket.socket() as listening, contextlib.ExitStack() as waiting:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            knocking = waiting.enter_context(socket.socket())
            knocking.setblocking(False)
            knocking.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


@pytest.mark.parametrize(
    ("connect_timeout_ms", "timeout_ms", "code"),
    [(150, 5000, "upstream-unreachable"), (5000, 150, "upstream-timeout")],
)
async def test_a_connection_that_never_comes_is_not_sent(
    connect_timeout_ms: int, timeout_ms: int, code: str
) -> None:
    async with deaf_port() as port:
        resolver = Resolver(LOOPBACK, names_of_this_machine)
        with pytest.raises(Refusal) as refused:
            await dial(resolver, port, connect_timeout_ms=connect_timeout_ms, timeout_ms=timeout_ms)
        assert (refused.value.code, refused.value.outcome) == (code, "not_sent")
        assert "150 ms" in refused.value.detail


async def test_a_handshake_that_never_ends_is_not_sent(authority: Authority) -> None:
    async with stage(says()) as it:
        sent = request(it.port, scheme="https", connect_timeout_ms=150)
        with trusting(authority.bundle) as upstream, pytest.raises(Refusal) as refused:
            await upstream.send(sent, b"x", Granted(), ignore)
        assert (refused.value.code, refused.value.outcome) == ("upstream-unreachable", "not_sent")


async def test_a_name_that_never_resolves_is_not_sent() -> None:
    async def never(host: str) -> Iterable[str]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(Refusal) as refused:
        await dial(Resolver(LOOPBACK, never), 80, connect_timeout_ms=100)
    assert (refused.value.code, refused.value.outcome) == ("upstream-unreachable", "not_sent")


# Several addresses.


@pytest.mark.parametrize("first", ["127.0.0.2", "127.0.0.3"])
async def test_the_next_address_is_tried_where_one_fails(first: str) -> None:
    async def names(host: str) -> Iterable[str]:
        return [first, "127.0.0.1"]

    async with stage(says(OK)) as it:
        held = await dial(Resolver(Egress(allow=["127.0.0.0/8"]), names), it.port)
        assert it.connections == 1 or held is not None
        held.close()


async def test_an_address_that_is_silent_leaves_time_for_the_next() -> None:
    async def names(host: str) -> Iterable[str]:
        return ["127.0.0.1", "127.0.0.2"]

    async with deaf_port() as port:
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.2", port)
        async with server:
            held = await dial(Resolver(Egress(allow=["127.0.0.0/8"]), names), port, connect_timeout_ms=2_000)
            held.close()


async def test_a_private_address_beside_a_public_one_is_never_dialled() -> None:
    async def names(host: str) -> Iterable[str]:
        return ["127.0.0.2", "127.0.0.1"]

    async with stage(says(OK)) as it:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.2", it.port)
        async with server:
            held = await dial(Resolver(LOOPBACK, names), it.port)
            held.close()
            await until(lambda: bool(it.connections))
