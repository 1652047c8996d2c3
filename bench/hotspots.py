"""Where a contender's time goes: perf for the native side, py-spy for the Python side, as they are here."""

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from bench import programs, window
from bench.contenders import Contender, Proxy
from bench.process import quiet_environment
from bench.programs import Missing
from bench.rounds import BUSY, WARM_S, start
from bench.site import Site

TOP = 40


def profile(contender: Contender, site: Site, seconds: int) -> str:
    """Run one contender under load with a profiler attached.  Missing where there is no profiler."""
    perf, spy = shutil.which("perf"), _py_spy()
    if not perf and not spy:
        raise Missing("no profiler is here: `apt-get install linux-perf`, or `pip install py-spy`")
    proxy = start(contender, site)
    try:
        window.measure(site, proxy, BUSY, WARM_S)
        parts = [_perf(perf, proxy, site, seconds)] if perf else []
        parts += [_spy(spy, proxy, site, seconds)] if spy else []
    finally:
        proxy.process.stop()
    return "\n\n".join(parts)


def _perf(perf: str, proxy: Proxy, site: Site, seconds: int) -> str:
    data = site.folder / "perf.data"
    sampling = f"-F 1999 -p {proxy.process.pid} -- sleep {seconds}".split()
    record = [perf, "record", "-o", str(data), *sampling]
    cost = _under_load(record, proxy, site, seconds)
    return "\n".join([f"perf: {cost}", *_top(perf, data, "dso", 8), "", *_top(perf, data, "symbol,dso", TOP)])


def _top(perf: str, data: Path, keys: str, rows: int) -> list[str]:
    report = [perf, "report", "-i", str(data), "--stdio", "--no-children", "--sort", keys]
    lines = subprocess.run(report, capture_output=True, text=True, check=False).stdout.splitlines()
    return [line.rstrip(" -") for line in lines if line.strip() and not line.startswith("#")][:rows]


def _spy(spy: Path, proxy: Proxy, site: Site, seconds: int) -> str:
    stacks = site.folder / "stacks.txt"
    sampling = f"-p {proxy.process.pid} -d {seconds} -r 200 --gil --function -f raw".split()
    record = [str(spy), "record", "-o", str(stacks), *sampling]
    cost = _under_load(record, proxy, site, seconds)
    if not stacks.exists():
        return (
            f"py-spy recorded nothing: {proxy.contender.title} is no Python program, or it may not be traced"
        )
    own, total = tally(stacks.read_text().splitlines())
    samples = max(sum(own.values()), 1)
    rows = [
        f"{100 * count / samples:6.1f} {100 * total[name] / samples:6.1f}  {name}"
        for name, count in own.most_common(TOP)
    ]
    return "\n".join([f"py-spy: {cost}, % of the time that Python ran: own, with callees", *rows])


def tally(stacks: Iterable[str]) -> tuple[Counter[str], Counter[str]]:
    """Samples in each function itself, and in it or below it, from collapsed stacks (``a;b;c 12``)."""
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        own[frames[-1]] += int(count)
        for frame in set(frames):
            total[frame] += int(count)
    return own, total


def _under_load(record: list[str], proxy: Proxy, site: Site, seconds: int) -> str:
    """Attach, drive, wait for the recorder to write.  The load outlasts it a little."""
    recorder = subprocess.Popen(
        record, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=quiet_environment()
    )
    try:
        seen = window.measure(site, proxy, BUSY, seconds + 1)
        recorder.wait(timeout=seconds + 30)
    finally:
        if recorder.poll() is None:
            recorder.kill()
            recorder.wait()
    return f"{proxy.contender.title}, {seen.cpu_us:.1f} us a call (profiler attached)"


def _py_spy() -> Path | None:
    places = (Path(sys.prefix) / "bin", programs.PEERS / "bin")
    found = shutil.which("py-spy") or next(
        (str(place / "py-spy") for place in places if (place / "py-spy").exists()), None
    )
    return Path(found) if found else None
