"""``sidecar redirect``: the rules that send an agent's calls here, whatever it thinks of proxies."""

from ipaddress import ip_network
from typing import Annotated

import typer

from sidecar.cli.report import err, out
from sidecar.redirect.install import RedirectError, check, install, remove
from sidecar.redirect.rules import Network, Redirect

TRANSPARENT = 15001

Ports = Annotated[
    list[int],
    typer.Option("--port", min=1, max=65535, help="A destination port to redirect; may be repeated."),
]


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}; write a network, like 10.96.0.0/12") from None


def redirect(
    uid: Annotated[
        int | None,
        typer.Option(min=0, help="The numeric user that the sidecar runs as; only it goes straight."),
    ] = None,
    to: Annotated[
        int, typer.Option(min=1, max=65535, help="The sidecar's transparent port: listen.transparent.")
    ] = TRANSPARENT,
    ports: Ports = [80, 443],  # noqa: B006 - typer copies it
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="CIDR", help="A network to leave alone; may be repeated."),
    ] = None,
    removal: Annotated[bool, typer.Option("--remove", help="Take the rules away.")] = False,
    checking: Annotated[
        bool, typer.Option("--check", help="Change nothing; say whether they are in place.")
    ] = False,
) -> None:
    """Redirect outbound TCP of every user but one to the sidecar, IPv4 and IPv6, and reject QUIC.

    For an init container: it needs NET_ADMIN, and nothing that runs later does.  May be repeated.  Exit 1: they are not
    in place.
    """
    if uid is None and not removal:
        raise typer.BadParameter("name the sidecar's user with --uid")
    if uid == 0:
        raise typer.BadParameter(
            "an agent that runs as root would go straight; the sidecar needs a user of its own"
        )
    if removal and checking:
        raise typer.BadParameter("--remove and --check are two commands")
    wanted = Redirect(uid or 0, to, tuple(sorted(set(ports))), tuple(map(_network, exclude or ())))
    try:
        if removal:
            remove()
            out().print("removed")
        elif checking:
            check(wanted)
            out().print(f"in place: {_told(wanted)}")
        else:
            by = install(wanted)
            out().print(f"redirected by {by}: {_told(wanted)}")
    except RedirectError as error:
        err().print(f"not redirected: {error}", style="red", markup=False)
        raise typer.Exit(1) from None


def _told(wanted: Redirect) -> str:
    ports = ", ".join(map(str, wanted.ports))
    left = f", but for {', '.join(map(str, wanted.exclude))}" if wanted.exclude else ""
    return f"TCP to port {ports} of every user but {wanted.uid} goes to {wanted.to}{left}; UDP is rejected"
