import asyncio

from sidecar.wire.held import Held
from sidecar.wire.upstream import HttpUpstream
from tests.wire.scripted import LOOPBACK, Line, says_and_resets, stage, until


async def test_a_connection_that_nobody_takes_yet_holds_its_upstream_back() -> None:
    said = 0

    async def flood(line: Line) -> None:
        nonlocal said
        while said < 64 << 20:
            await line.say(b"x" * 65536)
            said += 65536

    async with stage(flood) as it:
        held = await HttpUpstream(LOOPBACK).connect("127.0.0.1", it.port, 1000)
        still = -1
        while said != still:
            still = said
            await asyncio.sleep(0.05)
        assert said < 32 << 20
        held.close()


async def test_bytes_that_arrive_before_the_taker_are_kept_for_it() -> None:
    async def play(line: Line) -> None:
        await line.gone()

    async with stage(play) as it:
        held = await HttpUpstream(LOOPBACK).connect("127.0.0.1", it.port, 1000)
        held.data_received(b"ear")
        held.data_received(b"ly")
        taken = held.take(asyncio.Protocol())
        assert taken is not None
        transport, early = taken
        assert early == b"early"
        transport.abort()


async def test_a_connection_that_was_lost_meanwhile_cannot_be_taken() -> None:
    async with stage(says_and_resets(b"")) as it:
        held = await HttpUpstream(LOOPBACK).connect("127.0.0.1", it.port, 1000)
        held.close()
        await until(lambda: held._lost)
        assert held.take(asyncio.Protocol()) is None
    assert Held().take(asyncio.Protocol()) is None
