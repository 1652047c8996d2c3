"""An admin port on loopback, over a process and a store that say what a test tells them to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp
import pytest

from sidecar.control.admin import Admin
from sidecar.control.status import Item, Loaded, Reload
from sidecar.core.call import Answer, RawHeaders
from sidecar.telemetry.meters import Meters

TOKEN = "correct-horse"


@dataclass
class Process:
    """A ``Status``."""

    reasons: list[str] = field(default_factory=list)
    loaded: Loaded = field(default_factory=lambda: Loaded("d1", 1_764_000_000.25, {}, None))
    next_reload: Reload = field(default_factory=lambda: Reload(1_764_000_001.0, "loaded"))
    reloads: int = 0
    asked: list[tuple[str, str, RawHeaders, bytes]] = field(default_factory=list)
    explain_raises: Exception | None = None
    decisions: list[tuple[str, str, str, dict[str, object]]] = field(default_factory=list)
    people: dict[str, bytes] = field(default_factory=dict)

    def not_ready(self) -> Sequence[str]:
        return self.reasons

    def config(self) -> Loaded:
        return self.loaded

    def explain(self, method: str, url: str, headers: RawHeaders, body: bytes) -> object:
        self.asked.append((method, url, headers, body))
        if self.explain_raises is not None:
            raise self.explain_raises
        return {"route": "deal.update"}

    def approvers(self) -> Mapping[str, bytes]:
        return self.people

    async def reload(self) -> Reload:
        self.reloads += 1
        return self.next_reload

    def tools(self) -> Sequence[str]:
        return ["crm", "email"]

    def decided(self, what: str, by: str, why: str, about: Mapping[str, object]) -> None:
        self.decisions.append((what, by, why, dict(about)))


@dataclass
class Questions:
    """What people are asked."""

    items: dict[str, Item] = field(default_factory=dict)
    word: str = "approved"
    """What an answer meets."""
    answers: list[tuple[str, str, str, str]] = field(default_factory=list)
    notices: list[tuple[int, Item]] = field(default_factory=list)
    reports: asyncio.Queue[tuple[str, int]] = field(default_factory=asyncio.Queue)

    async def all(self) -> Sequence[Item]:
        return list(self.items.values())

    async def one(self, approval: str) -> Item | None:
        return self.items.get(approval)

    async def decide(self, approval: str, verdict: str, by: str, why: str) -> tuple[str, Item | None]:
        self.answers.append((approval, verdict, by, why))
        return (self.word, self.items[approval]) if approval in self.items else ("gone", None)

    async def next_notice(self, claim_ms: int) -> tuple[int, Item] | None:
        assert claim_ms > 5_000  # longer than a receiver may take
        return self.notices.pop(0) if self.notices else None

    async def noticed(self, approval: str, again_ms: int) -> None:
        self.reports.put_nowait((approval, again_ms))


@dataclass
class Store:
    """The store's side, a ``People``."""

    items: dict[str, list[Item]] = field(default_factory=dict)
    look: Callable[[], Awaitable[None]] | None = None
    halts: dict[tuple[str, str], tuple[str, str, int]] = field(default_factory=dict)
    resolved: list[tuple[str, bool, Answer | None]] = field(default_factory=list)

    @property
    def unknowns(self) -> "Store":
        return self

    async def one(self, intent: str) -> Item | None:
        return next((item for item in await self._see("unknown") if item["id"] == intent), None)

    async def resolve(self, intent: str, applied: bool, answer: Answer | None) -> bool:
        self.resolved.append((intent, applied, answer))
        return True

    ended: list[tuple[str, str, str]] = field(default_factory=list)
    approvals: Questions = field(default_factory=Questions)

    async def leases(self) -> Sequence[Item]:
        return await self._see("leases")

    async def queues(self) -> Sequence[Item]:
        return await self._see("queues")

    async def unknown(self) -> Sequence[Item]:
        return await self._see("unknown")

    async def pauses(self) -> Sequence[Item]:
        return await self._see("pauses")

    async def budgets(self) -> Sequence[Item]:
        return await self._see("budgets")

    async def halt(self, kind: str, name: str, by: str, why: str, after_ms: int) -> None:
        await self._see("pauses")
        self.halts[kind, name] = (by, why, after_ms)

    async def resume(self, kind: str, name: str) -> bool:
        await self._see("pauses")
        return self.halts.pop((kind, name), None) is not None

    async def runs(self) -> Sequence[Item]:
        return await self._see("runs")

    async def end_run(self, tenant: str, workflow: str, run: str) -> int:
        self.ended.append((tenant, workflow, run))
        return 1

    async def release(self, lease: str) -> Item | None:
        return next((item for item in self.items.get("leases", []) if item["id"] == lease), None)

    async def _see(self, what: str) -> Sequence[Item]:
        if self.look is not None:
            await self.look()
        return self.items.get(what, [])


@dataclass
class Port:
    """The port under test, and a client for it."""

    process: Process
    store: Store
    meters: Meters
    url: str
    client: aiohttp.ClientSession

    async def ask(
        self, method: str, path: str, **options: object
    ) -> tuple[int, dict[str, object], aiohttp.ClientResponse]:
        """Status, JSON and the response itself."""
        async with self.client.request(method, self.url + path, **options) as response:
            return response.status, await response.json(content_type=None), response

    async def change(
        self, path: str, method: str = "POST", **options: object
    ) -> tuple[int, dict[str, object], aiohttp.ClientResponse]:
        return await self.ask(method, path, headers={"Authorization": f"Bearer {TOKEN}"}, **options)


@pytest.fixture
def token() -> str:
    return TOKEN


@pytest.fixture
async def port(token: str) -> AsyncIterator[Port]:
    process, store, meters = Process(), Store(), Meters()
    admin = Admin(process, store, meters, token)
    host, number = await admin.start("127.0.0.1", 0)
    async with aiohttp.ClientSession() as client:
        yield Port(process, store, meters, f"http://{host}:{number}", client)
    await admin.stop()
