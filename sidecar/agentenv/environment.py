"""What a configuration asks of its agents' environment: the variables, with the files that they point at in place."""

from collections.abc import Mapping
from pathlib import Path

from sidecar.agentenv.share import authority, shims, there
from sidecar.agentenv.variables import Authority, Variable, proxy_url, variables
from sidecar.core.config import Config, Tls


def environment(
    config: Config,
    environ: Mapping[str, str],
    *,
    proxy: str = "",
    share: Path | None = None,
    shim: bool = False,
) -> list[Variable]:
    """The files are written where they are missing or old.  Raises ValueError and ShareError."""
    address = proxy or proxy_url(config.process.listen.proxy)
    certificates = _certificates(config.process.tls, share, environ)
    return variables(address, config.sites, certificates, shims(share) if shim else None)


def _certificates(tls: Tls, share: Path | None, environ: Mapping[str, str]) -> Authority | None:
    if tls.share:  # the sidecar's own to write
        return there(share or Path(tls.share))
    return authority(Path(tls.ca_cert), share, environ) if tls.ca_cert else None


def unproven(config: Config, proxy: str) -> bool:
    """The sidecar wants credentials, and the address to be given to agents has none."""
    return bool(config.process.identity.users) and "@" not in proxy
