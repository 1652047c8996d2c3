"""The cast of one half: three tools, the agents, and with sidecars two of them over one embedded store.

The halves differ in nothing but ``HTTP_PROXY``: tools are started afresh and the same agents call them.
"""

import asyncio
import json
import os
import sys
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sidecar.demo.child import Child, ChildError, News
from sidecar.demo.ledger import Kind
from sidecar.demo.script import Script

CONFIG = Path(__file__).parent / "config"
SLOTS, LATENCY_S = 4, 0.06
"""How many calls a tool serves at once, and how long each usually takes."""
SIDECARS = 2
"""One for each group of agents, as two nodes would have."""

Heard = Callable[[News], None]
_CLEAN = {k: v for k, v in os.environ.items() if "proxy" not in k.lower() and not k.startswith("SIDECAR_")}
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Stage:
    """The processes of one half, and what they are doing right now."""

    def __init__(self, script: Script, heard: Heard) -> None:
        self.script = script
        self.tools: dict[str, Child] = {}
        self.slowest_s: dict[str, float] = {}
        """By run: its longest wait for an answer."""
        self._heard = heard
        self._stack = AsyncExitStack()
        self._ports: dict[str, int] = {}
        self._doors: list[Door] = []
        self._groups: dict[str, int] = {}
        self._owed: Counter[int] = Counter()

    @classmethod
    @asynccontextmanager
    async def open(cls, script: Script, state: Path | None, heard: Heard) -> AsyncIterator["Stage"]:
        """Tools, and sidecars too where ``state`` names a folder for their store.  All are ended on the way
        out."""
        stage = cls(script, heard)
        async with stage._stack:
            await asyncio.gather(*(stage._start_tool(name) for name in ("crm", "email", "billing")))
            if state:
                stage._doors = await asyncio.gather(
                    *(stage._start_sidecar(number, state) for number in range(SIDECARS))
                )
            yield stage

    async def agent(
        self,
        role: str,
        run: str,
        *,
        tenant: str = "acme",
        group: int = 0,
        timeout_s: float = 20.0,
        **task: object,
    ) -> Child:
        """Start an agent.  ``group`` says which sidecar it sits next to, if there are any."""
        tools = {name: f"http://127.0.0.1:{port}" for name, port in self._ports.items()}
        options = {"tools": tools, "run": run, "timeout_s": timeout_s, "seed": self.script.seed, "task": task}
        env = dict(_CLEAN)
        self._groups[run] = group
        if self._doors:
            env["HTTP_PROXY"] = self._doors[group].proxy.replace("http://", f"http://{tenant}:demo@")
        return await self._start(run, "sidecar.demo.agent", role, json.dumps(options), env=env)

    async def finish(self, agent: Child) -> None:
        """Wait for an agent's end.  Raises ChildError where it failed."""
        if await agent.ended():
            raise agent.failed("failed")
        report = await agent.first(event="done")
        self._owed[self._groups[agent.name]] += report["writes"]
        self.slowest_s[agent.name] = report["slowest_s"]

    def kill(self, agent: Child) -> None:
        """End an agent as an out-of-memory killer would, while its one call is in flight."""
        agent.kill()
        self._owed[self._groups[agent.name]] += 1

    async def rest(self) -> None:
        """Wait until no tool works on anything, and the sidecars have said how each call went."""
        for tool in self.tools.values():
            await tool.until(partial(idle, tool), "an end of its work")
        for group, door in enumerate(self._doors):
            told = partial(has_told, door.sidecar, self._owed[group])
            await door.sidecar.until(told, "a decision line for each call")

    async def tally(self) -> tuple[Counter[Kind], int]:
        """What the tools counted, and how many different things they did."""
        counts: Counter[Kind] = Counter()
        work = 0
        for port in self._ports.values():
            answer = await fetch(f"http://127.0.0.1:{port}/tally")
            counts.update(answer["counts"])
            work += answer["work"]
        return counts, work

    async def unknown(self) -> int | None:
        """Outcomes that wait for a person; None where nobody keeps track."""
        if not self._doors:
            return None
        return len((await fetch(f"{self._doors[0].admin}/unknown"))["items"])

    async def _start_tool(self, name: str) -> None:
        quirks = [asdict(quirk) for quirk in self.script.quirks()]
        options = json.dumps({"slots": SLOTS, "latency_s": LATENCY_S, "quirks": quirks})
        tool = await self._start(name, "sidecar.demo.tools", name, options, env=_CLEAN)
        self.tools[name] = tool
        self._ports[name] = (await tool.first(event="ready"))["port"]

    async def _start_sidecar(self, number: int, state: Path) -> "Door":
        ports = {f"DEMO_{name.upper()}_PORT": str(port) for name, port in self._ports.items()}
        env = _CLEAN | ports | {"DEMO_STATE": str(state)}
        command = ("sidecar", "run", "--config", str(CONFIG))
        sidecar = await self._start(f"sidecar {number + 1}", *command, env=env, grace_s=10)
        await sidecar.until(lambda: ready(sidecar.words) is not None, "being ready")
        found = ready(sidecar.words)
        assert found is not None
        return Door(sidecar, *found)

    async def _start(self, name: str, *module: str, env: dict[str, str], grace_s: float = 2) -> Child:
        def heard(news: News) -> None:
            self._heard({"from": name} | news)

        child = await Child.start(name, sys.executable, "-m", *module, env=env, heard=heard)
        self._stack.push_async_callback(child.stop, grace_s)
        return child


@dataclass(frozen=True, slots=True)
class Door:
    """A sidecar that is ready, and where it listens."""

    sidecar: Child
    proxy: str
    admin: str


def has_told(sidecar: Child, writes: int) -> bool:
    return sum(1 for line in sidecar.news if line.get("method") != "GET") >= writes


def idle(tool: Child) -> bool:
    return count(tool, "arrived") == count(tool, "applied")


def count(tool: Child, event: str) -> int:
    return sum(1 for news in tool.news if news["event"] == event)


def ready(words: Sequence[str]) -> tuple[str, str] | None:
    """The proxy's and the admin port's URL, once a sidecar says that it is ready."""
    line = next((line for line in words if "ready" in line and "proxy http://" in line), None)
    if line is None:
        return None
    parts = line.replace(",", " ").split()
    return parts[parts.index("proxy") + 1], parts[parts.index("admin") + 1]


async def fetch(url: str) -> dict[str, Any]:
    """GET JSON from a process of ours.  Raises ChildError where it does not answer."""

    def get() -> dict[str, Any]:
        with _DIRECT.open(url, timeout=10) as answer:
            return dict(json.load(answer))

    try:
        return await asyncio.to_thread(get)
    except OSError as error:
        raise ChildError(f"{url} did not answer: {error}") from None
