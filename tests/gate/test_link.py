"""The link: one write a tick, replies in order, and nothing that hangs."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.gate import address
from sidecar.gate.link import Link, ReplyError, StoreAway, packed
from tests.servers import Server


async def open_link(server: Server, messages: list[tuple[bytes, bytes]] | None = None) -> Link:
    connection = address.connection(server.url, "test", 5)
    await connection.connect()
    heard = messages if messages is not None else []
    link = Link(lambda channel, message: heard.append((channel, message)), lambda: None)
    link.take_over(connection)
    return link


async def test_replies_come_in_the_order_of_the_commands(shared: Server) -> None:
    link = await open_link(shared)
    replies = await asyncio.gather(*(link.send("ECHO", f"n{n}") for n in range(1000)))
    assert replies == [b"n%d" % n for n in range(1000)]
    link.close()


async def test_commands_of_one_tick_leave_in_one_write(shared: Server) -> None:
    link = await open_link(shared)
    writes: list[bytes] = []
    real = link._transport
    assert real is not None
    link._transport = SimpleNamespace(
        write=lambda data: writes.append(data) or real.write(data), abort=real.abort
    )  # type: ignore[assignment]
    await asyncio.gather(*(link.send("PING") for _ in range(50)))
    assert len(writes) == 1
    link.close()


async def test_an_error_reply_is_a_value_and_costs_nobody_else_theirs(shared: Server) -> None:
    link = await open_link(shared)
    bad, good = await asyncio.gather(link.send("NONSENSE"), link.send("PING"))
    assert isinstance(bad, ReplyError)
    assert good == b"PONG"
    link.close()


async def test_a_cancelled_command_drops_its_reply_only(shared: Server) -> None:
    link = await open_link(shared)
    first, second = link.send("ECHO", "first"), link.send("ECHO", "second")
    first.cancel()
    assert await second == b"second"
    link.close()


async def test_what_is_due_when_the_connection_breaks_fails_and_so_does_what_comes_later(
    shared: Server,
) -> None:
    link = await open_link(shared)
    due = [link.send("BLPOP", "nothing", "0"), link.send("PING")]
    await asyncio.sleep(0)
    link.close()
    results: list[Any] = await asyncio.gather(*due, link.send("PING"), return_exceptions=True)
    assert [type(result) for result in results] == [StoreAway] * 3


async def test_silence_breaks_the_connection(shared: Server) -> None:
    link = await open_link(shared)
    with pytest.raises(StoreAway):
        async with asyncio.timeout(3):
            await link.send("BLPOP", "nothing", "0")


async def test_messages_arrive_between_replies(shared: Server) -> None:
    messages: list[tuple[bytes, bytes]] = []
    link, other = await open_link(shared, messages), await open_link(shared)
    await link.send("SUBSCRIBE", "channel")
    await other.send("PUBLISH", "channel", "hello")
    assert await link.send("PING") == b"PONG"
    assert messages == [(b"channel", b"hello")]
    link.close()
    other.close()


async def test_a_redis_py_that_keeps_its_transport_elsewhere_is_told_apart(shared: Server) -> None:
    link = Link(lambda _channel, _message: None, lambda: None)
    with pytest.raises(RuntimeError, match="redis-py"):
        link.take_over(SimpleNamespace())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis+sentinel://h:1/name", "later version"),
        ("redis+cluster://h:1", "later version"),
        ("http://h", "write embedded"),
        ("redis:/h", "write embedded"),
        ("localhost:6379", "write embedded"),
        ("redis://", "names no server"),
    ],
)
def test_a_url_that_cannot_be_used_says_what_to_write(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        address.check(url)


def test_a_shown_url_holds_no_secret() -> None:
    assert address.shown("redis://user:secret@host:6379/0?password=secret") == "redis://host:6379/0"


async def test_a_loop_that_stood_still_does_not_take_the_store_for_silent(shared: Server) -> None:
    link = await open_link(shared)
    reply = link.send("PING")
    await asyncio.sleep(0)
    time.sleep(1.5)  # noqa: ASYNC251 - the stall under test
    assert await reply == b"PONG"
    assert await link.send("PING") == b"PONG"
    link.close()


@given(
    st.lists(
        st.one_of(st.binary(max_size=2000), st.text(st.characters(codec="utf-8"), max_size=20)), min_size=1
    )
)
def test_a_command_is_packed_as_hiredis_packs_it(words: list[bytes | str]) -> None:
    assert packed(tuple(words)) == hiredis.pack_command(tuple(words))
