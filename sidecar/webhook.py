"""The webhook's composition root: its port, the rule that it answers by, and what both are made of, read again as it
changes.

Everything is all or nothing: a configuration or a certificate that is no good leaves the last good one in force, and is
told.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sidecar import __version__
from sidecar.agentenv.environment import unproven
from sidecar.agentenv.variables import Authority, proxy_url, variables
from sidecar.apart import Reading
from sidecar.control.webhook import Reviewed, Webhook
from sidecar.core.config import Address, Config
from sidecar.core.problems import ConfigError
from sidecar.inject.review import Request, Verdict, answer, mutate, request, validate
from sidecar.inject.standard import SHARE, Standard
from sidecar.tasks import spawn
from sidecar.telemetry.reviews import Reviews
from sidecar.watch import Stamps, configuration, differing, stamps
from sidecar.wire.proof import signed_hosts
from sidecar.wire.serving import ServerCertificate
from sidecar.wire.trust import TrustError

log = logging.getLogger("sidecar.webhook")

Rule = Callable[[Request, Standard], Verdict]


class StartError(Exception):
    """The webhook cannot start; the text says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    listen: Address
    cert: Path
    key: Path
    folder: Path
    pods: Mapping[str, Any] = field(default_factory=dict)
    """Fields of ``Standard`` that no configuration has."""


def standard(config: Config, pods: Mapping[str, Any]) -> Standard:
    """What every sidecar gets.  Raises ValueError for a configuration that does not do for many pods."""
    process = config.process
    if process.listen.admin[1] == 0:
        raise ValueError("listen.admin has port 0, and probes must know it; name a port")
    share = Path(SHARE)
    intercepts = process.tls.intercepts
    authority = Authority(share / "ca.pem", share / "ca-bundle.pem") if intercepts else None
    return Standard(
        proxy=process.listen.proxy,
        admin=process.listen.admin,
        drain_s=-(-process.drain_ms // 1000),
        variables=tuple(variables(proxy_url(process.listen.proxy), config.sites, authority, None)),
        hosts=tuple(signed_hosts(config)),
        intercepts=intercepts,
        **pods,
    )


class Injector:
    """One process."""

    def __init__(self, options: Options) -> None:
        """Raises StartError, and ConfigError."""
        self._options = options
        self._config_read = configuration(options.folder)
        self._pair_read = self._pair()
        with Reading(options.folder) as reading:
            config = reading.config()
        try:
            self._standard = standard(config, options.pods)
            self._certificate = ServerCertificate(options.cert, options.key)
        except (ValueError, TrustError) as error:
            raise StartError(str(error)) from None
        _doubt(config)
        self._reviews = Reviews(self._expires_s)
        self._webhook = Webhook(
            {"/mutate": self._judge(mutate), "/validate": self._judge(validate)}, self._reviews
        )
        self._reloading = asyncio.Lock()
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Serve until a signal says stop.  Raises StartError."""
        options = self._options
        try:
            host, port = await self._webhook.start(*options.listen, self._certificate.context)
        except OSError as error:
            raise StartError(f"cannot listen on {options.listen}: {error.strerror or error}") from None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: spawn(self._reload(), "reload"))
        spawn(self._watch_config(), "watch the configuration")
        spawn(self._watch_certificate(), "watch the certificate")
        log.info(
            "sidecar webhook %s ready: https://%s:%d", __version__, f"[{host}]" if ":" in host else host, port
        )
        await self._stop.wait()
        await self._webhook.stop()

    def _expires_s(self) -> float:
        return self._certificate.expires.timestamp()

    def _judge(self, rule: Rule) -> Callable[[bytes], Reviewed]:
        def judge(body: bytes) -> Reviewed:
            asked = request(body)
            verdict = rule(asked, self._standard)
            return Reviewed(
                answer(asked, verdict),
                verdict.decision,
                f"{asked.namespace}/{asked.name}",
                verdict.message,
                verdict.warnings,
                asked.dry_run,
            )

        return judge

    async def _watch_config(self) -> None:
        folder = self._options.folder
        async for _ in differing([folder], lambda: configuration(folder), self._config_read, self._stop):
            await self._reload_config()

    async def _watch_certificate(self) -> None:
        folders = {path.absolute().parent for path in (self._options.cert, self._options.key)}
        async for _ in differing(folders, self._pair, self._pair_read, self._stop):
            self._reload_certificate()

    def _pair(self) -> Stamps:
        return stamps((self._options.cert, self._options.key))

    async def _reload(self) -> None:
        self._reload_certificate()
        await self._reload_config()

    def _reload_certificate(self) -> None:
        try:
            self._certificate.reload()
        except TrustError as error:
            self._reviews.reloaded("certificate", "refused")
            log.error("certificate refused, the last good one stays: %s", error)
        else:
            self._reviews.reloaded("certificate", "loaded")
            log.info("certificate reloaded, good until %s", f"{self._certificate.expires:%Y-%m-%d}")

    async def _reload_config(self) -> None:
        async with self._reloading:  # two at once could end in the wrong order
            try:
                with Reading(self._options.folder) as reading:
                    config = await asyncio.to_thread(reading.config)
                self._standard = standard(config, self._options.pods)
            except (ConfigError, ValueError) as error:
                self._reviews.reloaded("config", "refused")
                log.error("config refused, the last good one stays:\n%s", error)
            else:
                self._reviews.reloaded("config", "loaded")
                _doubt(config)
                log.info("config reloaded: %s", config.digest)


def _doubt(config: Config) -> None:
    if unproven(config, ""):
        log.warning(
            "the configuration has 'users', and injected agents have no token to prove themselves by: all their calls "
            "will be refused; pin tenants by annotation instead"
        )
