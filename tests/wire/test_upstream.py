import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.core.call import Headers
from sidecar.core.outbound import Outbound
from sidecar.core.refusal import Refusal
from sidecar.tasks import spawn
from sidecar.wire.body import Body
from sidecar.wire.dial import Dialer
from sidecar.wire.pool import SWEEP_S, Limits
from sidecar.wire.upstream import HttpUpstream
from tests.wire.scripted import (
    LOOPBACK,
    OK,
    Granted,
    Lapsed,
    Line,
    Pieces,
    Play,
    Stage,
    drain,
    ignore,
    request,
    says,
    says_and_closes,
    says_and_resets,
    stage,
    until,
)

H = b"HTTP/1.1 200 OK\r\n"


@contextlib.asynccontextmanager
async def facing(*plays: Play, limits: Limits | None = None) -> AsyncIterator[tuple[HttpUpstream, Stage]]:
    async with stage(*plays) as it:
        upstream = HttpUpstream(LOOPBACK, limits)
        try:
            yield upstream, it
        finally:
            upstream.close()


async def call(upstream: HttpUpstream, sent: Outbound, body: bytes | Pieces = b"") -> bytes:
    """One call, and its answer's body to the end."""
    answer = await upstream.send(sent, body, Granted(), ignore)
    return await drain(answer.body)


async def refusal(upstream: HttpUpstream, sent: Outbound, body: bytes | Pieces = b"") -> Refusal:
    """The refusal of one call, whether it comes with the head or in the body."""
    with pytest.raises(Refusal) as refused:
        await call(upstream, sent, body)
    return refused.value


# What leaves.


@pytest.mark.parametrize(
    ("method", "body", "framing"),
    [
        ("GET", b"", b""),
        ("HEAD", b"", b""),
        ("DELETE", b"", b""),
        ("OPTIONS", b"", b""),
        ("POST", b"", b"Content-Length: 0\r\n"),
        ("PUT", b"", b"Content-Length: 0\r\n"),
        ("PATCH", b"hi", b"Content-Length: 2\r\n"),
        ("GET", b"hi", b"Content-Length: 2\r\n"),
    ],
)
async def test_a_request_is_written_to_the_byte(method: str, body: bytes, framing: bytes) -> None:
    heard = asyncio.get_running_loop().create_future()

    async def play(line: Line) -> None:
        heard.set_result(await line.request())
        await line.say(H + b"Content-Length: 0\r\n\r\n")

    async with facing(play) as (upstream, it):
        await upstream.send(request(it.port, method), body, Granted(), ignore)
        fields = b"Host: crm.test\r\nVia: 1.1 agent-sidecar\r\n"
        assert (
            await heard
            == method.encode() + b" /deals/42?x=%2F HTTP/1.1\r\n" + fields + framing + b"\r\n" + body
        )


async def test_a_small_request_arrives_in_one_segment() -> None:
    sizes: list[int] = []

    async def play(line: Line) -> None:
        sizes.append(len(await line.reader.read(1 << 20)))
        await line.say(OK)

    async with facing(play) as (upstream, it):
        await upstream.send(request(it.port), b"x" * 500, Granted(), ignore)
        assert sizes[0] > 500


@pytest.mark.parametrize("field", [(b"X", b"a\nb"), (b"X\n", b"a"), (b"X", b"a\r\nHost: evil")])
async def test_a_line_break_in_a_field_never_leaves(field: tuple[bytes, bytes]) -> None:
    async with facing(says(OK)) as (upstream, it):
        refused = await refusal(upstream, request(it.port, headers=[(b"Host", b"crm.test"), field]))
        assert (refused.code, refused.outcome) == ("bad-request", "not_sent")


async def test_a_streamed_body_with_a_length_is_sent_as_it_comes() -> None:
    async with facing(says(OK)) as (upstream, it):
        answer = await upstream.send(request(it.port), Pieces([b"ab", b"c"], length=3), Granted(), ignore)
        assert answer.body.whole == b"hi"
        assert repr(upstream) == "<HttpUpstream <Pool 0 busy, 1 idle>>"


async def test_a_streamed_body_without_a_length_is_sent_in_chunks_with_its_trailers() -> None:
    heard = asyncio.get_running_loop().create_future()

    async def play(line: Line) -> None:
        head = await line.request()
        heard.set_result((head, await line.reader.readuntil(b"0\r\nX-Sum: 7\r\n\r\n")))
        await line.say(OK)

    trailers = [(b"X-Sum", b"7"), (b"Content-Length", b"9"), (b"Host", b"evil"), (b"X-Agent-Run", b"r1")]
    async with facing(play) as (upstream, it):
        await upstream.send(
            request(it.port), Pieces([b"ab", b"c" * 16], trailers=trailers), Granted(), ignore
        )
        head, body = await heard
        assert b"\r\nTransfer-Encoding: chunked\r\n" in head
        assert body == b"2\r\nab\r\n10\r\n" + b"c" * 16 + b"\r\n0\r\nX-Sum: 7\r\n\r\n"


@pytest.mark.parametrize("pieces", [[b"ab"], [b"ab", b"cd"]])
async def test_a_body_that_is_not_as_long_as_it_said_drops_the_connection(pieces: list[bytes]) -> None:
    async def play(line: Line) -> None:
        await line.gone()

    async with facing(play) as (upstream, it):
        refused = await refusal(upstream, request(it.port), Pieces(pieces, length=3))
        assert (refused.code, refused.outcome) == ("bad-request", "unknown")
        assert repr(upstream) == "<HttpUpstream <Pool 0 busy, 0 idle>>"


async def test_a_body_that_is_all_here_leaves_in_one_piece_unless_trailers_follow_it() -> None:
    heard: list[bytes] = []

    async def play(line: Line) -> None:
        for end in (b"hi", b"hi\r\n0\r\nX-Sum: 7\r\n\r\n"):
            heard.append(await line.reader.readuntil(b"\r\n\r\n"))
            await line.reader.readuntil(end)
            await line.say(OK)

    async with facing(play) as (upstream, it):
        for trailers in ([], [(b"X-Sum", b"7")]):
            body = Body(Deaf(), None)
            body.feed(b"hi")
            body.end(trailers)
            await upstream.send(request(it.port), body, Granted(), ignore)
        assert b"Content-Length: 2" in heard[0]
        assert b"Transfer-Encoding: chunked" in heard[1]


class Deaf:
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


async def test_a_body_that_breaks_off_is_told_and_drops_the_connection() -> None:
    class Broken(Pieces):
        async def read(self) -> bytes:
            if self.reads:
                raise Refusal("bad-request", "The agent hung up.")
            return await super().read()

    dropped = asyncio.Event()

    async def play(line: Line) -> None:
        await line.gone()
        dropped.set()

    async with facing(play) as (upstream, it):
        assert (await refusal(upstream, request(it.port), Broken([b"ab"]))).detail == "The agent hung up."
        await dropped.wait()


# The lease.


async def test_the_lease_is_asked_right_before_the_first_byte_and_again_before_a_retry() -> None:
    lease = Granted()
    async with facing(says(OK, OK)) as (upstream, it):
        await upstream.send(request(it.port), b"", lease, ignore)
        assert lease.asked == 1


@pytest.mark.parametrize("body", [b"abc", Pieces([b"abc"], length=3)])
async def test_without_a_lease_nothing_leaves_and_the_connection_stays_good(body: object) -> None:
    heard: list[bytes] = []

    async def play(line: Line) -> None:
        heard.append(await line.request())
        await line.say(OK)

    async with facing(play) as (upstream, it):
        with pytest.raises(Refusal) as refused:
            await upstream.send(request(it.port), body, Lapsed(), ignore)  # type: ignore[arg-type] - duck-typed
        assert refused.value.code == "store-unavailable"
        await upstream.send(request(it.port), b"after", Granted(), ignore)
        assert it.connections == 1
        assert len(heard) == 1
        assert heard[0].endswith(b"after")


# What comes back.


async def test_a_small_answer_is_whole_when_the_caller_wakes() -> None:
    async with facing(says(OK)) as (upstream, it):
        answer = await upstream.send(request(it.port), b"", Granted(), ignore)
        assert (answer.status, answer.reason, answer.body.whole) == (200, b"OK", b"hi")
        assert list(answer.headers.raw) == [(b"Content-Length", b"2")]


async def test_an_answer_is_there_as_soon_as_its_head_is() -> None:
    go_on = asyncio.Event()

    async def play(line: Line) -> None:
        await line.request()
        await line.say(H + b"Content-Length: 4\r\n\r\n")
        await go_on.wait()
        await line.say(b"body")
        await line.gone()

    async with facing(play) as (upstream, it):
        answer = await upstream.send(request(it.port), b"", Granted(), ignore)
        assert answer.body.whole is None
        go_on.set()
        assert await drain(answer.body) == b"body"
        assert repr(upstream) == "<HttpUpstream <Pool 0 busy, 1 idle>>"


async def test_interim_answers_are_passed_on_except_100() -> None:
    told: list[tuple[int, bytes | None]] = []

    def inform(status: int, headers: Headers) -> None:
        told.append((status, headers.get(b"link")))

    async with facing(
        says(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 102 P\r\n\r\n" + OK)
    ) as (upstream, it):
        answer = await upstream.send(request(it.port), b"", Granted(), inform)
        assert answer.body.whole == b"hi"
        assert told == [(103, b"a"), (102, None)]


async def test_a_close_delimited_body_ends_at_a_clean_close() -> None:
    async with facing(says_and_closes(H + b"\r\nuntil the end")) as (upstream, it):
        answer = await upstream.send(request(it.port), b"", Granted(), ignore)
        assert await drain(answer.body) == b"until the end"
        assert repr(upstream) == "<HttpUpstream <Pool 0 busy, 0 idle>>"


async def test_a_close_delimited_body_that_is_reset_breaks_off() -> None:
    reset = asyncio.Event()

    async def play(line: Line) -> None:
        await line.request()
        await line.say(H + b"\r\nuntil the")
        await reset.wait()
        line.reset()

    async with facing(play) as (upstream, it):
        answer = await upstream.send(request(it.port), b"", Granted(), ignore)
        assert await answer.body.read() == b"until the"
        reset.set()
        with pytest.raises(Refusal) as refused:
            await answer.body.read()
        assert (refused.value.code, refused.value.outcome) == ("upstream-failed", "unknown")


# What goes wrong.


@pytest.mark.parametrize("how", [says_and_closes, says_and_resets])
@pytest.mark.parametrize(
    ("said", "where"),
    [
        (b"", "before an answer came"),
        (b"H", "in the middle of the answer's head"),
        (H + b"Content-Le", "in the middle of the answer's head"),
        (b"HTTP/1.1 103 Hints\r\n\r\n", "in the middle of the answer's head"),
        (H + b"Content-Length: 5\r\n\r\n", "in the middle of the answer's body"),
        (H + b"Content-Length: 5\r\n\r\nhel", "in the middle of the answer's body"),
        (H + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", "in the middle of the answer's body"),
        (H + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", "in the middle of the answer's body"),
    ],
)
async def test_an_upstream_that_breaks_off_leaves_the_outcome_unknown(
    how: object, said: bytes, where: str
) -> None:
    async with facing(how(said)) as (upstream, it):  # type: ignore[operator] - one of two plays
        refused = await refusal(upstream, request(it.port), b"x")
        assert (refused.code, refused.outcome, refused.retryable) == ("upstream-failed", "unknown", False)
        if how is says_and_closes:  # a reset may overtake what was said before it
            assert where in refused.detail
        assert "may have taken effect" in refused.detail
        assert "x=%2F" not in refused.detail
        assert it.connections == 1
        assert repr(upstream) == "<HttpUpstream <Pool 0 busy, 0 idle>>"


@pytest.mark.parametrize(
    "said", [b"garbage", H + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", b"HTTP/2.0 200 OK\r\n\r\n"]
)
async def test_what_is_no_answer_is_a_failure_and_drops_the_connection(said: bytes) -> None:
    async with facing(says(said)) as (upstream, it):
        refused = await refusal(upstream, request(it.port), b"x")
        assert (refused.code, refused.outcome) == ("upstream-failed", "unknown")
        assert "127.0.0.1 broke off: it sent" in refused.detail
        assert repr(upstream) == "<HttpUpstream <Pool 0 busy, 0 idle>>"


async def test_garbage_inside_a_body_fails_the_reader_of_the_body() -> None:
    go_on = asyncio.Event()

    async def play(line: Line) -> None:
        await line.request()
        await line.say(H + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
        await go_on.wait()
        await line.say(b"zz\r\n")
        await line.gone()

    async with facing(play) as (upstream, it):
        answer = await upstream.send(request(it.port), b"", Granted(), ignore)
        assert await answer.body.read() == b"hi"
        go_on.set()
        with pytest.raises(Refusal) as refused:
            await answer.body.read()
        assert refused.value.code == "upstream-failed"


async def test_a_call_that_only_reads_says_that_it_may_be_sent_again() -> None:
    async with facing(says_and_closes(H)) as (upstream, it):
        refused = await refusal(upstream, request(it.port, "GET"))
        assert refused.retryable
        assert "only reads" in refused.detail


@pytest.mark.parametrize("said", [b"", H + b"Content-Length: 5\r\n\r\nhel"])
async def test_an_upstream_that_takes_too_long_leaves_the_outcome_unknown(said: bytes) -> None:
    async with facing(says(said)) as (upstream, it):
        loop = asyncio.get_running_loop()
        began = loop.time()
        refused = await refusal(upstream, request(it.port, timeout_ms=150), b"x")
        assert 0.15 <= loop.time() - began < 0.15 + 5 * SWEEP_S
        assert (refused.code, refused.outcome, refused.status) == ("upstream-timeout", "unknown", 504)
        assert "150 ms" in refused.detail
        assert repr(upstream) == "<HttpUpstream <Pool 0 busy, 0 idle>>"


async def test_a_refused_connection_is_unreachable_and_not_sent() -> None:
    async with facing(says(OK)) as (upstream, it):
        port = it.port
    lease = Granted()
    upstream = HttpUpstream(LOOPBACK)
    with pytest.raises(Refusal) as refused:
        await upstream.send(request(port), b"x", lease, ignore)
    assert (refused.value.code, refused.value.outcome) == ("upstream-unreachable", "not_sent")
    assert "refused" in refused.value.detail
    assert lease.asked == 0


async def test_an_upstream_that_hangs_up_at_once_is_no_mystery_when_nothing_was_written() -> None:
    """Either it is noticed before the request leaves, or it is unknown; never lost, never a hang."""

    async def play(line: Line) -> None:
        line.reset()

    async with facing(play) as (upstream, it):
        refused = await refusal(upstream, request(it.port), b"x")
        assert (refused.code, refused.outcome) in {
            ("upstream-unreachable", "not_sent"),
            ("upstream-failed", "unknown"),
        }


async def test_a_connection_that_is_gone_before_it_is_written_to_is_not_sent() -> None:
    class Late(Dialer):
        async def dial(self, *where: Any, **how: Any) -> Any:
            channel = await super().dial(*where, **how)
            await until(lambda: not channel.usable)
            return channel

    async def play(line: Line) -> None:
        await line.say(b"220 mail.test ESMTP\r\n")
        await line.gone()

    async with facing(play) as (upstream, it):
        upstream._dialer = Late(upstream._resolver)
        refused = await refusal(upstream, request(it.port), b"x")
        assert (refused.code, refused.outcome) == ("upstream-unreachable", "not_sent")


async def test_a_destination_that_is_not_allowed_is_never_connected_to() -> None:
    async with stage(says(OK)) as it:
        upstream = HttpUpstream(LOOPBACK)
        for host in ("127.0.0.2", "[::1]", "0x7f000002"):
            assert (await refusal(upstream, request(it.port, host=host))).code == "egress-denied"
        upstream.close()
        assert it.connections == 0


async def test_stopping_fails_what_is_in_flight() -> None:
    async with facing(says(b"")) as (upstream, it):
        pending = spawn(refusal(upstream, request(it.port), b"x"), "a caller")
        await until(lambda: it.connections > 0)
        upstream.close()
        assert "the sidecar stopped" in (await pending).detail


# Reuse.


async def test_a_connection_carries_one_call_after_the_other() -> None:
    async with facing(says(OK, OK, OK)) as (upstream, it):
        for _ in range(3):
            assert (await upstream.send(request(it.port), b"x", Granted(), ignore)).body.whole == b"hi"
        assert it.connections == 1


async def test_concurrent_calls_have_connections_of_their_own() -> None:
    async with facing(says(OK)) as (upstream, it):
        await asyncio.gather(*(upstream.send(request(it.port), b"x", Granted(), ignore) for _ in range(5)))
        assert it.connections == 5
        assert repr(upstream) == "<HttpUpstream <Pool 0 busy, 5 idle>>"


@pytest.mark.parametrize(
    "answer",
    [
        H + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
        OK + b"garbage",
        OK + OK,
    ],
)
async def test_a_connection_that_is_not_clean_is_never_used_again(answer: bytes) -> None:
    async with facing(says(answer), says(OK)) as (upstream, it):
        for _ in range(2):
            assert (await upstream.send(request(it.port), b"x", Granted(), ignore)).body.whole == b"hi"
        assert it.connections == 2


async def test_bytes_on_an_idle_connection_close_it() -> None:
    spoken = asyncio.Event()

    async def play(line: Line) -> None:
        await line.request()
        await line.say(OK)
        await spoken.wait()
        await line.say(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        await line.gone()

    async with facing(play) as (upstream, it):
        await upstream.send(request(it.port), b"x", Granted(), ignore)
        spoken.set()
        await until(lambda: repr(upstream) == "<HttpUpstream <Pool 0 busy, 0 idle>>")


async def test_an_idle_connection_that_the_upstream_closes_is_noticed_at_once() -> None:
    async with facing(says_and_closes(OK), says(OK)) as (upstream, it):
        await upstream.send(request(it.port), b"x", Granted(), ignore)
        await until(lambda: repr(upstream) == "<HttpUpstream <Pool 0 busy, 0 idle>>")
        assert (await upstream.send(request(it.port), b"x", Granted(), ignore)).body.whole == b"hi"


def answers_then_drops_the_next() -> Play:
    """A keep-alive connection given up exactly when the next request is on its way."""

    async def play(line: Line) -> None:
        await line.request()
        await line.say(OK)
        await line.request()
        line.reset()

    return play


async def test_a_read_that_meets_a_stale_connection_is_sent_once_more() -> None:
    lease = Granted()
    async with facing(answers_then_drops_the_next(), says(OK)) as (upstream, it):
        await upstream.send(request(it.port, "GET"), b"", lease, ignore)
        assert (await upstream.send(request(it.port, "GET"), b"", lease, ignore)).body.whole == b"hi"
        assert it.connections == 2
        assert lease.asked == 3


async def test_a_write_that_meets_a_stale_connection_is_unknown_and_never_sent_again() -> None:
    async with facing(answers_then_drops_the_next(), says(OK)) as (upstream, it):
        await upstream.send(request(it.port), b"x", Granted(), ignore)
        refused = await refusal(upstream, request(it.port), b"x")
        assert (refused.code, refused.outcome) == ("upstream-failed", "unknown")
        assert it.connections == 1


async def test_a_read_on_a_new_connection_is_not_sent_again() -> None:
    async with facing(says_and_resets(b""), says(OK)) as (upstream, it):
        assert (await refusal(upstream, request(it.port, "GET"))).outcome == "unknown"
        assert it.connections == 1


async def test_a_read_whose_answer_had_begun_is_not_sent_again() -> None:
    async def play(line: Line) -> None:
        await line.request()
        await line.say(OK)
        await line.request()
        await line.say(b"HTTP/1.1 2")

    async with facing(play, says(OK)) as (upstream, it):
        await upstream.send(request(it.port, "GET"), b"", Granted(), ignore)
        assert (await refusal(upstream, request(it.port, "GET"))).outcome == "unknown"
        assert it.connections == 1


# Leaving.


async def test_a_cancelled_call_drops_its_connection() -> None:
    async with facing(says(b"")) as (upstream, it):
        pending = spawn(upstream.send(request(it.port), b"x", Granted(), ignore), "a caller")
        await until(lambda: "1 busy" in repr(upstream))
        pending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pending
        assert repr(upstream) == "<HttpUpstream <Pool 0 busy, 0 idle>>"


async def test_an_abandoned_answer_drops_its_connection_and_only_its_own() -> None:
    async with facing(says(H + b"Content-Length: 9\r\n\r\nhi"), says(OK, OK)) as (upstream, it):
        half = await upstream.send(request(it.port), b"x", Granted(), ignore)
        whole = await upstream.send(request(it.port), b"x", Granted(), ignore)
        whole.abandon()
        assert repr(upstream) == "<HttpUpstream <Pool 1 busy, 1 idle>>"
        half.abandon()
        assert repr(upstream) == "<HttpUpstream <Pool 0 busy, 1 idle>>"


# Early answers.


@pytest.mark.parametrize("length", [None, 1 << 30])
async def test_an_early_refusal_stops_the_upload(length: int | None) -> None:
    async def play(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        await line.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nless")
        await line.gone()

    class Endless(Pieces):
        async def read(self) -> bytes:
            await asyncio.sleep(0)
            return b"x" * 1024

    async with facing(play) as (upstream, it):
        answer = await upstream.send(request(it.port), Endless([], length=length), Granted(), ignore)
        assert answer.status == 413
        assert await drain(answer.body) == b"less"
        assert repr(upstream) == "<HttpUpstream <Pool 0 busy, 0 idle>>"


async def test_an_early_refusal_stops_the_upload_at_once_not_only_when_it_is_complete() -> None:
    go_on = asyncio.Event()

    async def play(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        await line.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\n")
        await go_on.wait()
        await line.say(b"less")
        await line.gone()

    class Slow(Pieces):
        async def read(self) -> bytes:
            self.reads += 1
            await asyncio.sleep(0.001)
            return b"x"

    body = Slow([])
    async with facing(play) as (upstream, it):
        answer = await upstream.send(request(it.port), body, Granted(), ignore)
        reads = body.reads
        await asyncio.sleep(0.02)
        assert body.reads == reads
        go_on.set()
        assert await drain(answer.body) == b"less"


async def test_an_early_answer_reaches_a_caller_whose_body_is_stuck() -> None:
    class Stuck(Pieces):
        async def read(self) -> bytes:
            await asyncio.Event().wait()
            return b""

    async with facing(says(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")) as (upstream, it):
        answer = await upstream.send(request(it.port), Stuck([]), Granted(), ignore)
        assert answer.status == 401
        assert repr(upstream) == "<HttpUpstream <Pool 0 busy, 0 idle>>"


async def test_a_success_that_begins_early_still_gets_the_rest_of_the_upload() -> None:
    async def echo(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        await line.say(H + b"Content-Length: 6\r\n\r\n")
        for _ in range(3):
            await line.say(await line.reader.readexactly(2))
        await line.gone()

    async with facing(echo) as (upstream, it):
        body = Pieces([b"ab", b"cd", b"ef"], length=6)
        answer = await upstream.send(request(it.port), body, Granted(), ignore)
        assert await drain(answer.body) == b"abcdef"


# Raw connections.

UPGRADE = [(b"Host", b"crm.test"), (b"Connection", b"Upgrade"), (b"Upgrade", b"chat")]
SWITCH = b"HTTP/1.1 101 Switching\r\nUpgrade: chat\r\nConnection: Upgrade\r\n\r\n"


class Listening(asyncio.Protocol):
    def __init__(self) -> None:
        self.heard = asyncio.Queue[bytes]()
        self.lost = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.heard.put_nowait(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


async def test_a_switched_connection_is_handed_over_with_what_came_early() -> None:
    async def play(line: Line) -> None:
        await line.request()
        await line.say(SWITCH + b"early")
        assert await line.reader.readexactly(4) == b"ping"
        await line.say(b"pong")
        await line.gone()

    async with facing(play) as (upstream, it):
        answer = await upstream.send(request(it.port, "GET", headers=UPGRADE), b"", Granted(), ignore)
        assert answer.status == 101
        assert answer.upgraded is not None
        listening = Listening()
        taken = answer.upgraded.take(listening)
        assert taken is not None
        transport, early = taken
        assert early == b"early"
        transport.resume_reading()
        transport.write(b"ping")
        assert await listening.heard.get() == b"pong"
        assert repr(upstream) == "<HttpUpstream <Pool 0 busy, 0 idle>>"
        transport.close()
        await listening.lost.wait()


async def test_a_switch_that_nobody_wants_is_dropped() -> None:
    dropped = asyncio.Event()

    async def play(line: Line) -> None:
        await line.request()
        await line.say(SWITCH)
        await line.gone()
        dropped.set()

    async with facing(play) as (upstream, it):
        (await upstream.send(request(it.port, "GET", headers=UPGRADE), b"", Granted(), ignore)).abandon()
        await dropped.wait()


async def test_a_blind_tunnel_reaches_the_upstream_under_the_same_policy() -> None:
    async def play(line: Line) -> None:
        await line.say(b"hello")
        assert await line.reader.readexactly(4) == b"ping"
        await line.say(b"pong")
        await line.gone()

    async with facing(play) as (upstream, it):
        held = await upstream.connect("127.0.0.1", it.port, 1000)
        listening = Listening()
        taken = held.take(listening)
        assert taken is not None
        transport, early = taken
        transport.resume_reading()
        if early != b"hello":
            assert await listening.heard.get() == b"hello"
        transport.write(b"ping")
        assert await listening.heard.get() == b"pong"
        transport.close()
        with pytest.raises(Refusal) as refused:
            await upstream.connect("127.0.0.2", it.port, 1000)
        assert refused.value.code == "egress-denied"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    said=st.lists(
        st.sampled_from(
            [
                OK,
                H,
                b"\r\n",
                b"Content-Length: 3\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"HTTP/1.1 100 C\r\n\r\n",
            ]
        )
        | st.binary(min_size=1, max_size=12),
        max_size=5,
    ),
    reset=st.booleans(),
)
def test_whatever_an_upstream_does_is_an_answer_or_a_refusal(said: list[bytes], reset: bool) -> None:
    async def play(line: Line) -> None:
        await line.request()
        for piece in said:
            await line.say(piece)
            await asyncio.sleep(0)
        if reset:
            line.reset()

    async def attempt() -> None:
        async with facing(play) as (upstream, it):
            with contextlib.suppress(Refusal):
                await call(upstream, request(it.port), b"x")
            assert " 0 busy" in repr(upstream)

    for run in (asyncio.run, uvloop.run):
        run(attempt())
