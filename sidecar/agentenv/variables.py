"""Every variable that an agent's container needs.

Each is here because a client reads it and no other.  Left out, on purpose: ``ALL_PROXY``, which some take for SOCKS;
``PIP_CERT``, since pip reads ``REQUESTS_CA_BUNDLE``; ``JAVA_TOOL_OPTIONS``, since a JVM wants a trust store of its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sidecar.core.config import Address
from sidecar.core.table import Site

NEAR = ("localhost", "127.0.0.1", "::1", ".svc", ".cluster.local")
METADATA = ("169.254.169.254", "metadata.google.internal")
"""Identities of pods and machines: asked at start, by clients that give up in a second."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable."""

    name: str
    value: str
    joint: str = ""
    """What stands between its value and the one that is set already; empty: it replaces that."""


@dataclass(frozen=True, slots=True)
class Authority:
    """The certificates that an agent needs where HTTPS is opened."""

    ca: Path
    """The sidecar's own authority, for what adds it to those known; with those that were added before."""
    bundle: Path
    """That and the system's, for what replaces those known."""


def proxy_url(listen: Address) -> str:
    """Where an agent on the same machine finds the proxy.  Raises ValueError."""
    host, port = listen
    if port == 0:
        raise ValueError(
            "listen.proxy has port 0, which is known only once the sidecar runs; name a port, or give --proxy URL"
        )
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - told apart, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def variables(
    proxy: str, sites: Iterable[Site], authority: Authority | None, shims: Path | None
) -> list[Variable]:
    """What to set, in the order it is told."""
    return [*_proxies(proxy, sites), *_certificates(authority), *_shims(shims)]


def _proxies(proxy: str, sites: Iterable[Site]) -> Iterable[Variable]:
    for name in (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "http_proxy",
        "https_proxy",
    ):  # curl reads http_proxy in lower case only
        yield Variable(name, proxy)
    direct = ",".join(unproxied(sites))
    for name in ("NO_PROXY", "no_proxy"):
        yield Variable(name, direct)
    yield Variable("NODE_USE_ENV_PROXY", "1")  # Node from 22.21 and 24.5 on


def unproxied(sites: Iterable[Site]) -> list[str]:
    """What goes straight: loopback, the cluster and metadata, but for what would let a tool's own host pass by."""
    hosts = [f".{pattern.name}" for site in sites for pattern in site.tool.hosts]
    return [name for name in (*NEAR, *METADATA) if not any(_covers(name, host) for host in hosts)]


def _covers(name: str, host: str) -> bool:
    return host.endswith(f".{name.lstrip('.')}")


def _certificates(authority: Authority | None) -> Iterable[Variable]:
    if authority is None:
        return
    for name in (
        "SSL_CERT_FILE",  # OpenSSL's default: Python, Go, Ruby, httpx, aiohttp, urllib3
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "AWS_CA_BUNDLE",  # botocore brings its own
        "GIT_SSL_CAINFO",  # git may be built on GnuTLS
        "HTTPLIB2_CA_CERTS",
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    ):
        yield Variable(name, str(authority.bundle))
    for name in ("NODE_EXTRA_CA_CERTS", "DENO_CERT"):  # these add to what is known
        yield Variable(name, str(authority.ca))


def _shims(folder: Path | None) -> Iterable[Variable]:
    if folder is not None:
        yield Variable("PYTHONPATH", str(folder / "python"), ":")
        preload = str(folder / "node" / "preload.js")
        yield Variable(
            "NODE_OPTIONS", f'--require="{preload}"' if " " in preload else f"--require={preload}", " "
        )


def applied(wanted: Iterable[Variable], environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` with the variables in it, less what an agent must not have."""
    result = {name: value for name, value in environ.items() if name != "SIDECAR_ADMIN_TOKEN"}
    for variable in wanted:
        before = environ.get(variable.name, "") if variable.joint else ""
        parts = before.split(variable.joint) if before else []
        added = [] if variable.value in parts else [variable.value]
        result[variable.name] = variable.joint.join([*added, *parts])
    return result
