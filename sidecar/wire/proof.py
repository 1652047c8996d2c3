"""Every certificate and key that a configuration names, tried once: at the start, at a reload, and by ``check``.

A file that is missing is found out here, and not by the first call that would need it.
"""

from typing import TYPE_CHECKING

from sidecar.core.config import Config
from sidecar.core.outbound import Trust
from sidecar.wire.trust import client_context

if TYPE_CHECKING:
    from sidecar.wire.authority import Authority


def proven(config: Config, kept: "Authority | None" = None) -> "Authority | None":
    """The authority that interception signs with, if there is one.  Raises TrustError where any file is no good.

    An ephemeral one that was made before is ``kept``: agents know that one, and no other.
    """
    tls = config.process.tls
    named = {site.tool.trust for site in config.sites if site.tool.trust is not None}
    if tls.upstream_ca:
        named.add(Trust())
    for trust in named:
        client_context(trust, tls.upstream_ca)
    hosts = signed_hosts(config)
    if not tls.intercepts or (tls.ephemeral and not hosts):
        return None
    if tls.ephemeral and kept is not None and kept.ephemeral:
        return kept
    from sidecar.wire.authority import Authority  # brings cryptography: 40 ms and 8 MB, for who intercepts

    return Authority.made(hosts) if tls.ephemeral else Authority.load(tls.ca_cert, tls.ca_key)


def signed_hosts(config: Config) -> list[str]:
    """What an authority must be able to sign for.  A name stands for all below it too, so a wildcard is its name."""
    return sorted({host.name for site in config.sites for host in site.tool.hosts})
