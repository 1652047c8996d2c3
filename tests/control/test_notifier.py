"""A question reaches the webhook: signed, again until it arrived, and nothing secret is said about it."""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from sidecar.control.notifier import Notifier, signature
from sidecar.core.config import Webhook
from tests.control.conftest import Questions
from tests.control.test_approvals import ITEM

SECRET = "whsec-0123456789"


@dataclass
class Chat:
    """A receiver, and what it answers with."""

    statuses: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def receive(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        status = self.statuses.pop(0) if self.statuses else 204
        return web.Response(status=status, headers={"Location": self.url} if status == 302 else None)


@pytest.fixture
async def chat() -> AsyncIterator[Chat]:
    it = Chat()
    app = web.Application()
    app.router.add_post("/hook/t0ken", it.receive)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    it.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook/t0ken"
    yield it
    await runner.cleanup()


async def told(chat_url: str, questions: Questions, reports: int) -> list[tuple[str, int]]:
    """What a notifier reports of the questions."""
    notifier = Notifier(questions, Webhook(chat_url, SECRET))
    notifier.start()
    try:
        async with asyncio.timeout(10):
            return [await questions.reports.get() for _ in range(reports)]
    finally:
        await notifier.stop()


async def test_a_question_is_sent_signed(chat: Chat) -> None:
    questions = Questions(notices=[(0, ITEM)])
    assert await told(chat.url, questions, 1) == [("q1", 0)]
    ((headers, body),) = chat.got
    assert (headers["Sidecar-Event"], headers["Sidecar-Delivery"]) == ("approval.requested", "q1")
    assert b'"to":"ada@example.com"' in body
    at, _, given = headers["Sidecar-Signature"].partition(",")
    expected = hmac.new(
        SECRET.encode(), at.removeprefix("t=").encode() + b"." + body, hashlib.sha256
    ).hexdigest()
    assert given == f"v1={expected}"
    assert headers["Sidecar-Signature"] == signature(SECRET, int(at[2:]), body)


@pytest.mark.parametrize(("tries", "again_ms"), [(0, 1_000), (3, 8_000), (40, 60_000)])
@pytest.mark.parametrize("status", [302, 400, 500])
async def test_what_did_not_arrive_is_tried_again_later_and_later(
    chat: Chat, status: int, tries: int, again_ms: int
) -> None:
    chat.statuses = [status]
    assert await told(chat.url, Questions(notices=[(tries, ITEM)]), 1) == [("q1", again_ms)]
    assert len(chat.got) == 1  # a redirect is not followed


async def test_a_receiver_that_is_not_there_delays_and_its_address_stays_secret(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    closed = "http://127.0.0.1:1/hook/t0ken"
    with caplog.at_level(logging.WARNING, "sidecar"):
        assert await told(closed, Questions(notices=[(0, ITEM), (1, ITEM)]), 2) == [
            ("q1", 1_000),
            ("q1", 2_000),
        ]
    assert "q1 was not announced" in caplog.text
    assert "t0ken" not in caplog.text
    assert chat.got == []


async def test_a_reload_turns_it_on_and_says_where_to_send(chat: Chat) -> None:
    questions = Questions(notices=[(0, ITEM)])
    notifier = Notifier(questions, None)
    notifier.start()
    await asyncio.sleep(0)
    assert questions.notices
    notifier.obey(Webhook(chat.url, SECRET))
    async with asyncio.timeout(10):
        assert await questions.reports.get() == ("q1", 0)
    await notifier.stop()
