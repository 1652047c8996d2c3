"""Keeps what this process holds: one batch a second for its tickets, and for leases a third of their time before.

It also sweeps where nobody else would, so that an idle fleet notices its dead.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from math import inf

from sidecar.gate.clock import clock
from sidecar.gate.keyspace import lease_of
from sidecar.gate.lease import Lease
from sidecar.gate.link import StoreAway
from sidecar.gate.runs import Runs, name_of
from sidecar.gate.store import Store
from sidecar.gate.waiting import Waiting

log = logging.getLogger("sidecar")

TICK_S = 1.0
BATCH = 256
"""Calls in one script: about a millisecond of the server's time."""


class Keeper:
    """The timer of one gate."""

    def __init__(
        self, store: Store, waiting: Waiting, runs: Runs, lease_ms: int, lost: Callable[[Lease], None]
    ) -> None:
        self.leases: dict[str, Lease] = {}
        self._store = store
        self._waiting = waiting
        self._runs = runs
        self._lease_ms = lease_ms
        self._lost = lost
        self._swept_s = clock()

    async def run(self) -> None:
        """Until cancelled."""
        tick_s = min(TICK_S, self._lease_ms / 1000 / 6)
        while True:
            await asyncio.sleep(self._runs.pause_s(tick_s) if self._runs.held else tick_s)
            try:
                await self.tick()
            except StoreAway:
                continue
            except Exception:  # a bug must not end the renewals
                log.exception("keeping leases failed by a bug of ours")

    async def tick(self) -> None:
        """One look at everything.  Raises StoreAway."""
        now_s = clock()
        due = [call for call, lease in self.leases.items() if lease.renew_s <= now_s]
        calls = due + list(self._waiting.tickets)
        for start in range(0, len(calls), BATCH):
            await self._renew(calls[start : start + BATCH])
        if self._runs.held:
            await self._keep()
        if now_s - self._swept_s > self._lease_ms / 1000 / 3:
            self._swept_s = now_s
            await self.sweep()
            await self._store.learn_pauses()

    async def sweep(self) -> None:
        """Until nothing is due.  Raises StoreAway."""
        while (await self._store.run("sweep"))[1]:
            pass

    async def _keep(self) -> None:
        asked_s = clock()
        due = list(self._runs.due(asked_s).items())
        for start in range(0, len(due), BATCH):
            batch = due[start : start + BATCH]
            terms = [word for who, held in batch for word in (name_of(who), str(held.quiet_ms(asked_s)))]
            more, *words = await self._store.run("keep", str(self._lease_ms), *terms)
            for (who, held), word in zip(batch, words, strict=True):
                if word == b"held":
                    self._runs.kept(held, asked_s)
                else:
                    self._runs.gone(who, held, asked_s)
            if more:
                await self.sweep()

    async def _renew(self, calls: Sequence[str]) -> None:
        asked_s = clock()
        _, more, *words = await self._store.run("renew", *calls)
        for call, word in zip(calls, words, strict=True):
            lease = self.leases.get(call)
            if lease is None:
                if word != b"waiting":
                    self._waiting.wake(call.encode())
            elif word == b"held":
                lease.held(asked_s, lease_of(lease.claim, self._lease_ms))
            else:
                lease.renew_s = inf
                self._lost(lease)
        if more:
            await self.sweep()
