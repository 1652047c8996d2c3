"""A folder on disk: what is read, what is left alone, and when it is read again."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from sidecar.settings import LARGEST_BYTES, ConfigError, load
from sidecar.watch import _matters, changes

TOOL = "version: 1\ntool: {name}\nupstream: http://{name}.test\n"
REPO = Path(__file__).parent.parent


def write(folder: Path, **tools: str) -> Path:
    (folder / "routes").mkdir(exist_ok=True)
    (folder / "sidecar.yaml").write_text("version: 1\n")
    for name, text in tools.items():
        (folder / "routes" / f"{name}.yaml").write_text(text or TOOL.format(name=name))
    return folder


def refused(folder: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, {})
    return str(caught.value).splitlines()


def test_a_folder_is_read_whole(tmp_path: Path) -> None:
    config = load(write(tmp_path, b="", a=""), {})
    assert [site.tool.name for site in config.sites] == ["a", "b"]
    assert config.process.store.state == f"{tmp_path}/.sidecar"
    assert config.warnings == ()
    assert sorted(config.written) == ["routes/a.yaml", "routes/b.yaml", "sidecar.yaml"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path / "no") == [
        f"{tmp_path}/no: no such folder",
        "1 problem in 1 file; nothing was loaded",
    ]
    (tmp_path / "file").touch()
    assert refused(tmp_path / "file")[0] == f"{tmp_path}/file: is a file; name the folder that holds it"


def test_without_a_sidecar_file_every_default_holds_and_it_is_said(tmp_path: Path) -> None:
    (warning,) = load(tmp_path, {}).warnings
    assert str(warning) == f"{tmp_path}/sidecar.yaml: warning: not there; every setting has its default"


def test_hidden_files_and_other_kinds_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, a="")
    for name in (".hidden.yaml", "notes.txt", "a.yaml~", ".a.yaml.swp"):
        (tmp_path / "routes" / name).write_text("{{{")
    (tmp_path / ".sidecar").mkdir()
    assert len(load(tmp_path, {}).sites) == 1


def test_links_as_a_mounted_config_map_has_them_are_followed(tmp_path: Path) -> None:
    real = tmp_path / "..2026_01_01"
    real.mkdir()
    write(real, a="")
    (tmp_path / "..data").symlink_to("..2026_01_01")
    (tmp_path / "sidecar.yaml").symlink_to("..data/sidecar.yaml")
    (tmp_path / "routes").symlink_to("..data/routes")
    assert len(load(tmp_path, {}).sites) == 1


def test_a_misnamed_sidecar_file_is_a_problem(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "sidecar.yml").touch()
    assert refused(tmp_path)[0] == f"{tmp_path}/sidecar.yml: is not read; did you mean 'sidecar.yaml'?"


def test_a_route_file_outside_routes_is_warned_of(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "hubspot.yaml").touch()
    (warning,) = load(tmp_path, {}).warnings
    assert str(warning).endswith("hubspot.yaml: warning: is not read; a tool's file belongs into routes/")


def test_a_file_that_cannot_be_read_is_one_problem_among_others(tmp_path: Path) -> None:
    write(tmp_path, a="tool: a\nupstream: http://a.test")
    (tmp_path / "routes" / "b.yaml").mkdir()
    (tmp_path / "routes" / "c.yaml").write_bytes(b" " * (LARGEST_BYTES + 1))
    (tmp_path / "routes" / "d.yaml").symlink_to("nowhere")
    assert refused(tmp_path) == [
        f"{tmp_path}/routes/a.yaml:1:1: missing field 'version'; begin with 'version: 1'",
        f"{tmp_path}/routes/b.yaml: cannot be read: Is a directory",
        f"{tmp_path}/routes/c.yaml: larger than 1MiB",
        f"{tmp_path}/routes/d.yaml: cannot be read: No such file or directory",
        "4 problems in 4 files; nothing was loaded",
    ]


def test_the_sample_configuration_is_good_and_leaves_open_only_what_it_says() -> None:
    config = load(REPO / "config", {})
    assert [site.tool.name for site in config.sites] == ["billing", "hubspot", "resend", "stripe", "support"]
    assert all("tunnelled blind" in warning.message for warning in config.warnings)
    assert len(config.warnings) == 5


CHANGES = [
    ("sidecar.yaml", True),
    ("routes/a.yml", True),
    ("routes", True),
    ("states/invoice.yaml", True),
    ("states", True),
    ("..data", True),
    (".sidecar", False),
    (".sidecar/appendonly.aof", False),
    ("routes/.a.yaml.swp", False),
    ("routes/.a.yaml", False),
    ("routes/note.txt", False),
]


@pytest.mark.parametrize(("name", "matters"), CHANGES)
def test_only_what_is_read_can_change_the_configuration(name: str, matters: bool) -> None:
    assert _matters(Path("config") / name) is matters


async def test_changed_files_are_noticed_also_in_a_folder_that_came_later(tmp_path: Path) -> None:
    (tmp_path / "sidecar.yaml").write_text("version: 1")
    stop, seen = asyncio.Event(), asyncio.Event()

    async def watch() -> None:
        async for _ in changes(tmp_path, stop):
            seen.set()

    async def noticed(change: Callable[[], object]) -> None:
        """Make the change until it is noticed: when the watch itself begins, nobody tells."""
        seen.clear()
        while not seen.is_set():
            await asyncio.to_thread(change)
            with suppress(TimeoutError):
                await asyncio.wait_for(seen.wait(), 0.5)

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        tasks.create_task(watch())
        await noticed(lambda: (tmp_path / "sidecar.yaml").write_text("version: 1"))
        await noticed(lambda: (tmp_path / "routes").mkdir(exist_ok=True) or (tmp_path / "routes").touch())
        await noticed(lambda: (tmp_path / "routes" / "a.yaml").write_text("version: 1"))
        stop.set()
