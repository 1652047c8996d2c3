"""A short run with real parts: the wiring from a contender to a table."""

import shutil
import sys

import pytest

from bench import rounds, site
from bench.__main__ import main
from bench.checks import Wrong
from bench.contenders import Contender, Promise, contenders
from bench.figures import figures
from bench.report import Report

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not (shutil.which("wrk") and shutil.which("nginx", path="/usr/sbin:/usr/bin")),
    reason="wrk or nginx is not installed",
)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "BUSY_S", 1)


def named(name: str) -> Contender:
    return next(one for one in contenders(peers=True) if one.name == name)


def test_a_run_measures_what_it_started_and_leaves_nothing_behind() -> None:
    with site.prepared() as here:
        run = rounds.run([named("naive")], here, 1, lambda _what: None)
        folder, upstream = here.folder, here.upstream.process
    row = figures(run).rows["naive"]
    assert row.cpu_us.median > 0
    assert row.added_p50_us.median > 0
    assert "naive aiohttp proxy" in Report({"commit": "abc"}, 1, figures(run)).markdown()
    assert not folder.exists()
    assert not upstream.running


def test_a_row_that_promises_what_it_does_not_do_stops_the_run() -> None:
    liar = Contender("liar", "a liar", named("naive").command, Promise(scripts=2, logged=False))
    with site.prepared() as here, pytest.raises(Wrong, match="a liar: 0 store scripts"):
        rounds.run([liar], here, 1, lambda _what: None)


def test_a_proxy_that_cannot_start_is_told_in_its_own_words() -> None:
    broken = Contender(
        "broken", "a broken one", lambda *_: [sys.executable, "-c", "import sys; sys.exit('bad flag')"]
    )
    with site.prepared() as here, pytest.raises(RuntimeError, match="a broken one ended at once: bad flag"):
        rounds.start(broken, here)


def test_what_is_missing_is_named_with_the_way_to_get_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert main(["--only", "naive"]) == 1
    assert "apt-get install" in capsys.readouterr().err
