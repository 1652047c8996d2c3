"""Redirected connections over real sockets; where each was bound for is the test's to say."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sidecar.core.call import Answer, Call
from sidecar.core.refusal import Refusal
from sidecar.wire.authority import Authority
from sidecar.wire.certificates import new_authority
from sidecar.wire.exchange import Exchange
from sidecar.wire.held import Held
from sidecar.wire.listener import Listener
from sidecar.wire.redirected import NotRedirected
from sidecar.wire.shared import Limits
from sidecar.wire.transparent import ACCESS_DENIED
from tests.wire.agents import PATIENCE_S, Agent, parsed, port, problem, quiet
from tests.wire.hellos import hello, named, real

GET = b"GET /deals HTTP/1.1\r\nHost: crm.test\r\n\r\n"
BOUND_FOR = ("198.51.100.7", 80)


class Seen:
    """A transparent port: what its handler was asked for, and what it does about it."""

    def __init__(self, then: str) -> None:
        self.then = then
        self.connects: list[Call] = []
        self.calls: list[Call] = []
        self.refused: list[Refusal] = []
        self.listener: Listener
        self.place: tuple[str, int]
        self.upstream: asyncio.Server

    async def handle(self, exchange: Exchange) -> None:
        call = exchange.call
        if call.method != "CONNECT":
            self.calls.append(call)
            exchange.reply(
                Answer(200, [], f"{call.intake} {call.scheme}://{call.host}:{call.port}{call.path}".encode())
            )
            return
        self.connects.append(call)
        match self.then:
            case "intercept":
                exchange.intercept()
            case "tunnel":
                _, held = await asyncio.get_running_loop().create_connection(
                    Held, *self.upstream.sockets[0].getsockname()
                )
                await exchange.tunnel(held)
            case "wait":
                await asyncio.Event().wait()
            case _:
                no = Refusal("egress-denied", "Nothing was sent, by the test's own wish.")
                exchange.reply(no.as_answer(call.id, ""))

    @contextlib.asynccontextmanager
    async def agent(self) -> AsyncIterator[Agent]:
        reader, writer = await asyncio.open_connection(*self.place)
        try:
            yield Agent(reader, writer)
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def transparent(
    then: str = "intercept",
    bound_for: tuple[str, int] = BOUND_FOR,
    limits: Limits | None = None,
    authority: Authority | None = None,
) -> AsyncIterator[Seen]:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while heard := await reader.read(1000):
            writer.write(heard.upper())
        writer.close()

    it = Seen(then)
    it.upstream = await asyncio.start_server(shout, "127.0.0.1", 0)
    async with port(it.handle, limits, it.refused.append) as listener:
        listener.obey(authority)
        it.listener = listener
        it.place = (await listener.open_transparent(0, lambda _: bound_for))[0]
        yield it
    it.upstream.close()
    await it.upstream.wait_closed()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    certificate, key = new_authority(["crm.test"], datetime.now(UTC), timedelta(days=9))
    (tmp_path / "ca.crt").write_bytes(certificate)
    (tmp_path / "ca.key").write_bytes(key)
    return Authority.load(str(tmp_path / "ca.crt"), str(tmp_path / "ca.key"))


async def test_plain_http_is_a_connect_to_its_host_that_nobody_said() -> None:
    async with transparent() as it, it.agent() as near:
        await near.say(GET)
        assert (await near.reply())[2] == b"intercept http://crm.test:80/deals"
        connect = it.connects[0]
        assert (connect.scheme, connect.host, connect.port, connect.address) == (
            "http",
            "crm.test",
            80,
            BOUND_FOR[0],
        )
        await near.say(GET)
        assert (await near.reply())[2] == b"intercept http://crm.test:80/deals"
        assert len(it.connects) == 1
        assert [call.address for call in it.calls] == ["", ""], "calls go to where we find their host"


async def test_tls_is_a_connect_to_the_name_it_asks_for(authority: Authority, tmp_path: Path) -> None:
    bound_for = ("2001:db8::7", 443)
    async with transparent(bound_for=bound_for, authority=authority) as it, it.agent() as near:
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
        await near.writer.start_tls(context, server_hostname="crm.test")
        await near.say(GET)
        assert (await near.reply())[2] == b"intercept https://crm.test:443/deals"
        connect = it.connects[0]
        assert (connect.scheme, connect.host, connect.port, connect.address) == (
            "https",
            "crm.test",
            443,
            bound_for[0],
        )


@pytest.mark.parametrize("said", [real("crm.test"), GET, real("crm.test") + b"and more"])
async def test_however_it_is_cut_it_is_decided_once_and_nothing_is_lost(said: bytes) -> None:
    async with transparent("tunnel") as it, it.agent() as near:
        near.writer.transport.get_extra_info("socket").setsockopt(6, 1, 1)
        await near.say(*[said[at : at + 1] for at in range(len(said))])
        near.finish()
        assert await near.rest() == said.upper()
        assert [call.host for call in it.connects] == ["crm.test"]


@pytest.mark.parametrize("said", [b"EHLO agent\r\n", b"\x80\0binary", real(None), b"GET / HTTP/1.0\r\n\r\n"])
async def test_who_names_nobody_asks_for_the_address_he_was_bound_for(said: bytes) -> None:
    for address in ("198.51.100.7", "2001:db8::7"):
        async with transparent("tunnel", (address, 443)) as it, it.agent() as near:
            await near.say(said)
            near.finish()
            assert await near.rest() == said.upper()
            assert [(call.host, call.port, call.address) for call in it.connects] == [(address, 443, address)]


async def test_a_refusal_is_said_in_the_clients_own_language(caplog: pytest.LogCaptureFixture) -> None:
    async with transparent("refuse") as it:
        async with it.agent() as near:
            await near.say(GET)
            assert problem(await near.rest())["code"] == "egress-denied"
        async with it.agent() as near:
            await near.say(real("crm.test"))
            assert await near.rest() == ACCESS_DENIED
        assert "by the test's own wish" in caplog.text


async def test_a_client_is_told_by_the_alert() -> None:
    async with transparent("refuse") as it, it.agent() as near:
        with pytest.raises(ssl.SSLError, match="ACCESS_DENIED"):
            await near.writer.start_tls(ssl.create_default_context(), server_hostname="crm.test")


async def test_a_refusal_outlives_what_the_client_still_sends() -> None:
    async with transparent("refuse") as it, it.agent() as near:
        await near.say(
            b"POST / HTTP/1.1\r\nHost: crm.test\r\nContent-Length: 1000000\r\n\r\n", b"x" * 1_000_000
        )
        assert problem(await near.rest())["code"] == "egress-denied"


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (b"GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n", b"HTTP/1.1 400 "),
        (hello(named(b"a b")), ACCESS_DENIED),
    ],
)
async def test_what_is_malformed_reaches_nobody(said: bytes, heard: bytes) -> None:
    async with transparent() as it, it.agent() as near:
        await near.say(said)
        assert (await near.rest()).startswith(heard)
        assert it.connects == []
        assert [no.code for no in it.refused] == ["bad-request"]


async def test_inside_it_another_host_is_refused() -> None:
    async with transparent() as it, it.agent() as near:
        await near.say(GET)
        await near.reply()
        await near.say(GET.replace(b"crm.test", b"evil.test"))
        assert "this connection began with" in problem(await near.rest())["detail"]


@pytest.mark.parametrize(
    "said",
    [
        b"GET http://crm.test/deals HTTP/1.1\r\nHost: crm.test\r\n\r\n",
        b"GET http://crm.test/deals HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_a_request_to_another_proxy_is_served_as_our_own(said: bytes) -> None:
    async with transparent() as it, it.agent() as near:
        await near.say(said)
        assert (await near.reply())[2] == b"forward http://crm.test:80/deals"
        assert it.connects == []


async def test_a_connect_to_another_proxy_is_answered() -> None:
    async with transparent() as it, it.agent() as near:
        await near.say(b"CONNECT crm.test:80 HTTP/1.1\r\nHost: crm.test:80\r\n\r\n")
        assert parsed(await near.until(b"\r\n\r\n"))[0] == 200
        await near.say(GET)
        assert (await near.reply())[2] == b"intercept http://crm.test:80/deals"


@pytest.mark.parametrize("said", [b"", b"GET / HT", real("crm.test")[:50]])
async def test_who_does_not_say_whom_he_wants_is_let_go(
    said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with transparent(limits=Limits(head_s=0.05)) as it, it.agent() as near:
        await near.say(said)
        with contextlib.suppress(ConnectionError):
            assert await near.rest() == b""
        assert "a connection said too little" in caplog.text
        assert it.connects == []


async def test_who_was_not_redirected_is_let_go(caplog: pytest.LogCaptureFixture) -> None:
    def straight(_: asyncio.BaseTransport) -> tuple[str, int]:
        raise NotRedirected("came straight here")

    seen = Seen("intercept")
    async with port(seen.handle) as listener:
        places = await listener.open_transparent(0, straight)
        for _ in range(3):
            with contextlib.suppress(ConnectionError):
                reader, writer = await asyncio.open_connection(*places[0])
                writer.write(GET)
                assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
                writer.close()
    assert seen.connects == []
    assert caplog.text.count("came straight here") == 1, "said once a minute"


async def test_what_waits_is_called_off_with_its_connection() -> None:
    async with transparent("wait") as it:
        async with it.agent() as near:
            await near.say(GET)
            async with asyncio.timeout(PATIENCE_S):
                while not it.connects:
                    await asyncio.sleep(0)
            it.listener.close()
        await quiet(it.listener)


async def test_what_has_said_nothing_does_not_hold_up_a_sidecar_that_stops() -> None:
    async with transparent() as it, it.agent() as near:
        await near.say(b"GET")
        async with asyncio.timeout(PATIENCE_S):
            while not it.listener.connections:
                await asyncio.sleep(0)
        it.listener.stop_accepting()
        await it.listener.drain()
        with contextlib.suppress(ConnectionError):
            assert await near.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*it.place)


async def test_too_many_are_cut_off() -> None:
    async with transparent(limits=Limits(connections=1)) as it, it.agent() as first:
        await first.say(GET)
        await first.reply()
        async with it.agent() as second:
            with contextlib.suppress(ConnectionError):
                await second.say(GET)
                assert await second.rest() == b""


async def test_both_loopbacks_are_listened_on_and_let_go() -> None:
    async with transparent() as it:
        four, six = it.place, (await it.listener.open_transparent(0, lambda _: BOUND_FOR))[3]
        assert (four[0], six[0]) == ("127.0.0.1", "::1")
