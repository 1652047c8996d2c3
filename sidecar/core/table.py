"""Which route a call takes: by host or by the tool it names, then method and path, then condition; first match wins."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sidecar.core.call import Call, Identity
from sidecar.core.fleet import Fleet
from sidecar.core.route import Lane, Route, Tool
from sidecar.core.view import View


@dataclass(frozen=True, slots=True)
class Site:
    """A tool with its routes, in file order, and the two for what they do not name."""

    tool: Tool
    routes: tuple[Route, ...]
    read: Route
    """For GET, HEAD and OPTIONS; named ``default``."""
    write: Route
    """For everything else; named ``default``."""

    @classmethod
    def of(cls, tool: Tool, routes: Sequence[Route], lanes: "dict[str, Lane]", fleet: Fleet, *, observe: bool = False, body_limit: int = 0) -> "Site":
        """``tool`` with its default routes."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Matched:
    """A call and the route it takes."""

    route: Route
    view: View


class Choice:
    """What is known before the body: the routes that may still match."""

    reads_body: bool
    body_limit: int

    def pick(self, call: Call, who: Identity, body: bytes | None) -> Matched:
        """The route; ``body`` is read exactly where ``reads_body``."""
        raise NotImplementedError


class Table:
    """Every tool of a configuration."""

    def __init__(self, sites: Sequence[Site], fleet: Fleet, unmatched: Literal["tunnel", "deny"] = "tunnel") -> None:
        raise NotImplementedError

    def match(self, call: Call) -> Choice:
        """Raises Refusal ``egress-denied`` or ``bad-request``."""
        raise NotImplementedError


def unreachable(routes: Sequence[Route]) -> list[tuple[Route, Route]]:
    """Routes that can never match, each with the earlier one that takes all its calls."""
    raise NotImplementedError
