"""``sidecar ca``: the authority that interception signs with."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from sidecar.cli.report import err, out, print_json, refused
from sidecar.core.units import host_name
from sidecar.settings import Config, ConfigError, load
from sidecar.wire.authority import Authority
from sidecar.wire.certificates import new_authority, new_server, permitted
from sidecar.wire.proof import signed_hosts
from sidecar.wire.trust import TrustError

ca = typer.Typer(
    name="ca", add_completion=False, no_args_is_help=True, help="The authority that interception signs with."
)

Folder = Annotated[
    Path | None, typer.Option("--config", help="The folder that holds sidecar.yaml and routes/.")
]


@ca.command()
def init(
    config: Folder = None,
    target: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write ca.crt and ca.key here. Default: where 'tls' says."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=7300, help="How long it is valid.")] = 1825,
    force: Annotated[bool, typer.Option("--force", help="Replace one that is there already.")] = False,
) -> None:
    """Make an authority that may sign for the hosts of the configured tools, and for no others."""
    loaded = None if config is None else _loaded(config)
    cert, key = _paths(loaded, target)
    hosts = [] if loaded is None else signed_hosts(loaded)
    if loaded is not None and not hosts:
        _fail(f"{config}: no tool has 'hosts', so there is nothing that an authority could sign for")
    made = new_authority(hosts, datetime.now(UTC), timedelta(days=days))
    if not force and (there := [str(path) for path in (cert, key) if path.exists()]):
        _fail(
            f"{' and '.join(there)} already there: agents that trust it would have to be given the new one. "
            "--force replaces it"
        )
    try:
        _write(cert, made[0], 0o644)
        _write(key, made[1], 0o600)
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}")
    _tell(cert, key, hosts)


@ca.command()
def webhook(
    target: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Write ca.crt, tls.crt and tls.key here.")
    ],
    host: Annotated[
        str, typer.Option(help="The name that the API server calls it by: SERVICE.NAMESPACE.svc.")
    ] = "sidecar-webhook.agent-sidecar.svc",
    days: Annotated[int, typer.Option(min=1, max=7300, help="How long it is valid.")] = 1825,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there already.")] = False,
) -> None:
    """Make the certificate of 'sidecar webhook', and the authority that the API server is to know it by.

    The authority signs this one certificate and its key is then forgotten, so nobody can make another.
    """
    paths = [target / name for name in ("ca.crt", "tls.crt", "tls.key")]
    if not force and (there := [str(path) for path in paths if path.exists()]):
        _fail(f"{' and '.join(there)} already there; --force replaces it")
    if not host_name(host):
        _fail(f"--host: '{host}' is no host name; write SERVICE.NAMESPACE.svc")
    authority, key, leaf = new_server(host, datetime.now(UTC), timedelta(days=days))
    try:
        for path, content, mode in zip(paths, (authority, leaf, key), (0o644, 0o644, 0o600), strict=True):
            _write(path, content, mode)
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}")
    out().print(f"made {paths[1]} and {paths[2]} for {host}, good for {days} days", markup=False)
    out().print(f"the webhooks' clientConfig has caBundle: what 'base64 -w0 {paths[0]}' prints", markup=False)


@ca.command()
def show(
    config: Folder = None,
    target: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where ca.crt and ca.key are. Default: as 'tls' says."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Print what the authority is, and what it may sign for."""
    cert, key = _paths(None if config is None else _loaded(config), target)
    try:
        authority = Authority.load(str(cert), str(key))
    except TrustError as error:
        _fail(str(error))
    told = {
        "ca_cert": str(cert),
        "fingerprint_sha256": authority.fingerprint,
        "expires": f"{authority.certificate.not_valid_after_utc:%Y-%m-%d}",
        "signs_for": permitted(authority.certificate),
    }
    if json:
        print_json(told)
        return
    out().print(f"{cert}\n  SHA-256  {told['fingerprint_sha256']}\n  expires  {told['expires']}")
    out().print(f"  signs    {_hosts(permitted(authority.certificate))}")


def _loaded(folder: Path) -> Config:
    try:
        return load(folder, os.environ)
    except ConfigError as error:
        refused(error)
        raise typer.Exit(1) from None


def _paths(config: Config | None, target: Path | None) -> tuple[Path, Path]:
    if target is not None:
        return target / "ca.crt", target / "ca.key"
    if config is None or not config.process.tls.ca_cert:
        err().print(
            "say where: --out DIR, or --config DIR whose sidecar.yaml has 'tls: {ca_cert: ..., ca_key: ...}'"
        )
        raise typer.Exit(2)
    return Path(config.process.tls.ca_cert), Path(config.process.tls.ca_key)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all, and never readable by more than ``mode`` says, not for a moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _tell(cert: Path, key: Path, hosts: list[str]) -> None:
    out().print(f"made {cert} and {key}: signs for {_hosts(hosts)}")
    out().print(
        f"in sidecar.yaml: tls: {{ca_cert: {cert.absolute()}, ca_key: {key.absolute()}}}; agents get {cert.name} alone"
    )
    if not hosts:
        err().print(
            "warning: it may sign for every server in the world; with --config DIR it is held to the tools' hosts"
        )


def _hosts(hosts: list[str]) -> str:
    return ", ".join(hosts) or "every host"


def _fail(message: str) -> None:
    err().print(message)
    raise typer.Exit(1)
