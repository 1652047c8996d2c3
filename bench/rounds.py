"""Rounds: every contender has its turn under the same load; a machine that slows down slows all of them."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench import checks, window
from bench.backing import free_port, until_ready
from bench.contenders import Contender, Proxy
from bench.process import Process
from bench.site import Site
from bench.window import Window
from bench.wrk import drive

BUSY, LONE = 16, 1
"""Connections: enough that a proxy is rarely idle, and one, where nothing hides its latency."""

BUSY_S, LONE_S, WARM_S = 2, 1, 1

SETTLE_S = 0.7

STARTS = 5

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Turn:
    """One contender's part of one round."""

    busy: Window
    lone: Window


@dataclass(frozen=True, slots=True)
class Round:
    """Everybody's turn, and what they are compared with."""

    direct_p50_us: int
    """One connection straight to the upstream."""
    turns: dict[str, Turn]
    replay: Window | None
    """The gated sidecar, asked the same thing over and over."""


@dataclass(frozen=True, slots=True)
class Start:
    """A program that was started and left alone."""

    ready_s: float
    """From exec to the first answered call."""
    idle_bytes: int


@dataclass(frozen=True, slots=True)
class Run:
    """What was measured."""

    rounds: list[Round]
    starts: dict[str, list[Start]]


def run(contenders: Sequence[Contender], site: Site, rounds: int, say: Say) -> Run:
    """Measure.  Raises Wrong where a row did not do what its name says."""
    say("starts")
    early = {one.name: _starts(one, site) for one in contenders if one.name == "pass"}
    with _running(contenders, site) as proxies:
        starts = {proxy.name: [*early.get(proxy.name, []), _started(proxy)] for proxy in proxies}
        calls = Counter({proxy.name: _warm_up(proxy, site, say) for proxy in proxies})
        done = [_round(site, proxies[:: -1 if n % 2 else 1], n, say) for n in range(rounds)]
    for one in done:
        calls.update({name: turn.busy.load.calls + turn.lone.load.calls for name, turn in one.turns.items()})
    _check_logs(proxies, calls)
    return Run(done, starts)


def start(contender: Contender, site: Site) -> Proxy:
    """Start a contender and wait for its first right answer."""
    port = free_port()
    folder = site.folder / f"proxy-{port}"
    folder.mkdir()
    command = contender.command(site, folder, port)
    began = time.monotonic()
    process = Process(
        command, None, folder / "stderr"
    )  # a start may use the machine, as it does where it is used
    try:
        until_ready(contender.title, process, lambda: checks.ask(port, site.upstream.host))
        ready_s = time.monotonic() - began
        process.pin(site.proxy_core)
        checks.check_answer(contender.title, checks.ask(port, site.upstream.host), contender.promise)
    except BaseException:
        process.stop()
        raise
    return Proxy(contender, process, port, ready_s)


@contextlib.contextmanager
def _running(contenders: Sequence[Contender], site: Site) -> Iterator[list[Proxy]]:
    """All of them at once: one that is idle costs the others nothing."""
    with contextlib.ExitStack() as stack:
        proxies = []
        for contender in contenders:
            proxies.append(start(contender, site))
            stack.callback(proxies[-1].process.stop)
        yield proxies


def _starts(contender: Contender, site: Site) -> list[Start]:
    """What a start costs on a machine that does nothing else."""
    found = []
    for _ in range(STARTS - 1):
        with _running([contender], site) as [proxy]:
            found.append(_started(proxy))
    return found


def _started(proxy: Proxy) -> Start:
    """What a program still imports behind its first answer belongs to its idle memory."""
    time.sleep(SETTLE_S)
    return Start(proxy.ready_s, proxy.process.rss_bytes())


def _warm_up(proxy: Proxy, site: Site, say: Say) -> int:
    """The calls of one window that is not reported."""
    say(f"warming up {proxy.name}")
    with _naming(proxy):
        return window.measure(site, proxy, BUSY, WARM_S).load.calls


def _round(site: Site, proxies: Sequence[Proxy], number: int, say: Say) -> Round:
    say(f"round {number + 1}: straight to the upstream")
    direct = drive(site.upstream.port, "", site.upstream.host, connections=LONE, seconds=LONE_S)
    checks.check_load(direct)
    turns, replay = {}, None
    for proxy in proxies:
        say(f"round {number + 1}: {proxy.name}")
        with _naming(proxy):
            busy = window.measure(site, proxy, BUSY, BUSY_S)
            turns[proxy.name] = Turn(busy, window.measure(site, proxy, LONE, LONE_S))
            if proxy.name == "gated":
                replay = window.measure(site, proxy, LONE, LONE_S, "same")
    return Round(direct.p50_us, turns, replay)


def _check_logs(proxies: Sequence[Proxy], calls: Counter[str]) -> None:
    """Once the proxies have ended, and so have written what they held back."""
    for proxy in proxies:
        if proxy.contender.promise.logged:
            with _naming(proxy):
                checks.check_log(proxy.process.lines.ended(), calls[proxy.name])


@contextlib.contextmanager
def _naming(proxy: Proxy) -> Iterator[None]:
    """Say whose row was wrong."""
    try:
        yield
    except checks.Wrong as wrong:
        raise checks.Wrong(f"{proxy.contender.title}: {wrong}") from wrong
