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
from sidecar.gate import answers, words
from sidecar.gate.clock import clock
from sidecar.gate.embedded import Embedded
from sidecar.gate.guards import name_of
from sidecar.gate.keeper import Keeper
from sidecar.gate.keyspace import SLACK_MS, lease_of, place_name, terms_of
from sidecar.gate.lease import FREE, Lease, Ungated
from sidecar.gate.link import StoreAway, Words
from sidecar.gate.observer import Nobody, Observer
from sidecar.gate.patience import Patience
from sidecar.gate.people import People
from sidecar.gate.runs import Passing, Runs
from sidecar.gate.safe import safe
from sidecar.gate.store import Store
from sidecar.gate.unknowns import Unknowns
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
        self._pauses = self._store.pauses
        self.paused: AbstractSet[str] = self._pauses.places
        """What is paused, by an upstream or a person; while anything is, no call is free before it was asked for."""
        self._waiting = Waiting()
        self.unknowns = Unknowns(self._store, self._waiting)
        """What nobody can tell the outcome of, and how that is found out."""
        self.people = People(self._store, self.unknowns, lambda: self._chore(self._sweep(), "sweep"))
        self._runs = Runs(lease_ms)
        self.holding = self._runs.held
        """Runs that hold something and have calls here: all their calls count, also those that ask for nothing."""
        self._keeper = Keeper(self._store, self._waiting, self._runs, lease_ms, self._lost)
        self._keeping: asyncio.Task[None] | None = None
        self._chores: set[asyncio.Task[None]] = set()
        self._store.on_wake = self._waiting.wake
        self._store.on_away = self._waiting.wake_all
        self._store.on_halt = self._halted
        self._in_line: dict[str, Claim] = {}
        self._heeding: set[str] = set()
        """Calls that wait for the end of a person's pause."""
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

    def passing(self, claim: Claim) -> Ungated:
        """The lease of a claim that asks for nothing, while some run holds something."""
        return Passing(claim, self._runs)

    async def turned_away(self, claim: Claim, away_ms: int) -> None:
        """The claim's call was, by its upstream, and is settled after this; pauses its tool."""
        try:
            await self._store.run("pause", claim.call, claim.tool, b"%d" % away_ms)
        except StoreAway:
            return  # whoever is turned away next says it again

    async def admit(self, claim: Claim) -> Lease | Ungated | Replay:
        """Granted, or what a twin got, or a Refusal; waits up to ``claim.wait_ms``.  Cancelled, it leaves its line."""
        began_s = asked_s = clock()
        if self.paused:
            await self._heed(claim, began_s)
            asked_s = clock()
        if claim.empty and not self._pauses.upstream(claim.tool):
            return FREE
        terms = terms_of(claim, self._store.waker, self._lease_ms, UNKNOWN_MS)
        try:
            if self._store.paused_s:
                await self._pause(claim)
            reply = await self._store.run("admit", claim.call, b"ask" if claim.wait_ms else b"now", *terms)
            if reply[0] == b"granted":
                self._withhold(claim, began_s)
                return self._granted(claim, reply, asked_s, int((asked_s - began_s) * 1000))
            if reply[0] in (b"waiting", b"guarded"):
                return await self._wait(claim, terms, reply, began_s, asked_s)
        except StoreAway:
            self._leave(claim)
            if claim.store_down == "allow":
                return Ungated(claim.call, "store-down")
            raise words.away() from None
        except asyncio.CancelledError:
            self._leave(claim)
            raise
        return self._answer(claim, reply, 0, joined=False)

    async def _heed(self, claim: Claim, began_s: float) -> None:
        """What a person paused is refused, unless that ends within the caller's patience: then it waits until then."""
        ends_s = began_s + claim.wait_ms / 1000
        while (halt := self._pauses.halt_for(claim)) is not None:
            now_s = clock()
            if halt.ends_s > ends_s:
                raise halt.refusal(int((now_s - began_s) * 1000))
            self._heeding.add(claim.call)
            try:
                await self._waiting.turn(claim.call, halt.ends_s - now_s)
            finally:
                self._heeding.discard(claim.call)

    def _withhold(self, claim: Claim, began_s: float) -> None:
        """Refuses what a person paused since it asked; what it was granted, or waits for, is given back."""
        halt = self._pauses.halt_for(claim) if self.paused else None
        if halt is not None:
            self._leave(claim)
            raise halt.refusal(int((clock() - began_s) * 1000))

    def _halted(self) -> None:
        """Tells those whom a person's pause concerns, and nobody else: in a long line, a herd would ask for nothing."""
        stopped = [call for call, claim in self._in_line.items() if self._pauses.halt_for(claim) is not None]
        for call in (*stopped, *self._heeding):
            self._waiting.wake(call.encode())

    def heed(self, tool: str, tenant: str, workflow: str, lane: str) -> None:
        """Raises Refusal ``tool-paused`` where a person paused one of these."""
        halt = self._pauses.halt_of(tool, tenant, workflow, lane)
        if halt is not None:
            raise halt.refusal(0)

    async def saw(self, entity: str, state: str, ttl_ms: int) -> None:
        """Its tool says which state an entity is in.  Raises Refusal ``store-unavailable``."""
        try:
            await self._store.run("saw", safe(entity), state, str(ttl_ms))
        except StoreAway:
            raise words.away() from None

    async def _pause(self, claim: Claim) -> None:
        """After the store lost what it knew: a claim that excludes others waits until older leases have run out."""
        paused_s = self._store.paused_s
        if claim.locks or claim.intent is not None:
            if paused_s * 1000 > claim.wait_ms:
                raise words.away(paused_s)
            await asyncio.sleep(paused_s)

    async def _wait(
        self, claim: Claim, terms: tuple[Words, ...], reply: list[Any], began_s: float, asked_s: float
    ) -> Lease | Replay:
        """Ask again whenever something may have changed, and a last time when the patience is over."""
        patience = Patience(claim, began_s)
        self._runs.began(claim)
        self._waiting.tickets.add(claim.call)
        self._in_line[claim.call] = claim
        self._observer.queued(claim.flow.tenant)
        stood_at = _stood_at(claim, reply)
        try:
            while patience.waits(reply, asked_s):
                await self._waiting.turn(claim.call, patience.pause_s())
                self._withhold(claim, began_s)
                asked_s = clock()
                mode = b"again" if asked_s < patience.ends_s else b"last"
                reply = await self._store.run("admit", claim.call, mode, *terms)
        finally:
            self._runs.ended(claim)
            self._waiting.forget(claim.call)
            del self._in_line[claim.call]
            self._observer.dequeued(claim.flow.tenant)
        wait_ms = int((clock() - began_s) * 1000)
        if reply[0] == b"granted":
            self._withhold(claim, began_s)
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
        if claim.guards or self._runs.held:
            self._runs.granted(claim)
        if fence > self._store.fence_seen:
            self._store.fence_seen = fence
        return lease

    def _answer(self, claim: Claim, reply: list[Any], wait_ms: int, *, joined: bool) -> Replay:
        if reply[0] == b"completed":
            return Replay(answers.unpack(reply[1]), joined, wait_ms)
        raise words.refusal(claim, reply, wait_ms)

    async def _settle(self, lease: Lease, outcome: Outcome) -> None:
        self._keeper.leases.pop(lease.claim.call, None)
        if self._runs.held:
            self._runs.ended(lease.claim)
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

    def paused_tools(self) -> set[str]:
        """Tools whose upstream wants to be left alone."""
        return self._pauses.tools()

    def paused_by_people(self) -> dict[str, int]:
        """How many tools, tenants, workflows and lanes people paused."""
        return self._pauses.by_people()


def _stood_at(claim: Claim, reply: list[Any]) -> str:
    """What the call waits for first."""
    return (
        place_name(claim, reply[1]) if reply[0] == b"waiting" else name_of(claim.guards[reply[1]], reply[3:])
    )


def _settlement(outcome: Outcome) -> tuple[str | bytes, ...]:
    """The arguments of ``settle`` from ``ending`` on."""
    ending = outcome.record if outcome.kind == "completed" else outcome.kind
    note = (
        outcome.why if outcome.kind != "completed" else "partial" if outcome.partial else str(outcome.status)
    )
    answer = b""
    if ending == "answer" and outcome.answer is not None:
        try:
            answer = answers.pack(outcome.answer)
        except ValueError:
            ending = "done"
    if ending == "done":
        note = str(outcome.status)
    retain = b"%d" % outcome.retain_ms
    return ending, _FLAG[outcome.changed], _FLAG[outcome.over], note, retain, answer
