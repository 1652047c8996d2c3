import asyncio
import contextlib
import re
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.core.call import Answer
from sidecar.core.refusal import Refusal
from sidecar.wire.connection import HALF_CLOSE_S, Connection
from sidecar.wire.exchange import Exchange
from sidecar.wire.interceptions import Interceptions
from sidecar.wire.shared import Limits, Shared
from tests.wire.agents import PATIENCE_S, agent, ask, echo, port, problem, quiet
from tests.wire.test_head import MALFORMED, TOO_LARGE

GET = b"GET http://crm.test/a HTTP/1.1\r\nHost: crm.test\r\n\r\n"
LAST = b"GET http://crm.test/last HTTP/1.1\r\nHost: crm.test\r\nConnection: close\r\n\r\n"
POST = b"POST http://crm.test/b HTTP/1.1\r\nHost: crm.test\r\n"
QUICK = Limits(head_s=0.1, idle_s=0.1, stall_s=0.1, linger_s=0.1)


def bodies(replies: bytes) -> list[bytes]:
    """The bodies of pipelined replies that ``echo`` gave."""
    return [part.split(b"HTTP/1.1")[0] for part in replies.split(b"\r\n\r\n")[1:]]


async def test_a_connection_carries_many_calls() -> None:
    async with port() as listener, agent(listener) as it:
        for _ in range(3):
            await it.say(POST + b"Content-Length: 3\r\n\r\nabc")
            assert await it.reply() == (200, {"content-length": "28"}, b"POST http://crm.test:80/b? 3")


async def test_pipelined_calls_run_one_at_a_time_and_are_answered_in_order() -> None:
    running = 0

    async def slow(exchange: Exchange) -> None:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0)
        running -= 1
        await echo(exchange)

    async with port(slow) as listener:
        replies = await ask(listener, GET + POST + b"Content-Length: 3\r\n\r\nabc" + GET + LAST)
    assert bodies(replies) == [
        b"GET http://crm.test:80/a? 0",
        b"POST http://crm.test:80/b? 3",
        b"GET http://crm.test:80/a? 0",
        b"GET http://crm.test:80/last? 0",
    ]


async def test_a_pipelining_agent_is_not_read_ahead_of_its_answers() -> None:
    go = asyncio.Event()
    flood = POST + b"Content-Length: 65536\r\n\r\n" + b"x" * 65536
    taken = 0

    async def held(exchange: Exchange) -> None:
        await go.wait()
        await echo(exchange)

    async with port(held) as listener, agent(listener) as it:
        it.writer.transport.set_write_buffer_limits(0)

        async def pipeline() -> None:
            nonlocal taken
            for _ in range(1000):
                await it.say(flood)
                taken += 1
            await it.say(LAST)

        sending = asyncio.ensure_future(pipeline())  # noqa: TID251 - a test's own
        before = -1
        while taken > before:  # until nothing more is taken
            before = taken
            await asyncio.sleep(0.1)
        assert taken < 500, "32 MB were taken while the first call was not answered"
        go.set()
        assert (await it.rest()).count(b"HTTP/1.1 200 OK") == 1001
        await sending


@pytest.mark.parametrize("data", {**MALFORMED, **TOO_LARGE}.values(), ids={**MALFORMED, **TOO_LARGE})
async def test_what_is_no_request_gets_its_reason_and_a_closed_connection(data: bytes) -> None:
    refused: list[Refusal] = []
    async with port(refused=refused.append) as listener:
        it = problem(await ask(listener, data, GET))
    assert it["code"] in ("bad-request", "header-too-large")
    assert [no.code for no in refused] == [it["code"]]


async def test_a_malformed_request_does_not_spoil_the_one_before_it() -> None:
    async with port() as listener:
        first, _, second = (await ask(listener, GET + b"GET / HTTP/3\r\n\r\n" + GET)).partition(b"a? 0")
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert problem(second)["code"] == "bad-request"


async def test_http_1_0_is_answered_and_closed() -> None:
    async with port() as listener:
        reply = await ask(listener, b"GET http://crm.test/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert b"\r\nConnection: close\r\n" in reply
    assert reply.endswith(b"\r\n\r\nGET http://crm.test:80/a? 0")


async def test_an_agent_that_waits_for_a_100_gets_it_before_the_handler_reads() -> None:
    go = asyncio.Event()

    async def queued(exchange: Exchange) -> None:
        await go.wait()
        await echo(exchange)

    async with port(queued) as listener, agent(listener) as it:
        await it.say(POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert await it.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await it.say(b"abc")
        go.set()
        assert (await it.reply())[2] == b"POST http://crm.test:80/b? 3"


async def test_a_call_refused_at_once_is_not_asked_for_its_body() -> None:
    async def refuse(exchange: Exchange) -> None:
        exchange.reply(Refusal("egress-denied", "No.").as_answer(exchange.call.id, ""))

    async with port(refuse) as listener:
        reply = await ask(listener, POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    assert problem(reply)["code"] == "egress-denied"


async def test_no_100_where_the_body_has_begun_already() -> None:
    async with port() as listener, agent(listener) as it:
        await it.say(POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\na", b"", b"bc")
        assert (await it.reply())[0] == 200


async def test_a_refusal_is_read_though_the_body_was_not() -> None:
    async def refuse(exchange: Exchange) -> None:
        exchange.reply(Refusal("body-too-large", "No.").as_answer(exchange.call.id, ""))

    async with port(refuse) as listener:
        size = 8 << 20
        body = [b"x" * 65536] * (size // 65536)
        reply = await ask(listener, POST + b"Content-Length: %d\r\n\r\n" % size, *body)
    assert problem(reply)["code"] == "body-too-large"


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"Content-Length: 5", b"abc"),
        (b"Transfer-Encoding: chunked", b"5\r\nabc"),
        (b"Transfer-Encoding: chunked", b"0\r\n"),
    ],
)
async def test_a_body_that_breaks_off_is_a_bad_request(framing: bytes, body: bytes) -> None:
    async with port() as listener, agent(listener) as it:
        await it.say(POST + framing + b"\r\n\r\n", body)
        it.finish()
        assert problem(await it.rest())["code"] == "bad-request"


async def test_a_body_with_broken_chunks_is_a_bad_request() -> None:
    async with port() as listener:
        reply = await ask(listener, POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n", GET)
    assert problem(reply)["code"] == "bad-request"


async def test_a_body_streams_with_the_socket_as_its_buffer() -> None:
    size, seen = 64 << 20, 0

    async def count(exchange: Exchange) -> None:
        nonlocal seen
        while piece := await exchange.body.read():
            seen += len(piece)
            assert len(piece) < 2 << 20
        exchange.reply(Answer(200, [], b""))

    async with port(count) as listener, agent(listener) as it:
        await it.say(POST + b"Content-Length: %d\r\n\r\n" % size)
        await it.say(*[b"x" * (1 << 20)] * 64)
        assert (await it.reply())[0] == 200
    assert seen == size


async def test_an_agent_that_only_half_closes_gets_its_answer() -> None:
    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(2 * HALF_CLOSE_S)
        await echo(exchange)

    async with port(slow) as listener, agent(listener) as it:
        await it.say(GET + GET)
        it.finish()
        assert len(bodies(await it.rest())) == 2


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_an_agent_that_hangs_up_while_it_waits_calls_its_call_off(how: str) -> None:
    began, called_off = asyncio.Event(), asyncio.Event()

    async def waits(exchange: Exchange) -> None:
        assert exchange.waiting
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            called_off.set()
            raise

    async with port(waits) as listener, agent(listener) as it:
        await it.say(GET)
        await began.wait()
        await asyncio.sleep(2 * HALF_CLOSE_S)
        it.reset() if how == "reset" else it.writer.close()
        async with asyncio.timeout(PATIENCE_S):
            await called_off.wait()


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_an_agent_that_hangs_up_in_flight_does_not_stop_its_call(how: str) -> None:
    began, lost, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def flies(exchange: Exchange) -> None:
        exchange.waiting = False
        began.set()
        await lost.wait()
        exchange.reply(Answer(200, [], b""))
        done.set()

    async with port(flies) as listener, agent(listener) as it:
        await it.say(GET)
        await began.wait()
        await asyncio.sleep(2 * HALF_CLOSE_S)
        it.reset() if how == "reset" else it.writer.close()
        await asyncio.sleep(2 * HALF_CLOSE_S)
        lost.set()
        async with asyncio.timeout(PATIENCE_S):
            await done.wait()


async def test_a_call_lost_before_its_first_step_still_cleans_up() -> None:
    async def waits(exchange: Exchange) -> None:
        await asyncio.Event().wait()

    shared = Shared(waits, Limits(), "c-", None, Interceptions())
    ours, theirs = socket.socketpair()
    with theirs:
        transport, connection = await shared.loop.connect_accepted_socket(lambda: Connection(shared), ours)
        connection.data_received(GET)  # as the loop does where request and reset come together
        connection.connection_lost(None)
        await asyncio.wait(shared.calls, timeout=PATIENCE_S)
        assert not shared.calls
        transport.close()


async def test_a_handler_that_fails_is_answered_for(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(exchange: Exchange) -> None:
        raise ValueError("a bug")

    async with port(fail) as listener:
        reply = await ask(listener, LAST)
    assert problem(reply)["code"] == "internal"
    assert "a bug" in caplog.text
    assert b"a bug" not in reply


async def test_a_handler_that_never_replies_leaves_no_agent_waiting() -> None:
    async def silent(exchange: Exchange) -> None:
        pass

    async with port(silent) as listener:
        with contextlib.suppress(ConnectionError):
            assert await ask(listener, GET) == b""


async def test_a_head_that_does_not_end_in_time_is_refused() -> None:
    async with port(limits=QUICK) as listener:
        assert problem(await ask(listener, GET[:-2]))["code"] == "bad-request"


async def test_dribbling_does_not_buy_a_head_more_time() -> None:
    async with port(limits=QUICK) as listener, agent(listener) as it:
        await it.say(GET[:-2])
        reading = asyncio.ensure_future(it.rest())  # noqa: TID251 - a test's own
        while not reading.done():
            await it.say(b"a: b\r\n")
            await asyncio.sleep(0.01)
        assert problem(await reading)["code"] == "bad-request"


async def test_an_idle_connection_is_closed_without_a_word() -> None:
    async with port(limits=QUICK) as listener:
        assert await ask(listener) == b""
        async with agent(listener) as it:
            await it.say(GET)
            await it.reply()
            assert await it.rest() == b""


async def test_a_body_that_stalls_is_refused() -> None:
    async with port(limits=QUICK) as listener:
        reply = await ask(listener, POST + b"Content-Length: 5\r\n\r\nabc")
    assert problem(reply)["code"] == "bad-request"


async def test_a_body_that_nobody_reads_does_not_stall() -> None:
    """Its agent was paused, so the delay is ours."""
    size = 4 << 20

    async def later(exchange: Exchange) -> None:
        await asyncio.sleep(0.5)
        while await exchange.body.read():
            pass
        exchange.reply(Answer(200, [], b""))

    async with port(later, QUICK) as listener, agent(listener) as it:
        await it.say(POST + b"Content-Length: %d\r\n\r\n" % size, b"x" * size)
        assert (await it.reply())[0] == 200


async def test_a_reply_that_nobody_reads_is_given_up() -> None:
    async def large(exchange: Exchange) -> None:
        exchange.reply(Answer(200, [], b"x" * (32 << 20)))

    async with port(large, QUICK) as listener, agent(listener) as it:
        await it.say(GET)
        await quiet(listener)


async def test_an_agent_that_never_closes_is_closed() -> None:
    async with port(limits=QUICK) as listener, agent(listener) as it:
        await it.say(LAST)
        await it.rest()
        await quiet(listener)


CONVERSATIONS = [
    GET + POST + b"Content-Length: 3\r\n\r\nabc" + LAST,
    POST + b"Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: v\r\n\r\n" + LAST,
    POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n" + LAST,
    b"\r\n" + GET + b"\r\n" + LAST,
    GET + b"GET /v1 HTTP/1.1\r\nHost: crm.test\r\n\r\n" + GET,
    POST + b"Content-Length: 2000000\r\n\r\n" + b"x" * 2000,
]


def without_ids(replies: bytes) -> bytes:
    return re.sub(rb"call=[^;]+", b"call=", replies)


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=range(len(CONVERSATIONS)))
async def test_how_the_network_cuts_a_conversation_changes_nothing(conversation: bytes) -> None:
    async with port() as listener:

        async def said(*segments: bytes) -> bytes:
            async with agent(listener) as it:
                with contextlib.suppress(ConnectionError):
                    await it.say(*segments)
                    it.finish()
                return without_ids(await it.rest())

        whole = await said(conversation)
        assert whole
        for size in (1, 2, 3, 7, 50):
            segments = [conversation[at : at + size] for at in range(0, len(conversation), size)]
            assert await said(*segments) == whole, size


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    data=st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.sampled_from(
                [GET, POST, b"\r\n", b"Content-Length: 5\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"]
            ),
            st.sampled_from(list(MALFORMED.values())),
            st.sampled_from(
                [b"0\r\n\r\n", b"5\r\nhello\r\n", b"CONNECT crm.test:443 HTTP/1.1\r\nHost: crm.test\r\n\r\n"]
            ),
        ),
        max_size=8,
    )
)
def test_whatever_an_agent_sends_it_is_answered_well_formed_or_closed(data: list[bytes]) -> None:
    async def main() -> None:
        async with port() as listener, agent(listener) as it:
            with contextlib.suppress(ConnectionError):
                await it.say(*data)
                it.finish()
            with contextlib.suppress(ConnectionError):
                well_formed(await it.rest())

    asyncio.run(main())


def well_formed(replies: bytes) -> None:
    while replies:
        head, end, rest = replies.partition(b"\r\n\r\n")
        assert end, replies
        assert head.startswith(b"HTTP/1.1 ")
        length = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: "))
        size = int(length.partition(b": ")[2])
        assert len(rest) >= size
        replies = rest[size:]
