import asyncio
import gc
import weakref

import pytest

from sidecar.core.call import Headers
from sidecar.wire.pool import SWEEP_S, Limits
from sidecar.wire.response import LiveAnswer
from sidecar.wire.upstream import HttpUpstream
from tests.wire.scripted import LOOPBACK, OK, Granted, Line, Pieces, Play, ignore, request, says, stage, until

FOREVER_S = 3600.0


def announcing(seconds: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nKeep-Alive: max=5, timeout=" + seconds + b"\r\nContent-Length: 2\r\n\r\nhi"


async def send(upstream: HttpUpstream, port: int, method: str = "POST") -> None:
    await upstream.send(request(port, method), b"", Granted(), ignore)


async def test_the_last_one_used_goes_first() -> None:
    ports: list[int] = []

    async def play(line: Line) -> None:
        while True:
            await line.request()
            ports.append(line.writer.get_extra_info("peername")[1])
            await line.say(OK)

    async with stage(play) as it:
        upstream = HttpUpstream(LOOPBACK)
        await asyncio.gather(send(upstream, it.port), send(upstream, it.port), send(upstream, it.port))
        for _ in range(3):
            await send(upstream, it.port)
        assert it.connections == 3
        assert len(set(ports[3:])) == 1
        upstream.close()


async def test_an_idle_connection_is_closed_after_its_time() -> None:
    closed = asyncio.Event()

    async def play(line: Line) -> None:
        await line.request()
        await line.say(OK)
        await line.gone()
        closed.set()

    async with stage(play) as it:
        upstream = HttpUpstream(LOOPBACK, Limits(idle_s=0.05))
        await send(upstream, it.port)
        async with asyncio.timeout(0.05 + 10 * SWEEP_S):
            await closed.wait()
        assert repr(upstream) == "<HttpUpstream <Pool 0 busy, 0 idle>>"


@pytest.mark.parametrize(
    ("limits", "answer"),
    [(Limits(fresh_s=0), OK), (Limits(), announcing(b"1")), (Limits(), announcing(b"0"))],
)
async def test_a_write_takes_no_connection_that_may_be_closing_but_a_read_does(
    limits: Limits, answer: bytes
) -> None:
    async with stage(says(answer, OK, OK)) as it:
        upstream = HttpUpstream(LOOPBACK, limits)
        await send(upstream, it.port)
        loop = asyncio.get_running_loop()
        passed = loop.time()
        await until(lambda: loop.time() > passed)
        await send(upstream, it.port, "GET")
        assert it.connections == 1
        await asyncio.sleep(0.001)
        await send(upstream, it.port)
        assert it.connections == 2
        upstream.close()


@pytest.mark.parametrize("seconds", [b"9", b"999999999999999999999999", b"", b"x", b"-1"])
async def test_an_announced_idle_time_may_be_anything(seconds: bytes) -> None:
    async with stage(says(announcing(seconds), OK)) as it:
        upstream = HttpUpstream(LOOPBACK)
        await send(upstream, it.port)
        await send(upstream, it.port)
        assert it.connections == 1
        upstream.close()


async def test_no_more_than_so_many_connections_lie_idle() -> None:
    async with stage(says(OK)) as it:
        upstream = HttpUpstream(LOOPBACK, Limits(max_idle=2))
        await asyncio.gather(*(send(upstream, it.port) for _ in range(5)))
        assert repr(upstream) == "<HttpUpstream <Pool 0 busy, 2 idle>>"
        upstream.close()


async def test_hosts_do_not_share_connections() -> None:
    async with stage(says(OK)) as one, stage(says(OK)) as other:
        upstream = HttpUpstream(LOOPBACK)
        await send(upstream, one.port)
        await send(upstream, other.port)
        assert (one.connections, other.connections) == (1, 1)
        upstream.close()


async def test_a_new_policy_closes_what_was_connected_under_the_old_one() -> None:
    async with stage(says(OK, OK)) as it:
        upstream = HttpUpstream(LOOPBACK)
        await send(upstream, it.port)
        upstream.obey(LOOPBACK)
        assert repr(upstream) == "<HttpUpstream <Pool 0 busy, 0 idle>>"
        await send(upstream, it.port)
        assert it.connections == 2
        upstream.close()


def answers_before_the_upload_ends() -> Play:
    async def play(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        await line.say(OK)
        await line.gone()

    return play


async def test_a_connection_with_half_a_request_on_it_is_never_used_again() -> None:
    async def never() -> bytes:
        await asyncio.Event().wait()
        return b""

    body = Pieces([], length=10)
    body.read = never  # type: ignore[method-assign] - a body that is stuck
    async with stage(answers_before_the_upload_ends()) as it:
        upstream = HttpUpstream(LOOPBACK)
        answer = await upstream.send(request(it.port), body, Granted(), ignore)
        assert answer.body.whole == b"hi"
        assert repr(upstream) == "<HttpUpstream <Pool 0 busy, 0 idle>>"
        upstream.close()


async def test_a_connection_with_unsent_bytes_is_never_used_again() -> None:
    async with stage(answers_before_the_upload_ends()) as it:
        upstream = HttpUpstream(LOOPBACK)
        answer = await upstream.send(request(it.port), b"x" * (32 << 20), Granted(), ignore)
        assert answer.body.whole == b"hi"
        assert repr(upstream) == "<HttpUpstream <Pool 0 busy, 0 idle>>"
        upstream.close()


async def test_a_connection_that_began_to_close_unannounced_is_passed_over() -> None:
    async with stage(says(OK)) as it:
        upstream = HttpUpstream(LOOPBACK)
        await send(upstream, it.port)
        (channel,) = upstream._pool._open
        channel._transport.abort()
        await send(upstream, it.port)
        assert it.connections == 2
        upstream.close()


def live_answers() -> int:
    gc.collect()
    return sum(isinstance(thing, LiveAnswer) for thing in gc.get_objects())


async def test_an_idle_connection_keeps_neither_the_answer_nor_whoever_asked() -> None:
    class Agent:
        def inform(self, status: int, headers: Headers) -> None: ...

    async with stage(says(OK)) as it:
        upstream = HttpUpstream(LOOPBACK)
        before = live_answers()
        agent = Agent()
        answer = await upstream.send(request(it.port), b"", Granted(), agent.inform)
        asker = weakref.ref(agent)
        del agent, answer
        await asyncio.sleep(0)  # the loop itself holds what woke us until we yield
        assert live_answers() == before
        assert asker() is None
        upstream.close()


async def test_nothing_is_left_running_once_everything_is_closed() -> None:
    async with stage(says(OK)) as it:
        upstream = HttpUpstream(LOOPBACK)
        await send(upstream, it.port)
        upstream.close()
        assert upstream._pool._sweeper is None
        assert not upstream._pool._idle
