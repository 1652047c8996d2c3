"""A changed ConfigMap, as the kubelet swaps it under a running sidecar."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.e2e import harness
from tests.e2e.harness import Sidecar, Tool, ask, later

PROCESS = """version: 1
listen: {{proxy: "127.0.0.1:0", admin: "127.0.0.1:0"}}
store: {{url: embedded, state: {state}}}
egress: {{unmatched: deny, allow: ["127.0.0.0/8"]}}
"""
ROUTE = """version: 1
tool: crm
hosts: [crm.test]
upstream: {url}
routes:
  - name: {name}
    match: {{method: POST, path: /notes}}
    lane: write
    locks: []
"""


class Volume:
    """A ConfigMap's, written as the kubelet's AtomicWriter does: files, a link to their folder, links into that."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        folder.mkdir(parents=True)

    def put(self, **files: str) -> None:
        """Swap the whole content at once."""
        self.count += 1
        fresh = self.folder / f"..2026_11_24_18_00_00.{self.count}"
        fresh.mkdir()
        for name, text in files.items():
            (fresh / f"{name}.yaml").write_text(text)
        draft = self.folder / "..data_tmp"
        draft.symlink_to(fresh.name)
        draft.rename(self.folder / "..data")
        for name in files:
            link = self.folder / f"{name}.yaml"
            if not link.is_symlink():
                link.symlink_to(f"..data/{name}.yaml")
        for link in self.folder.glob("*.yaml"):
            if not link.exists():
                link.unlink()


Start = Callable[[Path], Awaitable[Sidecar]]


@pytest.fixture
async def tool() -> AsyncIterator[Tool]:
    async with harness.tool() as it:
        yield it


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    running: list[Sidecar] = []

    async def one(folder: Path) -> Sidecar:
        running.append(await Sidecar.start(folder))
        return running[-1]

    yield one
    for sidecar in running:
        assert await sidecar.stop() == 0


async def test_a_rollout_drops_no_call_and_a_bad_one_changes_nothing(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    config, routes = Volume(tmp_path / "config"), Volume(tmp_path / "config" / "routes")
    process = PROCESS.format(state=tmp_path / "state")
    config.put(sidecar=process)
    routes.put(crm=ROUTE.format(url=tool.url, name="note.first"))
    sidecar = await start(config.folder)

    tool.hold()
    before = later(ask(sidecar, "POST", "http://crm.test/notes", {"n": 1}))
    await tool.got(1)
    routes.put(crm=ROUTE.format(url=tool.url, name="note.second"))
    await sidecar.said("config reloaded")
    tool.release()
    assert "route=note.first" in (await before).headers["Sidecar-Verdict"]
    assert (await before).status == 200
    after = await ask(sidecar, "POST", "http://crm.test/notes", {"n": 2})
    assert "route=note.second" in after.headers["Sidecar-Verdict"]

    routes.put(crm=ROUTE.format(url=tool.url, name="note.third").replace("lane:", "lain:"))
    await sidecar.said("did you mean 'lane'?")
    still = await ask(sidecar, "POST", "http://crm.test/notes", {"n": 3})
    assert "route=note.second" in still.headers["Sidecar-Verdict"]


async def test_a_tool_comes_and_goes_with_its_file(tool: Tool, start: Start, tmp_path: Path) -> None:
    config, routes = Volume(tmp_path / "config"), Volume(tmp_path / "config" / "routes")
    config.put(sidecar=PROCESS.format(state=tmp_path / "state"))
    routes.put(crm=ROUTE.format(url=tool.url, name="note.create"))
    sidecar = await start(config.folder)

    routes.put(mail=ROUTE.format(url=tool.url, name="mail.send").replace("crm", "mail"))
    await sidecar.said("config reloaded")
    came = await ask(sidecar, "POST", "http://mail.test/notes", {})
    assert "route=mail.send" in came.headers["Sidecar-Verdict"]
    gone = await ask(sidecar, "POST", "http://crm.test/notes", {})
    assert (gone.status, gone.reason) == (403, "egress-denied")
