"""A running sidecar's admin port, as the commands that look into it and change something ask it."""

import os
from getpass import getuser
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Any, NoReturn
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

import orjson
import typer

from sidecar.cli.report import err
from sidecar.settings import ConfigError, load

TOKEN = "SIDECAR_ADMIN_TOKEN"  # noqa: S105 - the variable's name
USUAL = "http://127.0.0.1:9901"

AdminOption = Annotated[
    str,
    typer.Option("--admin", metavar="URL", help=f"Its admin port. Default: as --config says, else {USUAL}."),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="DIR", help="The configuration that it runs with.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print what the port says, as JSON.")]
ByOption = Annotated[str, typer.Option("--by", help="Who decides. Default: the user at this terminal.")]
WhyOption = Annotated[str, typer.Option("--why", help="Why, for the log.")]


class Remote:
    """The admin port of one sidecar.  A no ends the command with exit code 1 and its reason on standard error."""

    def __init__(self, admin: str, config: Path | None) -> None:
        self._url = (admin or _configured(config)).rstrip("/")
        self._opener = build_opener(ProxyHandler({}))  # never through the very proxy that it asks about

    def get(self, path: str) -> Any:
        """What is read at ``path``."""
        return self._ask(Request(self._url + path))  # noqa: S310 - the scheme is the user's own

    @staticmethod
    def has(variable: str) -> bool:
        """Whether this terminal has a token under that name."""
        return bool(os.environ.get(variable))

    def change(self, method: str, path: str, said: object, variable: str | None = None) -> Any:
        """Change something; needs the token, or what ``variable`` has instead."""
        token = os.environ.get(variable or TOKEN, "")
        if not token:
            _give_up(f"set {TOKEN} to the sidecar's own; nothing is changed without it")
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return self._ask(Request(self._url + path, orjson.dumps(said), headers, method=method))  # noqa: S310

    def _ask(self, request: Request) -> Any:
        try:
            with self._opener.open(request, timeout=10) as answer:
                return orjson.loads(answer.read() or b"null")
        except HTTPError as error:
            _give_up(_detail(error))
        except (URLError, HTTPException, OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            _give_up(f"{self._url}: {reason}; is the sidecar running, and is that its admin port?")


def user() -> str:
    """Who sits at this terminal."""
    try:
        return getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _configured(config: Path | None) -> str:
    if config is None:
        return USUAL
    try:
        host, port = load(config, os.environ).process.listen.admin
    except ConfigError as error:
        _give_up(str(error))
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _detail(error: HTTPError) -> str:
    try:
        said = orjson.loads(error.read())
        return str(said["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the admin port answered {error.code}"


def _give_up(why: str) -> NoReturn:
    err().print(why, style="red", markup=False)
    raise typer.Exit(1)
