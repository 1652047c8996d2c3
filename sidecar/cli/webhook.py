"""``sidecar webhook``: the admission webhook that puts a sidecar into every agent's pod."""

import asyncio
import logging
import os
import re
import sys
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated

import typer

from sidecar import __version__
from sidecar.cli.report import err, refused
from sidecar.core.problems import ConfigError
from sidecar.core.units import address
from sidecar.inject.standard import UID
from sidecar.webhook import Injector, Options, StartError

NATIVE = (1, 29)
"""The first Kubernetes that knows init containers which go on running, unless told otherwise."""


def _version(text: str) -> tuple[int, int]:
    found = re.match(r"v?(\d{1,3})\.(\d{1,3})(?:[.+-]|\Z)", text, re.ASCII)
    if found is None:
        raise typer.BadParameter("is not a version; write 1.31, or what 'kubectl version' says")
    return int(found[1]), int(found[2])


def _listen(text: str) -> tuple[str, int]:
    try:
        return address(text)
    except ValueError as error:
        raise typer.BadParameter(f"'{text}' {error}") from None


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise typer.BadParameter(f"{error}; write a network, like 10.96.0.0/12") from None


def webhook(
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the API server asks.")],
    cert: Annotated[Path, typer.Option(metavar="FILE", help="The certificate to serve with, PEM.")],
    key: Annotated[Path, typer.Option(metavar="FILE", help="Its key, PEM.")],
    config: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="The configuration that the sidecars have: ports, tools, drain, tls."
        ),
    ],
    image: Annotated[
        str,
        typer.Option(help="The sidecar's image. Default: $SIDECAR_IMAGE, or agent-sidecar of this version."),
    ] = "",
    config_map: Annotated[
        str, typer.Option(metavar="NAME", help="The ConfigMap with sidecar.yaml, in the pod's namespace.")
    ] = "sidecar-config",
    secret: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="The Secret whose entries are the sidecar's environment; it may be absent."
        ),
    ] = "sidecar-env",  # noqa: S107 - the name of one
    uid: Annotated[int, typer.Option(min=1, help="The user that sidecars run as.")] = UID,
    kubernetes_version: Annotated[
        str, typer.Option(help="The cluster's. Before 1.29 the sidecar is a container like any other.")
    ] = "1.29",
    opt_out: Annotated[
        bool, typer.Option("--opt-out/--no-opt-out", help="Whether a pod may say 'inject: disabled'.")
    ] = True,
    image_from: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="What an image that a pod names must be, or be below; may be repeated."
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="CIDR", help="A network that enforced mode leaves alone; may be repeated."),
    ] = None,
) -> None:
    """Serve the admission webhook: /mutate puts a sidecar into pods, /validate refuses those without.

    Certificate and configuration are read again when their files change, or on SIGHUP.  'sidecar ca webhook' makes a
    certificate where nobody else does.
    """
    options = Options(
        listen=_listen(listen),
        cert=cert,
        key=key,
        folder=config,
        pods={
            "image": image or os.environ.get("SIDECAR_IMAGE", "") or f"agent-sidecar:{__version__}",
            "config_map": config_map,
            "secret": secret,
            "uid": uid,
            "native": _version(kubernetes_version) >= NATIVE,
            "opt_out": opt_out,
            "registries": tuple(image_from or ()),
            "exclude": tuple(map(_network, exclude or ())),
        },
    )
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(Injector(options).run())
    except ConfigError as error:
        refused(error)
        raise typer.Exit(1) from None
    except StartError as error:
        err().print(f"sidecar webhook: {error}", style="red", markup=False)
        raise typer.Exit(1) from None
