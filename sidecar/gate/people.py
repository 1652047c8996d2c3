"""What people see of the store, and what they change there; calls never come this way.

All of it raises Refusal ``store-unavailable`` where the store is away.
"""

from collections.abc import Callable

from sidecar.gate import peek, words
from sidecar.gate.approvals import Approvals
from sidecar.gate.link import StoreAway, Words
from sidecar.gate.pauses import packed, place_of
from sidecar.gate.runs import name_of
from sidecar.gate.store import Store
from sidecar.gate.unknowns import Unknowns

Item = dict[str, object]


class People:
    """The store's side of the admin port."""

    def __init__(self, store: Store, unknowns: Unknowns, swept: Callable[[], None]) -> None:
        """``swept``: something is due, so that somebody sweeps."""
        self._store = store
        self._swept = swept
        self.approvals = Approvals(store)
        self.unknowns = unknowns

    async def leases(self) -> list[Item]:
        """What calls and runs hold now."""
        return await peek.leases(self._store)

    async def runs(self) -> list[Item]:
        """Runs that hold something."""
        return await peek.runs(self._store)

    async def end_run(self, tenant: str, workflow: str, run: str) -> int:
        """Let go of every lock that the run holds.  How many they were."""
        return await self._end(name_of((tenant, workflow, run)), "")

    async def release(self, lease: str) -> Item | None:
        """Take back what a call holds, or a lock from a run: an item of ``leases``.  None where there is none such."""
        for item in await self.leases():
            if item["id"] == lease:
                return item if await self._release(item) else None
        return None

    async def _release(self, item: Item) -> bool:
        if item["state"] == "held":
            who = str(item["tenant"]), str(item["workflow"]), str(item["run"])
            return await self._end(name_of(who), peek.place_of(item)) > 0
        try:
            word, more = await self._store.run("evict", str(item["id"]))
        except StoreAway:
            raise words.away() from None
        if more:
            self._swept()
        return bool(word == b"evicted")

    async def _end(self, run: str, place: str) -> int:
        try:
            _, more, count = await self._store.run("end", run, place)
        except StoreAway:
            raise words.away() from None
        if more:
            self._swept()
        return int(count)

    async def queues(self) -> list[Item]:
        """The lines, and who heads them."""
        return await peek.queues(self._store)

    async def unknown(self) -> list[Item]:
        """Intents whose outcome nobody can tell."""
        return await peek.unknown(self._store)

    async def pauses(self) -> list[Item]:
        """What is paused, by people and by upstreams."""
        return await peek.pauses(self._store)

    async def budgets(self) -> list[Item]:
        """What is used and reserved of each budget."""
        return await peek.budgets(self._store)

    async def halt(self, kind: str, name: str, by: str, why: str, after_ms: int) -> None:
        """Pause a tool, a tenant, a workflow or a lane for the fleet, for so long (0: until ``resume``)."""
        await self._change("halt", place_of(kind, name), str(after_ms), packed(kind, name, by, why))

    async def resume(self, kind: str, name: str) -> bool:
        """Let it go on.  Whether it was paused."""
        return await self._change("resume", place_of(kind, name)) == b"resumed"

    async def _change(self, script: str, *arguments: Words) -> object:
        try:
            return (await self._store.run(script, *arguments))[0]
        except StoreAway:
            raise words.away() from None
