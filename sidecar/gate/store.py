"""The store as the gate uses it: scripts in, words out, and a breaker in between.

One link is up, or none.  Where it breaks or goes silent, everything due fails at once, ``up`` is false, and whoever
asks is told ``StoreAway`` without waiting; a background task connects again, with backoff and jitter.

A server that lost what it had acknowledged (restarted without its log, or replaced by a replica that lagged) shows it:
its epoch is another one than we knew, or its fences are behind those that we saw.  What others still hold is not
to be known then, so nothing that needs exclusion is granted until every lease from before has run out.
"""

import asyncio
import logging
import random
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import redis.exceptions
from redis.asyncio.connection import AbstractConnection

from sidecar.gate import address
from sidecar.gate.clock import clock
from sidecar.gate.keyspace import prefix
from sidecar.gate.link import Link, ReplyError, StoreAway, Words
from sidecar.gate.observer import Observer
from sidecar.gate.pauses import Pauses
from sidecar.gate.scripts import Script, script
from sidecar.tasks import spawn

log = logging.getLogger("sidecar")

CONNECT_S = 0.9
_BACKOFF_S = (0.02, 1.0)
_LOOKS = 5
"""At what is paused, while it changes under our eyes; each message is heeded anyway, and the next look is soon."""
CALLS = ("admit", "settle", "renew", "leave", "sweep", "pause", "pauses")
"""Scripts that calls need: at hand, and known to the server, from the start.  The others are 50 KB each, and rarely
asked for."""
SCRIPTS = (
    *CALLS,
    *("peek", "probe", "unprobe", "resolve", "halt", "resume", "budgets", "saw"),
    *("keep", "end", "evict", "runs", "decide", "approvals", "notice", "noticed"),
)


class StoreError(Exception):
    """The store cannot be used; the text says why and what to do."""


class Store:
    """A connection that comes back by itself."""

    def __init__(self, url: str, cell: str, lease_ms: int, allow_eviction: bool, observer: Observer) -> None:
        self.waker = secrets.token_hex(6)
        """Names this process to the others: its channel for wake-ups, its connection in the server's list."""
        self.on_wake: Callable[[bytes], None] = lambda _call: None
        self.on_away: Callable[[], None] = lambda: None
        self.on_halt: Callable[[], None] = lambda: None
        """A person paused something, or lets it go on."""
        self.pauses = Pauses()
        """As the store told us."""
        self.fence_seen = 0
        self.locate: Callable[[], Awaitable[str]] = self._known
        """Says where the server is, at every connect."""
        self._url = url
        self._prefix = prefix(cell)
        self._lease_ms = lease_ms
        self._allow_eviction = allow_eviction
        self._observer = observer
        self._scripts = {name: script(name) for name in CALLS}
        self._link: Link | None = None
        self._paused_until_s = 0.0
        self._epoch = b""
        self._run_id = b""
        self._stopping = False
        self._returning: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        return self._link is not None

    @property
    def paused_s(self) -> float:
        """How long nothing that needs exclusion may be granted."""
        return max(self._paused_until_s - clock(), 0.0)

    async def start(self) -> None:
        """Connect.  Raises StoreError: no such kind of store, unreachable, or a server that may forget locks."""
        try:
            address.check(self._url)
            await self._connect()
        except ValueError as error:
            raise StoreError(str(error)) from None
        except (StoreAway, OSError, redis.exceptions.RedisError, ReplyError) as error:
            raise StoreError(f"store {address.shown(self._url)}: {_reason(error)}") from None
        self._observer.store_up(True)

    async def stop(self) -> None:
        """Disconnect for good."""
        self._stopping = True
        if self._returning is not None:
            self._returning.cancel()
            await asyncio.gather(self._returning, return_exceptions=True)
        if self._link is not None:
            self._link.close()

    async def run(self, name: str, *arguments: Words, now: str = "") -> list[Any]:
        """Run a script.  Raises StoreAway.

        The command is on its way before this first waits, so a caller that is cancelled knows only that it may run.
        """
        link = self._link
        if link is None:
            raise StoreAway
        called = self._scripts.get(name) or script(name)
        began_s = clock()
        reply = await link.send(b"EVALSHA", called.sha, b"1", self._prefix, now, *arguments)
        if reply.__class__ is not list:
            reply = await self._again(link, called, reply, now, arguments)
        self._observer.store_seconds(name, clock() - began_s)
        return reply

    async def _again(
        self, link: Link, called: Script, reply: Any, now: str, arguments: tuple[Words, ...]
    ) -> list[Any]:
        """A server that forgot its scripts gets this one whole; any other error means that it cannot serve now."""
        if str(reply).startswith("NOSCRIPT"):
            reply = await link.send(b"EVAL", called.source, b"1", self._prefix, now, *arguments)
        if isinstance(reply, list):
            return reply
        words = str(reply)
        log.error("store: %s failed: %s", called.name, words)
        if words.startswith(("READONLY", "LOADING", "MASTERDOWN", "NOAUTH", "NOPERM")):
            link.close()
        raise StoreAway

    async def _known(self) -> str:
        return self._url

    async def _connect(self) -> None:
        connection = address.connection(await self.locate(), f"sidecar-{self.waker}", CONNECT_S)
        self._link = await asyncio.wait_for(self._opened(connection), CONNECT_S * 2)

    async def _opened(self, connection: AbstractConnection) -> Link:
        await connection.connect()  # type: ignore[no-untyped-call]  # redis-py
        link = Link(self._heard, lambda: self._lost(link))
        link.take_over(connection)
        try:
            await self._greet(link)
        except BaseException:
            link.close()
            raise
        return link

    async def _greet(self, link: Link) -> None:
        replies = await asyncio.gather(
            link.send("INFO", "server"),
            link.send("INFO", "memory"),
            link.send("SET", self._prefix + b"epoch", secrets.token_hex(8), "NX", "GET"),
            link.send("GET", self._prefix + b"fence"),
            link.send("SUBSCRIBE", self._prefix + b"wake:" + self.waker.encode()),
            link.send("SUBSCRIBE", self._prefix + b"paused"),
            *(link.send("SCRIPT", "LOAD", called.source) for called in self._scripts.values()),
        )
        for reply in replies:
            if isinstance(reply, ReplyError):
                raise reply
        server, memory = _fields(replies[0]), _fields(replies[1])
        self._check(server, memory)
        await self._learn_pauses(link)  # after SUBSCRIBE, so that none is missed
        epoch = replies[2] or await link.send("GET", self._prefix + b"epoch")
        await self._look_for_loss(link, server[b"run_id"], epoch, int(replies[3] or 0))

    async def learn_pauses(self) -> None:
        """What is paused now: a pause that nobody ended is forgotten without a word.  Raises StoreAway."""
        if self._link is not None:
            await self._learn_pauses(self._link)

    async def _learn_pauses(self, link: Link) -> None:
        called = self._scripts["pauses"]
        for _ in range(_LOOKS):
            heard = self.pauses.heard
            reply = await link.send(b"EVAL", called.source, b"1", self._prefix, b"")
            if heard == self.pauses.heard:  # else a message came that the reply may not know of
                if isinstance(reply, list) and self.pauses.learn(reply[1:]):
                    self.on_halt()
                return

    def _check(self, server: dict[bytes, bytes], memory: dict[bytes, bytes]) -> None:
        major = int(server.get(b"redis_version", b"0").split(b".")[0])
        if major < 7:
            raise StoreError("the server is older than Redis 7; use Redis >= 7 or Valkey >= 8")
        policy = memory.get(b"maxmemory_policy", b"noeviction").decode()
        if policy != "noeviction" and not self._allow_eviction:
            raise StoreError(
                f"store {address.shown(self._url)}: maxmemory-policy is {policy}, so the server may drop locks when "
                "memory runs out; set it to noeviction, or store.allow_eviction: true to accept that"
            )

    async def _look_for_loss(self, link: Link, run_id: bytes, epoch: bytes, fence: int) -> None:
        lost = self._epoch not in (b"", epoch) or (
            self._run_id not in (b"", run_id) and fence < self.fence_seen
        )
        self._epoch, self._run_id = epoch, run_id
        key = self._prefix + b"pause"
        if lost:
            log.warning(
                "store: it lost what it had acknowledged; grants that exclude others pause for one lease"
            )
            await link.send("SET", key, "1", "PX", b"%d" % self._lease_ms)
        left_ms = int(await link.send("PTTL", key))
        if left_ms > 0:
            self._paused_until_s = clock() + left_ms / 1000

    def _heard(self, channel: bytes, message: bytes) -> None:
        if not channel.endswith(b"}:paused"):
            self.on_wake(message)
            return
        if self.pauses.hear(message):
            self.on_halt()

    def _lost(self, link: Link) -> None:
        if self._link is not link:
            return
        self._link = None
        self._observer.store_up(False)
        self.on_away()
        if not self._stopping:
            log.warning(
                "store %s cannot be reached; side effects are refused until it is back",
                address.shown(self._url),
            )
            self._returning = spawn(self._return(), "connect to the store again")

    async def _return(self) -> None:
        pause_s, longest_s = _BACKOFF_S
        while self._link is None:
            try:
                await self._connect()
                break
            except (StoreAway, StoreError, OSError, redis.exceptions.RedisError, ReplyError) as error:
                log.debug("store: %s", error)
            except Exception:  # a bug must not end the attempts
                log.exception("connecting to the store failed by a bug of ours")
            if self._stopping:  # wait_for (until Python 3.12) may fail where it was cancelled
                return
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - spreads reconnects, no secret
            pause_s = min(pause_s * 2, longest_s)
        log.warning("store %s is back", address.shown(self._url))
        self._observer.store_up(True)


def _fields(info: bytes) -> dict[bytes, bytes]:
    """The lines of an INFO reply."""
    pairs = (line.partition(b":") for line in info.split(b"\r\n"))
    return {name: value for name, separator, value in pairs if separator}


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError | StoreAway):
        return "it does not answer; is the address right, and the server running?"
    return f"{error}; is the server running, and are the address and the credentials right?"
