"""The image, run: read-only, by number, without a capability, and with no shell to help.

``make test-image`` builds it and says its name in ``SIDECAR_IMAGE``.
"""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.e2e import harness
from tests.e2e.harness import Sidecar, Tool, admin, ask, later
from tests.image.bundle import Image, unpacked

pytestmark = pytest.mark.image

ROUTES = """version: 1
tool: crm
hosts: [crm.test]
upstream: {url}
routes:
  - name: note.create
    match: {{method: POST, path: /notes}}
    lane: write
    locks: ["notes"]
"""
PROCESS = """version: 1
store: {url: "${SIDECAR_STORE_URL}"}
egress: {allow: ["127.0.0.0/8"]}
"""

Run = Callable[..., Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
async def tool() -> AsyncIterator[Tool]:
    async with harness.tool() as it:
        yield it


@pytest.fixture
async def run(image: Image, folder: Path) -> AsyncIterator[Run]:
    """Run a command in the image; what still runs at the end is killed."""
    running: list[tuple[str, asyncio.subprocess.Process]] = []
    runc = ("runc", "--root", str(folder / "runc"))

    async def start(
        words: list[str],
        config: Path | None = None,
        env: dict[str, str] | None = None,
        user: tuple[int, int] | None = None,
    ) -> asyncio.subprocess.Process:
        name = f"{folder.name}-{len(running)}"
        mounts = {} if config is None else {config: "/etc/sidecar"}
        bundle = image.bundle(folder / f"bundle{len(running)}", words, mounts, env or {}, user)
        process = await asyncio.create_subprocess_exec(
            *(*runc, "run", "--bundle", str(bundle), name),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        running.append((name, process))
        return process

    yield start
    for name, process in running:
        if process.returncode is None:
            killer = await asyncio.create_subprocess_exec(*runc, "kill", name, "KILL")
            await asyncio.gather(killer.wait(), process.wait())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as it:
        return int(it.getsockname()[1])


def configured(folder: Path, tool: Tool) -> Path:
    """As a cluster mounts it: readable by everyone, writable by nobody."""
    config = folder / "config"
    (config / "routes").mkdir(parents=True)
    listen = f'listen: {{proxy: "127.0.0.1:{free_port()}", admin: "127.0.0.1:9901"}}\n'
    (config / "sidecar.yaml").write_text(PROCESS + listen)
    (config / "routes" / "crm.yaml").write_text(ROUTES.format(url=tool.url))
    folder.chmod(0o755)
    return config


async def outcome(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_it_tells_its_version(run: Run, image: Image) -> None:
    version = image.config["Labels"]["org.opencontainers.image.version"]
    assert await outcome(await run([*image.entrypoint, "--version"])) == (0, f"sidecar {version}\n", "")


async def test_without_a_configuration_it_passes_nothing_on(run: Run, image: Image) -> None:
    code, _, err = await outcome(await run([*image.entrypoint, *image.config["Cmd"]]))
    assert code == 1
    assert "/etc/sidecar: no such folder" in err


async def test_it_runs_as_whatever_user_a_pod_names(run: Run, image: Image) -> None:
    process = await run([*image.entrypoint, "--version"], user=(1_000_660_000, 0))
    assert (await outcome(process))[0] == 0


async def test_what_every_call_passes_through_is_compiled(run: Run, image: Image) -> None:
    look = "import sidecar.pipeline as p, sidecar.wire.connection as c; print(p.__file__, c.__file__)"
    code, out, _ = await outcome(await run([image.python, "-c", look]))
    assert (code, [Path(name).suffix for name in out.split()]) == (0, [".so", ".so"])


async def test_nothing_can_be_written_and_nobody_can_become_root(run: Run, image: Image) -> None:
    look = "import os; print(os.getuid(), os.getgid()); open('/opt/sidecar/x', 'w')"
    code, out, err = await outcome(await run([image.python, "-c", look]))
    assert (code, out) == (1, "65532 65532\n")
    assert "Read-only file system" in err
    modes = [path.lstat().st_mode for path in (image.root / "opt").rglob("*") if not path.is_symlink()]
    assert not any(mode & 0o6002 for mode in modes), "a file that others may write, or that runs as its owner"


async def test_a_call_is_gated_on_a_shared_store(
    run: Run, image: Image, tool: Tool, serve: Serve, folder: Path
) -> None:
    port = free_port()
    redis_server = shutil.which("redis-server")
    assert redis_server is not None
    store = serve(redis_server, "--port", str(port), "--bind", "127.0.0.1")
    await store.start()
    words = [*image.entrypoint, *image.config["Cmd"]]
    url = {"SIDECAR_STORE_URL": f"redis://127.0.0.1:{port}"}
    process = await run(words, configured(folder, tool), url)
    sidecar = Sidecar(folder, process, "", "")
    sidecar.readers = [later(sidecar._read_out()), later(sidecar._read_err())]
    await sidecar.said("ready")

    tool.hold()
    first = later(ask(sidecar, "POST", "http://crm.test/notes", {"n": 1}))
    await tool.got(1)
    twin = later(ask(sidecar, "POST", "http://crm.test/notes", {"n": 1}))
    tool.release()
    assert (await first).verdict == "executed"
    assert (await twin).verdict in ("joined", "replayed")
    assert len(tool.seen) == 1
    assert (await admin(sidecar, "/readyz")).status == 200
    assert await store.command("DBSIZE") > 0

    check = image.config["Healthcheck"]["Test"]
    assert check[0] == "CMD"
    assert (await outcome(await run(check[1:])))[0] == 0
    assert await sidecar.stop() == 0
    assert (await outcome(await run(check[1:])))[0] != 0


def test_it_adds_less_than_120_mb_to_its_base(image: Image) -> None:
    sizes = {
        name: size(name)
        for name in (image.name, image.config["Labels"]["org.opencontainers.image.base.name"])
    }
    added, base = sizes[image.name], min(sizes.values())
    assert added - base < 120e6


def size(name: str) -> int:
    """Unpacked, in bytes."""
    with unpacked(name) as it:
        files = (path.lstat() for path in it.root.rglob("*"))
        return sum({entry.st_ino: entry.st_size for entry in files}.values())
