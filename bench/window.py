"""One window: one load on one proxy, with readings of everybody's counters on both sides of it."""

from dataclasses import dataclass
from typing import Literal

from bench import checks
from bench.contenders import Proxy
from bench.process import core_busy_us
from bench.site import Site
from bench.wrk import Load, drive


@dataclass(frozen=True, slots=True)
class Reading:
    """The counters at one moment."""

    proxy_cpu_us: int
    store_cpu_us: int
    core_us: int
    scripts: int
    upstream: int

    @classmethod
    def take(cls, site: Site, proxy: Proxy) -> "Reading":
        return cls(
            proxy.process.cpu_us(),
            site.store.process.cpu_us(),
            core_busy_us(site.proxy_core),
            site.store.scripts(),
            site.upstream.requests(),
        )


@dataclass(frozen=True, slots=True)
class Window:
    """What a load saw, and what it cost."""

    load: Load
    cpu_us: float
    """In the proxy's process, a call."""
    store_cpu_us: float
    """In the store's process, a call."""
    scripts: float
    """Store scripts a call."""
    others_share: float
    """Of the proxy's core: time that somebody else took.  Noise."""


def measure(
    site: Site, proxy: Proxy, connections: int, seconds: int, calls: Literal["fresh", "same"] = "fresh"
) -> Window:
    """Drive the load and charge it.  Raises Wrong where the proxy did something else than its row says."""
    host = site.upstream.host
    before = Reading.take(site, proxy)
    load = drive(proxy.port, f"http://{host}", host, connections=connections, seconds=seconds, calls=calls)
    after = Reading.take(site, proxy)
    checks.check_load(load)
    upstream, scripts = after.upstream - before.upstream - 1, after.scripts - before.scripts
    if calls == "same":
        checks.check_replays(load, upstream, scripts)
    else:
        checks.check_work(load, connections, upstream, scripts, proxy.contender.promise)
    cpu_us = after.proxy_cpu_us - before.proxy_cpu_us
    return Window(
        load,
        cpu_us=cpu_us / load.calls,
        store_cpu_us=(after.store_cpu_us - before.store_cpu_us) / load.calls,
        scripts=scripts / load.calls,
        others_share=max(0, after.core_us - before.core_us - cpu_us) / load.duration_us,
    )
