"""Tells a webhook that there is a question, so that a chat tool can put it in front of people.

The questions to announce lie in the store, where every sidecar of the fleet looks for them: one takes a question for a
while, sends it, and reports.  So each is sent by one sidecar at a time, again until it arrived, also when the sidecar
that took it dies; and never more lie there than may be open.  It may arrive twice, under the same ``Sidecar-Delivery``.

    Sidecar-Event: approval.requested
    Sidecar-Delivery: the question's id
    Sidecar-Signature: t=SECONDS,v1=HEX      HMAC-SHA256 with the secret over "SECONDS." and the body

A receiver compares the signature in constant time and takes none whose time is old, else what it once got could be sent
to it again.
"""

import asyncio
import hmac
import logging
from importlib import import_module
from time import time
from typing import TYPE_CHECKING

import orjson

from sidecar import __version__
from sidecar.control.status import Approvals, Item, presented
from sidecar.core.config import Webhook
from sidecar.core.refusal import Refusal
from sidecar.tasks import spawn

if TYPE_CHECKING:
    from aiohttp import ClientSession

log = logging.getLogger("sidecar")

LOOK_S = 1.0
"""Between two looks for a question to announce."""
SEND_S = 5.0
"""How long the receiver may take: it should take the question and work later."""
CLAIM_MS = 30_000
LONGEST_PAUSE_MS = 60_000


class Notifier:
    """One process's."""

    def __init__(self, approvals: Approvals, webhook: Webhook | None) -> None:
        self._approvals = approvals
        self._webhook = webhook
        self._changed = asyncio.Event()
        self._session: ClientSession | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = spawn(self._run(), "announce questions")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def obey(self, webhook: Webhook | None) -> None:
        """Send there from now on."""
        self._webhook = webhook
        self._changed.set()

    async def _run(self) -> None:
        while True:
            webhook = self._webhook
            if webhook is None:
                self._changed.clear()
                await self._changed.wait()
            elif not await self._announced(webhook):
                await asyncio.sleep(LOOK_S)

    async def _announced(self, webhook: Webhook) -> bool:
        """Whether there was a question to announce."""
        try:
            found = await self._approvals.next_notice(CLAIM_MS)
            if found is None:
                return False
            tries, item = found
            why = await self._send(webhook, item)
            again_ms = min(1000 << min(tries, 10), LONGEST_PAUSE_MS) if why else 0
            if why:
                log.warning("question %s was not announced: %s; again in %d ms", item["id"], why, again_ms)
            await self._approvals.noticed(str(item["id"]), again_ms)
        except Refusal:  # the store is away; what is to be announced stays there
            return False
        return True

    async def _send(self, webhook: Webhook, item: Item) -> str:
        """Empty where it arrived; else why not, without the address, which may be a secret."""
        body = orjson.dumps({"event": "approval.requested", "approval": presented(item)})
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"agent-sidecar/{__version__}",
            "Sidecar-Event": "approval.requested",
            "Sidecar-Delivery": str(item["id"]),
            "Sidecar-Signature": signature(webhook.secret, int(time()), body),
        }
        session = await self._opened()
        try:
            async with asyncio.timeout(SEND_S):
                answer = await session.post(webhook.url, data=body, headers=headers, allow_redirects=False)
                answer.release()
        except Exception as error:  # whatever it is, the question stays to be announced
            return type(error).__name__
        return "" if 200 <= answer.status < 300 else f"it was answered with {answer.status}"

    async def _opened(self) -> "ClientSession":
        if self._session is None:
            await asyncio.to_thread(import_module, "aiohttp")
            from aiohttp import ClientSession

            self._session = ClientSession()
        return self._session


def signature(secret: str, at_s: int, body: bytes) -> str:
    """The ``Sidecar-Signature`` field."""
    digest = hmac.new(secret.encode(), b"%d." % at_s + body, "sha256").hexdigest()
    return f"t={at_s},v1={digest}"
