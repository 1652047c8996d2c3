"""A child reads the configuration: what comes back is what was written, and nothing it meets can hold us up."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.apart import Reading
from sidecar.core.call import Call, Headers
from sidecar.core.config import Config
from sidecar.core.explain import explain
from sidecar.core.identity import Identities
from sidecar.core.problems import ConfigError
from sidecar.settings import load

REPO = Path(__file__).parent.parent

EVERYTHING = """\
version: 1
tool: crm
hosts: ["*.crm.test"]
caps: {write: 2}
routes:
  - name: large
    match: {method: POST, path: "/deals/{id}", when: "body.amount > 100 && body.tags.exists(tag, tag == 'x')"}
    locks: ["deal:{path.id}:{body.lines[*].id}", "{header.X-Ref|trim|lower}"]
    intent: {key: "{query.q} {body.amount}"}
  - name: any
    match: {path: "/deals/{rest...}"}
"""
BODY = b'{"amount": 101, "tags": ["x"], "lines": [{"id": 1}, {"id": 2}]}'


def read(folder: Path, patience_s: float = 30) -> Config:
    with Reading(folder, patience_s) as reading:
        return reading.config()


def write(folder: Path, tool: str) -> Path:
    (folder / "routes").mkdir()
    (folder / "sidecar.yaml").write_text(
        'version: 1\nidentity: {tenant: {from: ["header:X-Org", "baggage:org"]}, run: {from: [traceparent]}}\n'
        'egress: {allow: ["127.0.0.0/8"]}\n'
    )
    (folder / "routes" / "crm.yaml").write_text(tool)
    return folder


def told(config: Config, body: bytes) -> dict[str, object]:
    headers = Headers([(b"Content-Type", b"application/json"), (b"X-Ref", b" Ab "), (b"X-Org", b"acme")])
    call = Call.of_url("c1", "POST", "http://eu.crm.test/deals/7?q=1", headers)
    return explain(config.table, config.identity, call, body).as_json()


def test_what_a_child_read_decides_as_what_was_read_here(tmp_path: Path) -> None:
    here, apart = load(write(tmp_path, EVERYTHING), os.environ), read(tmp_path)
    assert told(apart, BODY) == told(here, BODY)
    assert (told(apart, BODY)["route"], told(apart, b"{}")["route"]) == ("large", "any")
    assert (apart.digest, apart.written, apart.warnings) == (here.digest, here.written, here.warnings)
    anybody = Identities()  # its sources are functions, and no two of those are equal
    assert replace(apart.process, identity=anybody) == replace(here.process, identity=anybody)


def test_every_problem_comes_back_in_the_words_of_who_read_it(tmp_path: Path) -> None:
    write(tmp_path, EVERYTHING.replace("caps:", "cap:").replace("> 100", "> >"))
    with pytest.raises(ConfigError) as here:
        load(tmp_path, os.environ)
    with pytest.raises(ConfigError) as apart:
        read(tmp_path)
    assert apart.value.problems == here.value.problems


def test_a_file_that_never_ends_costs_the_patience_and_no_more(tmp_path: Path) -> None:
    write(tmp_path, EVERYTHING)
    os.mkfifo(tmp_path / "routes" / "pipe.yaml")
    with pytest.raises(ConfigError, match=r"took longer than 0\.2 s to read"):
        read(tmp_path, patience_s=0.2)


def test_a_reader_that_dies_is_a_problem_like_any_other(tmp_path: Path) -> None:
    with Reading(tmp_path) as reading:
        reading._child.kill()
        with pytest.raises(ConfigError, match="its reader ended with -9"):
            reading.config()


def test_a_reader_that_cannot_be_started_is_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="no process to read it: No such file"):
        read(tmp_path)


def test_whoever_leaves_early_leaves_no_reader_behind(tmp_path: Path) -> None:
    with Reading(tmp_path) as reading:
        pass
    assert reading._child.returncode == -9


def test_the_folder_that_one_stands_in_has_no_say_in_what_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "yaml.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    assert read(REPO / "config").digest == load(REPO / "config", os.environ).digest


def test_a_process_that_serves_has_imported_nothing_that_only_reads(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import sidecar.cli.serve, sidecar.app, sidecar.control.endpoints;"
        "from sidecar.apart import Reading; Reading(Path(sys.argv[1])).config(); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(REPO / "config")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not {"pydantic", "pydantic_core", "yaml", "typer", "click", "rich"} & loaded
    assert {"aiohttp", "cel"} <= loaded  # the sample has a condition
