"""The composition root: builds every part, and knows the order of start, reload, drain and stop.

Start: the store first (nothing is granted without it), then the proxy port, then the admin port, which no call needs.
Stop, on SIGTERM or SIGINT: no new connections and no new side effects; what is in flight finishes within ``drain`` and
is settled; the store goes last, since everything before it settles there.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, TypeVar

from sidecar import __version__
from sidecar.apart import Reading
from sidecar.control.admin import Admin
from sidecar.control.notifier import Notifier
from sidecar.control.status import Loaded, Reload
from sidecar.core.call import Call, Headers, RawHeaders
from sidecar.core.config import Config, Process
from sidecar.core.explain import explain
from sidecar.core.problems import ConfigError, Problem
from sidecar.gate.gate import Gate
from sidecar.gate.store import StoreError
from sidecar.pipeline import Pipeline
from sidecar.tasks import spawn
from sidecar.telemetry.log import Log
from sidecar.telemetry.meters import Meters
from sidecar.watch import changes
from sidecar.wire import pool, shared
from sidecar.wire.egress import Egress
from sidecar.wire.listener import Listener
from sidecar.wire.proof import proven, signed_hosts
from sidecar.wire.trust import TrustError
from sidecar.wire.upstream import HttpUpstream

if TYPE_CHECKING:
    from sidecar.wire.authority import Authority

log = logging.getLogger("sidecar")

T = TypeVar("T")


class StartError(Exception):
    """The sidecar cannot start; the text says why, to whoever started it."""


def main(config: Config) -> None:
    """Serve until a signal says stop.  Raises StartError."""
    try:
        import uvloop
    except ImportError:  # no wheel for this platform: slower, and the same program
        asyncio.run(Sidecar(config).run())
    else:
        uvloop.run(Sidecar(config).run())


class Sidecar:
    """One process.  Implements ``control.admin.Status``."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._loaded_at_s = time()
        self._last_reload: Reload | None = None
        self._reloading = asyncio.Lock()
        self._meters = Meters(tenants=config.process.fleet.tenants)
        self._authority: Authority | None = None
        self._stop = asyncio.Event()
        self._draining = False

    async def run(self) -> None:
        """Start, serve, drain, stop."""
        async with AsyncExitStack() as parts:
            await self._start(parts)
            self._listen_to_signals()
            spawn(self._watch(), "watch the config folder")
            await self._stop.wait()
            await self._drain()

    async def _start(self, parts: AsyncExitStack) -> None:
        config, process = self._config, self._config.process
        try:
            decisions = self._decisions = Log(process.log.decisions, process.log.level)
        except OSError as error:
            raise StartError(f"log.decisions: {error}") from None
        parts.callback(decisions.close)
        self._decisions = decisions
        self._meters.lines_dropped = decisions.dropped
        gate = self._gate = await self._open_store()
        self._meters.tools_paused = gate.paused_tools
        self._meters.paused_by_people = gate.paused_by_people
        parts.push_async_callback(self._gate.stop)
        try:
            self._authority = await self._prove(config)
        except TrustError as error:
            raise StartError(str(error)) from None
        self._upstream = HttpUpstream(
            _egress(process), _pool_limits(process), process.tls.upstream_ca, _homes(config)
        )
        parts.callback(self._upstream.close)
        self._pipeline = Pipeline(config, self._gate, self._upstream, self._meters, decisions.tell)
        self._listener = await self._open_proxy()
        parts.callback(self._listener.close)
        admin = Admin(self, self._gate.people, self._meters, os.environ.get("SIDECAR_ADMIN_TOKEN", ""))
        self._decisions = decisions
        self._notifier = Notifier(gate.people.approvals, process.approvals.webhook)
        self._notifier.start()
        parts.push_async_callback(self._notifier.stop)
        address = await _listening(admin.start(*process.listen.admin), "admin", process.listen.admin)
        parts.push_async_callback(admin.stop)
        log.info(
            "sidecar %s ready: proxy %s admin %s", __version__, _url(self._listener.address), _url(address)
        )

    async def _prove(self, config: Config) -> "Authority | None":
        authority = await asyncio.to_thread(_proven, config, self._authority)
        for doubt in () if authority is None else authority.doubts(signed_hosts(config)):
            log.warning("%s", doubt)
        return authority

    async def _open_store(self) -> Gate:
        store = self._config.process.store
        try:
            gate = Gate(
                store.url,
                store.namespace,
                store.lease_ms,
                Path(store.state),
                store.allow_eviction,
                self._meters,
            )
            await gate.start()
        except (ValueError, StoreError) as error:
            raise StartError(str(error)) from None
        return gate

    async def _open_proxy(self) -> Listener:
        process = self._config.process
        limits = shared.Limits(
            connections=process.limits.connections,
            head_bytes=process.limits.header_bytes,
        )
        meters = self._meters
        opening = Listener.open(
            *process.listen.proxy, self._pipeline, limits, meters.turned_away, meters.intercepted
        )
        listener = await _listening(opening, "proxy", process.listen.proxy)
        listener.obey(self._authority)
        port = process.listen.transparent
        if port:
            await _listening(listener.open_transparent(port), "transparent", ("localhost", port))
        return listener

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: spawn(self.reload(), "reload"))

    async def _watch(self) -> None:
        async for _ in changes(Path(self._config.folder), self._stop):
            await self.reload()

    async def _drain(self) -> None:
        self._draining = self._pipeline.draining = True
        self._listener.stop_accepting()
        log.info("draining: %d calls in flight", self._listener.calls)
        try:
            async with asyncio.timeout(self._config.process.drain_ms / 1000):
                await self._listener.drain()
        except TimeoutError:
            log.warning("%d calls did not end within the drain time and are broken off", self._listener.calls)

    def not_ready(self) -> Sequence[str]:
        reasons = []
        if self._draining:
            reasons.append("draining")
        if not self._gate.up:
            reasons.append("the store cannot be reached")
        return reasons

    def config(self) -> Loaded:
        config = self._config
        return Loaded(config.digest, self._loaded_at_s, config.written, self._last_reload)

    def tools(self) -> Collection[str]:
        return [site.tool.name for site in self._config.sites]

    def explain(self, method: str, url: str, headers: RawHeaders, body: bytes) -> object:
        call = Call.of_url("c0", method, url, Headers(headers))
        return explain(self._config.table, self._config.identity, call, body)

    def decided(self, what: str, by: str, why: str, about: Mapping[str, object]) -> None:
        self._decisions.decided(what, by, why, about)

    def approvers(self) -> Mapping[str, bytes]:
        return self._config.process.approvals.approvers

    async def reload(self) -> Reload:
        """Read the folder again: all of it is taken, or nothing."""
        async with self._reloading:  # two at once could end in the wrong order
            try:
                with Reading(Path(self._config.folder)) as reading:
                    config = await asyncio.to_thread(reading.config)
                self._authority = await self._prove(config)
            except ConfigError as error:
                self._last_reload = self._refuse(error)
            except TrustError as error:
                self._last_reload = self._refuse(ConfigError([Problem(config.folder, 0, 0, str(error))]))
            else:
                self._last_reload = self._obey(config)
            return self._last_reload

    def _refuse(self, error: ConfigError) -> Reload:
        self._meters.reloaded("refused")
        log.error("config refused, the last good one stays:\n%s", error)
        return Reload(time(), "refused", [str(problem) for problem in error.problems])

    def _obey(self, config: Config) -> Reload:
        self._meters.reloaded("loaded")
        self._config, self._loaded_at_s = config, time()
        self._pipeline.obey(config)
        self._listener.obey(self._authority)
        self._notifier.obey(config.process.approvals.webhook)
        self._upstream.obey(_egress(config.process), config.process.tls.upstream_ca, _homes(config))
        log.info("config reloaded: %s", config.digest)
        return Reload(time(), "loaded", [str(problem) for problem in config.warnings])


def _egress(process: Process) -> Egress:
    return Egress(process.egress.deny, map(str, process.egress.allow))


def _homes(config: Config) -> Sequence[str]:
    """The tools' hosts that can be looked up: all but wildcards."""
    return sorted({host.name for site in config.sites for host in site.tool.hosts if not host.wildcard})


def _proven(config: Config, kept: "Authority | None") -> "Authority | None":
    """The authority, and agents can find it.  Raises TrustError."""
    authority, tls = proven(config, kept), config.process.tls
    if authority is not None and tls.share:
        from sidecar.agentenv import share

        try:
            share.put(authority.pem, Path(tls.share), os.environ)
        except share.ShareError as error:
            raise TrustError(str(error)) from None
    return authority


def _pool_limits(process: Process) -> pool.Limits:
    return pool.Limits(connect_s=process.timeouts.connect_ms / 1000, idle_s=process.timeouts.idle_ms / 1000)


async def _listening(opening: Awaitable[T], what: str, address: tuple[str, int]) -> T:
    try:
        return await opening
    except OSError as error:
        host, port = address
        raise StartError(
            f"listen.{what}: cannot listen on {host}:{port}: {error.strerror or error}"
        ) from None


def _url(address: tuple[str, int]) -> str:
    host, port = address
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
