import asyncio
import contextlib

import pytest

from sidecar.core.call import AgentGone, Answer, Headers
from sidecar.core.refusal import Refusal
from sidecar.wire.body import HIGH
from sidecar.wire.connection import HALF_CLOSE_S
from sidecar.wire.exchange import Exchange
from sidecar.wire.response import LiveAnswer
from tests.wire.agents import PATIENCE_S, Agent, agent, arriving, parsed, port, problem

GET = b"GET http://crm.test/a HTTP/1.1\r\nHost: crm.test\r\n\r\n"
HEAD = b"HEAD http://crm.test/a HTTP/1.1\r\nHost: crm.test\r\n\r\n"
OLD = b"GET http://crm.test/a HTTP/1.0\r\n\r\n"
VERDICT = b"executed; call=c-1; wait=0"
KEEP = 1000


class Relayed:
    """A handler that relays one answer, and waits before it finishes until the test says so."""

    def __init__(self, answer: LiveAnswer, keep: int = KEEP, finish: bool = True) -> None:
        self.answer = answer
        self.keep = keep
        self.drains = finish
        self.go = asyncio.Event()
        self.done = asyncio.Event()
        self.kept: bytes | None = None
        self.error: BaseException | None = None

    async def __call__(self, exchange: Exchange) -> None:
        exchange.waiting = False
        try:
            self.kept = await exchange.relay(self.answer, VERDICT, self.keep, self.drains)
        except (AgentGone, Refusal) as error:
            self.error = error
            if isinstance(error, Refusal):
                exchange.reply(error.as_answer("c-1", ""))
            return
        finally:
            self.done.set()
        await self.go.wait()
        exchange.finish()

    async def relayed(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self.done.wait()


async def silence(it: Agent) -> None:
    """Nothing more is said, as far as anybody can tell by waiting a little."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            raise AssertionError(await it.reader.readexactly(1))


async def test_a_whole_answer_is_held_back_whole() -> None:
    answer, _ = arriving(5, fields=[(b"X-A", b"b"), (b"Connection", b"close")], pieces=[b"hello"])
    answer.body.end()
    handler = Relayed(answer)
    async with port(handler) as listener, agent(listener) as it:
        await it.say(GET)
        await handler.relayed()
        assert handler.kept == b"hello"
        await silence(it)
        handler.go.set()
        assert await it.until(b"hello") == (
            b"HTTP/1.1 200 OK\r\nX-A: b\r\nVia: 1.1 agent-sidecar\r\nSidecar-Verdict: executed; call=c-1; wait=0\r\n"
            b"Content-Length: 5\r\n\r\nhello"
        )


async def test_the_last_piece_of_a_known_length_is_held_back() -> None:
    answer, _ = arriving(10, pieces=[b"hello"])
    handler = Relayed(answer)
    async with port(handler) as listener, agent(listener) as it:
        await it.say(GET)
        head = await it.until(b"\r\n\r\n")
        assert parsed(head)[1]["content-length"] == "10"
        assert await it.exactly(5) == b"hello"
        answer.body.feed(b"world")
        answer.body.end()
        await handler.relayed()
        assert handler.kept == b"helloworld"
        await silence(it)
        handler.go.set()
        assert await it.exactly(5) == b"world"
        await it.say(GET)  # the connection is kept


async def test_chunks_pass_at_once_and_only_their_end_is_held_back() -> None:
    answer, _ = arriving(None)
    handler = Relayed(answer)
    async with port(handler) as listener, agent(listener) as it:
        await it.say(GET)
        assert parsed(await it.until(b"\r\n\r\n"))[1]["transfer-encoding"] == "chunked"
        for piece in (b"hello", b"sixteen bytes..."):
            answer.body.feed(piece)
            chunk = b"%x\r\n%b\r\n" % (len(piece), piece)
            assert await it.exactly(len(chunk)) == chunk
        answer.body.end([(b"X-Sum", b"7"), (b"Content-Length", b"9")])
        await handler.relayed()
        await silence(it)
        handler.go.set()
        assert await it.until(b"\r\n\r\n") == b"0\r\nX-Sum: 7\r\n\r\n"


async def test_a_whole_answer_with_trailers_keeps_them() -> None:
    answer, _ = arriving(None, pieces=[b"hello"])
    answer.body.end([(b"X-Sum", b"7")])
    handler = Relayed(answer)
    handler.go.set()
    async with port(handler) as listener, agent(listener) as it:
        await it.say(GET)
        await it.until(b"\r\n\r\n")
        assert await it.until(b"7\r\n\r\n") == b"5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n"


async def test_to_http_1_0_the_close_is_the_end_and_is_held_back() -> None:
    answer, _ = arriving(None, pieces=[b"hello"])
    handler = Relayed(answer)
    async with port(handler) as listener, agent(listener) as it:
        await it.say(OLD)
        fields = parsed(await it.until(b"\r\n\r\n"))[1]
        assert "transfer-encoding" not in fields
        assert fields["connection"] == "close"
        assert await it.exactly(5) == b"hello"
        answer.body.end()
        await handler.relayed()
        await silence(it)
        handler.go.set()
        assert await it.rest() == b""


@pytest.mark.parametrize(
    ("request_", "status", "length"), [(HEAD, 200, "1024"), (GET, 304, "1024"), (GET, 204, None)]
)
async def test_an_answer_without_a_body_keeps_the_length_that_it_speaks_of(
    request_: bytes, status: int, length: str | None
) -> None:
    fields = [(b"Content-Length", length.encode())] if length else []
    answer, _ = arriving(None, status, fields)
    answer.body.end()
    handler = Relayed(answer)
    handler.go.set()
    async with port(handler) as listener, agent(listener) as it:
        await it.say(request_, request_)
        for _ in range(2):  # the second is read as a reply of its own only if the first had no body
            said, got = parsed(await it.until(b"\r\n\r\n"))
            assert (said, got.get("content-length")) == (status, length)
            assert "transfer-encoding" not in got
        assert handler.kept == b""


async def test_what_an_upstream_says_of_us_or_of_its_connection_is_not_passed_on() -> None:
    fields = [
        (b"Sidecar-Verdict", b"replayed"),
        (b"Keep-Alive", b"5"),
        (b"Connection", b"x-hop"),
        (b"X-Hop", b"1"),
    ]
    answer, _ = arriving(0, fields=fields)
    answer.body.end()
    handler = Relayed(answer)
    handler.go.set()
    async with port(handler) as listener, agent(listener) as it:
        await it.say(GET)
        _, got = parsed(await it.until(b"\r\n\r\n"))
    assert got == {"via": "1.1 agent-sidecar", "sidecar-verdict": VERDICT.decode(), "content-length": "0"}


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    ("size", "kind", "kept"),
    [
        (KEEP, b"application/json", True),
        (KEEP + 1, b"application/json", False),
        (5, b"Text/Event-Stream; a=b", False),
    ],
)
async def test_only_what_is_small_and_no_stream_is_kept(
    whole: bool, size: int, kind: bytes, kept: bool
) -> None:
    answer, _ = arriving(None, fields=[(b"Content-Type", kind)], pieces=[b"x" * size])
    if whole:
        answer.body.end()
    handler = Relayed(answer)
    handler.go.set()
    async with port(handler) as listener, agent(listener) as it:
        await it.say(GET)
        await it.until(b"xxxxx")
        answer.body.end()
        await handler.relayed()
        assert handler.kept == (b"x" * size if kept else None)


async def test_an_agent_that_is_gone_does_not_stop_an_answer_that_must_be_finished() -> None:
    answer, far = arriving(None, pieces=[b"hello"])
    handler = Relayed(answer)
    async with port(handler) as listener, agent(listener) as it:
        await it.say(GET)
        await it.until(b"hello\r\n")
        it.reset()
        await asyncio.sleep(HALF_CLOSE_S)
        for _ in range(3):
            answer.body.feed(b"more")
            await asyncio.sleep(0)
        answer.body.end()
        await handler.relayed()
        assert handler.kept == b"hellomoremoremore"
        assert not far.aborted.is_set()
        handler.go.set()


async def test_an_agent_that_is_gone_drops_a_stream_that_nobody_needs() -> None:
    answer, far = arriving(None, pieces=[b"hello"])
    handler = Relayed(answer, finish=False)
    async with port(handler) as listener, agent(listener) as it:
        await it.say(GET)
        await it.until(b"hello\r\n")
        it.reset()
        async with asyncio.timeout(PATIENCE_S):
            await far.aborted.wait()
        await handler.relayed()
        assert isinstance(handler.error, AgentGone)


async def test_an_answer_that_breaks_off_breaks_the_reply_off_without_an_end() -> None:
    answer, _ = arriving(None, pieces=[b"hello"])
    handler = Relayed(answer)
    async with port(handler) as listener, agent(listener) as it:
        await it.say(GET)
        await it.until(b"hello\r\n")
        answer.body.fail(Refusal("upstream-failed", "It broke off."))
        with contextlib.suppress(ConnectionError):
            assert await it.rest() == b""


async def test_a_refusal_may_still_replace_an_answer_that_was_held_back() -> None:
    answer, _ = arriving(5, pieces=[b"hello"])
    answer.body.end()

    async def changes_its_mind(exchange: Exchange) -> None:
        await exchange.relay(answer, VERDICT, KEEP, True)
        exchange.reply(Refusal("internal", "No.").as_answer("c-1", ""))
        exchange.finish()

    async with port(changes_its_mind) as listener, agent(listener) as it:
        await it.say(GET)
        assert (await it.reply())[0] == 500


async def test_a_slow_agent_does_not_hold_up_an_answer_that_is_kept() -> None:
    piece, pieces = b"x" * (1 << 20), 16
    answer, _ = arriving(None)
    handler = Relayed(answer, keep=len(piece) * pieces)
    async with port(handler) as listener, agent(listener) as it:
        it.reader._transport.pause_reading()  # type: ignore[attr-defined] - there is no public way to read slowly
        await it.say(GET)
        for _ in range(pieces):
            answer.body.feed(piece)
            await asyncio.sleep(0)
        answer.body.end()
        await handler.relayed()
        assert handler.kept == piece * pieces
        handler.go.set()


async def test_past_what_is_kept_the_agents_pace_is_the_upstreams() -> None:
    answer, far = arriving(None)
    handler = Relayed(answer, keep=0)
    async with port(handler) as listener, agent(listener) as it:
        it.reader._transport.pause_reading()  # type: ignore[attr-defined] - there is no public way to read slowly
        await it.say(GET)
        fed = 0
        while not far.paused:
            answer.body.feed(b"x" * 65536)
            fed += 1
            assert fed < 1000, "64 MB went nowhere"
            await asyncio.sleep(0)
        assert fed * 65536 > HIGH
        it.reader._transport.resume_reading()  # type: ignore[attr-defined] - as above
        answer.body.end()
        handler.go.set()
        assert await drained(it) > fed * 65536


async def drained(it: Agent) -> int:
    """Bytes up to and including the last chunk."""
    seen, tail = 0, b""
    async with asyncio.timeout(PATIENCE_S):
        while not tail.endswith(b"0\r\n\r\n"):
            piece = await it.reader.read(1 << 20)
            seen += len(piece)
            tail = (tail + piece)[-5:]
    return seen


async def test_interim_answers_pass_but_not_to_http_1_0_and_not_after_the_reply() -> None:
    async def informs(exchange: Exchange) -> None:
        exchange.inform(103, Headers([(b"Link", b"</a>"), (b"Connection", b"close")]))
        exchange.reply(Answer(200, [], b"x"))
        exchange.inform(103, Headers([]))

    async with port(informs) as listener:
        async with agent(listener) as it:
            await it.say(GET)
            assert await it.until(b"\r\n\r\n") == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
            assert (await it.reply())[2] == b"x"
        async with agent(listener) as it:
            await it.say(OLD)
            assert (await it.rest()).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_stored_answer_is_framed_anew() -> None:
    stored = Answer(
        201,
        [(b"Content-Type", b"a/b"), (b"Content-Length", b"99"), (b"Transfer-Encoding", b"chunked")],
        b"abc",
    )

    async def replay(exchange: Exchange) -> None:
        exchange.reply(stored)

    async with port(replay) as listener, agent(listener) as it:
        await it.say(GET)
        assert await it.reply() == (201, {"content-type": "a/b", "content-length": "3"}, b"abc")
        await it.say(HEAD)
        assert parsed(await it.until(b"\r\n\r\n"))[1]["content-length"] == "99"


@pytest.mark.parametrize("status", [204, 304])
async def test_a_stored_answer_without_a_body_has_no_length(status: int) -> None:
    async def replay(exchange: Exchange) -> None:
        exchange.reply(Answer(status, [], b""))

    async with port(replay) as listener, agent(listener) as it:
        await it.say(GET)
        assert parsed(await it.until(b"\r\n\r\n")) == (status, {})


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"Content-Length: 11", b"x" * 11),
        (b"Transfer-Encoding: chunked", b"b\r\n" + b"x" * 11 + b"\r\n0\r\n\r\n"),
        (b"Content-Length: 9999999", b""),
    ],
)
async def test_a_body_over_the_limit_is_refused(framing: bytes, body: bytes) -> None:
    async def handle(exchange: Exchange) -> None:
        with pytest.raises(Refusal) as caught:
            await exchange.read(10)
        exchange.reply(caught.value.as_answer("c-1", ""))

    async with port(handle) as listener, agent(listener) as it:
        request = b"POST http://crm.test/ HTTP/1.1\r\nHost: crm.test\r\nConnection: close\r\n"
        await it.say(request + framing + b"\r\n\r\n" + body)
        it.finish()
        assert problem(await it.rest())["code"] == "body-too-large"
