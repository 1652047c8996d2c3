"""What a configuration asks of its agents' environment: the variables, with the files that they point at in place."""

from collections.abc import Mapping
from pathlib import Path

from sidecar.agentenv.share import authority, shims
from sidecar.agentenv.variables import Variable, proxy_url, variables
from sidecar.core.config import Config


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
    ca_cert = config.process.tls.ca_cert
    certificates = authority(Path(ca_cert), share, environ) if ca_cert else None
    return variables(address, config.sites, certificates, shims(share) if shim else None)


def unproven(config: Config, proxy: str) -> bool:
    """The sidecar wants credentials, and the address to be given to agents has none."""
    return bool(config.process.identity.users) and "@" not in proxy
