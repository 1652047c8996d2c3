"""The gate's face: a claim in; a lease, a replay or a refusal out.

Theory.  ``admit`` is a loop around one script.  What the script says is the truth; messages and timers only decide
when to ask again.  A call has one id, however often it asks, so asking again after a lost reply is safe.

Whoever stops asking (cancelled, out of patience, the store away) leaves: a task tells the store so, in the background
and as often as it takes, and the store's own clock does the rest.  What was granted and never used goes back as if
it had not been.

A settle is on its way before it first waits.  Where its reply is lost, it is sent again until the call's request
must be over anyway: the script takes it once.
"""

import asyncio
from collections.abc import Coroutine
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path
from typing import Any

from sidecar.core.claim import Claim, Replay
from sidecar.core.outcome import Outcome
from sidecar.gate import answers, peek, words
from sidecar.gate.approvals import Approvals
from sidecar.gate.clock import clock
from sidecar.gate.embedded import Embedded
from sidecar.gate.guards import name_of
from sidecar.gate.keeper import Keeper
from sidecar.gate.keyspace import SLACK_MS, lease_of, place_name, terms_of
from sidecar.gate.lease import FREE, Lease, Ungated
from sidecar.gate.link import StoreAway, Words
from sidecar.gate.observer import Nobody, Observer
from sidecar.gate.patience import Patience
from sidecar.gate.store import Store
from sidecar.gate.waiting import Waiting
from sidecar.tasks import spawn

UNKNOWN_MS = 86_400_000
"""How long an unknown outcome is remembered where nobody says otherwise."""
_RETRY_S = 0.1
_FLAG = (b"0", b"1")


class Gate:
    """One process's gate on one cell of one store."""

    free = FREE

    def __init__(
        self,
        url: str,
        cell: str = "default",
        lease_ms: int = 15_000,
        state: Path = Path("state"),
        allow_eviction: bool = False,
        observer: Observer | None = None,
    ) -> None:
        """Raises ValueError for a URL or a cell name that cannot be used; nothing is opened before ``start``."""
        self._observer = observer or Nobody()
        self._lease_ms = lease_ms
        self._embedded = Embedded(state) if url == "embedded" else None
        self._store = Store(url, cell, lease_ms, allow_eviction, self._observer)
        self.paused: AbstractSet[str] = self._store.paused_tools
        """Tools that the fleet leaves alone, or tries with one call: no call to them is free."""
        self.approvals = Approvals(self._store)
        self._waiting = Waiting()
        self._keeper = Keeper(self._store, self._waiting, lease_ms, self._lost)
        self._keeping: asyncio.Task[None] | None = None
        self._chores: set[asyncio.Task[None]] = set()
        self._store.on_wake = self._waiting.wake
        self._store.on_away = self._waiting.wake_all
        if self._embedded is not None:
            self._store.locate = self._embedded.start

    @property
    def up(self) -> bool:
        """The store answers."""
        return self._store.up

    async def start(self) -> None:
        """Open the store.  Raises StoreError, which says what to do."""
        await self._store.start()
        self._keeping = spawn(self._keeper.run(), "keep leases")

    async def drain(self, longest_s: float) -> bool:
        """Wait until everything this process does in the background is done: settles, leaving.  Whether it is."""
        if self._chores:
            await asyncio.wait(self._chores, timeout=longest_s)
        return not self._chores

    async def stop(self) -> None:
        """Let background settles finish if they can at once, then close the store."""
        if self.up:
            await self.drain(1)
        for task in (self._keeping, *self._chores):
            if task is not None:
                task.cancel()
        await asyncio.gather(*self._chores, *filter(None, [self._keeping]), return_exceptions=True)
        await self._store.stop()
        if self._embedded is not None:
            await self._embedded.stop()

    def ungated(self, claim: Claim, why: str) -> Ungated:
        """A lease that holds nothing, for a call that goes on all the same."""
        return Ungated(claim.call, why)

    async def turned_away(self, claim: Claim, away_ms: int) -> None:
        """The claim's call was, by its upstream, and is settled after this; pauses its tool."""
        try:
            await self._store.run("pause", claim.call, claim.tool, b"%d" % away_ms)
        except StoreAway:
            return  # whoever is turned away next says it again

    async def admit(self, claim: Claim) -> Lease | Ungated | Replay:
        """Granted, or what a twin got, or a Refusal; waits up to ``claim.wait_ms``.  Cancelled, it leaves its line."""
        if claim.empty and claim.tool not in self.paused:
            return FREE
        terms = terms_of(claim, self._store.waker, self._lease_ms, UNKNOWN_MS)
        asked_s = clock()
        try:
            if self._store.paused_s:
                await self._pause(claim)
            reply = await self._store.run("admit", claim.call, b"ask" if claim.wait_ms else b"now", *terms)
            if reply[0] == b"granted":
                return self._granted(claim, reply, asked_s, 0)
            if reply[0] in (b"waiting", b"guarded"):
                return await self._wait(claim, terms, reply, asked_s)
        except StoreAway:
            self._leave(claim)
            if claim.store_down == "allow":
                return Ungated(claim.call, "store-down")
            raise words.away() from None
        except asyncio.CancelledError:
            self._leave(claim)
            raise
        return self._answer(claim, reply, 0, joined=False)

    async def _pause(self, claim: Claim) -> None:
        """After the store lost what it knew: a claim that excludes others waits until older leases have run out."""
        paused_s = self._store.paused_s
        if claim.locks or claim.intent is not None:
            if paused_s * 1000 > claim.wait_ms:
                raise words.away(paused_s)
            await asyncio.sleep(paused_s)

    async def _wait(
        self, claim: Claim, terms: tuple[Words, ...], reply: list[Any], began_s: float
    ) -> Lease | Replay:
        """Ask again whenever something may have changed, and a last time when the patience is over."""
        patience = Patience(claim, began_s)
        self._waiting.tickets.add(claim.call)
        self._observer.queued(claim.flow.tenant)
        stood_at = _stood_at(claim, reply)
        asked_s = began_s
        try:
            while patience.waits(reply, asked_s):
                await self._waiting.turn(claim.call, patience.pause_s())
                asked_s = clock()
                mode = b"again" if asked_s < patience.ends_s else b"last"
                reply = await self._store.run("admit", claim.call, mode, *terms)
        finally:
            self._waiting.forget(claim.call)
            self._observer.dequeued(claim.flow.tenant)
        wait_ms = int((clock() - began_s) * 1000)
        if reply[0] == b"granted":
            lease = self._granted(claim, reply, asked_s, wait_ms)
            lease.blocked_by = stood_at
            return lease
        return self._answer(claim, reply, wait_ms, joined=True)

    def _granted(self, claim: Claim, reply: list[Any], asked_s: float, wait_ms: int) -> Lease:
        _, fence, origin = reply
        gone_s = asked_s + (claim.timeout_ms + SLACK_MS) / 1000
        lease = Lease(claim, fence, origin.decode(), wait_ms, gone_s, self._settle)
        lease.held(asked_s, lease_of(claim, self._lease_ms))
        self._keeper.leases[claim.call] = lease
        if fence > self._store.fence_seen:
            self._store.fence_seen = fence
        return lease

    def _answer(self, claim: Claim, reply: list[Any], wait_ms: int, *, joined: bool) -> Replay:
        if reply[0] == b"completed":
            return Replay(answers.unpack(reply[1]), joined, wait_ms)
        raise words.refusal(claim, reply, wait_ms)

    async def _settle(self, lease: Lease, outcome: Outcome) -> None:
        self._keeper.leases.pop(lease.claim.call, None)
        arguments = (lease.claim.call, b"%d" % lease.fence, *_settlement(outcome))
        try:
            self._settled(lease, await self._store.run("settle", *arguments))
        except StoreAway:
            self._observer.settle_failed()
            self._chore(self._settle_later(lease, arguments), "settle later")
        except asyncio.CancelledError:
            self._chore(self._settle_later(lease, arguments), "settle all the same")
            raise

    async def _settle_later(self, lease: Lease, arguments: tuple[Any, ...]) -> None:
        while clock() < lease.gone_s:
            with suppress(StoreAway):
                self._settled(lease, await self._store.run("settle", *arguments))
                return
            await asyncio.sleep(_RETRY_S)
        self._lost(lease)

    def _settled(self, lease: Lease, reply: list[Any]) -> None:
        if reply[0] in (b"late", b"lost"):
            self._lost(lease)
        if reply[1]:
            self._chore(self._sweep(), "sweep")

    def _lost(self, lease: Lease) -> None:
        if not lease.lost:
            lease.lost = True
            self._observer.lease_lost()

    async def _sweep(self) -> None:
        try:
            await self._keeper.sweep()
        except StoreAway:
            return  # what is due stays due, for whoever comes next

    def _leave(self, claim: Claim) -> None:
        self._chore(self._leave_soon(claim), "leave")

    async def _leave_soon(self, claim: Claim) -> None:
        ends_s = clock() + lease_of(claim, self._lease_ms) / 1000
        while clock() < ends_s:
            with suppress(StoreAway):
                reply = await self._store.run("leave", claim.call)
                if reply[1]:
                    await self._sweep()
                return
            await asyncio.sleep(_RETRY_S)

    def _chore(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = spawn(work, name)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    async def leases(self) -> list[dict[str, object]]:
        """What is held now.  Raises Refusal ``store-unavailable``, as do the two below."""
        return await peek.leases(self._store)

    async def queues(self) -> list[dict[str, object]]:
        """The lines, and who heads them."""
        return await peek.queues(self._store)

    async def unknown(self) -> list[dict[str, object]]:
        """Intents whose outcome nobody can tell."""
        return await peek.unknown(self._store)


def _stood_at(claim: Claim, reply: list[Any]) -> str:
    """What the call waits for first."""
    return (
        place_name(claim, reply[1]) if reply[0] == b"waiting" else name_of(claim.guards[reply[1]], reply[3:])
    )


def _settlement(outcome: Outcome) -> tuple[str | bytes, ...]:
    """The arguments of ``settle`` from ``ending`` on."""
    ending = outcome.record if outcome.kind == "completed" else outcome.kind
    note, answer = outcome.why, b""
    if ending == "answer" and outcome.answer is not None:
        try:
            answer = answers.pack(outcome.answer)
        except ValueError:
            ending = "done"
    if ending == "done":
        note = str(outcome.status)
    retain = b"%d" % outcome.retain_ms
    return ending, _FLAG[outcome.changed], _FLAG[outcome.over], note, retain, answer
