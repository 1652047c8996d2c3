"""From a host to the addresses that may be connected to: resolved once, checked, and remembered for a moment.

What is handed out are addresses that passed the egress policy; whoever connects uses exactly those, so a name
that changes its mind between the check and the connection gains nothing.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import ip_address

from sidecar.tasks import spawn
from sidecar.wire.egress import Address, Egress, literal
from sidecar.wire.refusals import unreachable

TTL_S = 10.0
"""getaddrinfo tells no TTL.  Long enough for a burst of connects, short enough to follow a failover."""
MAX_NAMES = 1024
"""An agent may invent names without end; the memory of them may not grow with it."""


LookUp = Callable[[str], Awaitable[Iterable[str]]]
"""A name to the addresses it has.  Raises OSError."""


async def system(host: str) -> Iterable[str]:
    """Ask the system's resolver: its hosts file, its search list, its DNS."""
    entries = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in entries]


class Resolver:
    """Host names to addresses.  Concurrent questions for one name share one look-up."""

    def __init__(self, egress: Egress, look_up: LookUp = system) -> None:
        self._egress = egress
        self._look_up = look_up
        self._known: dict[str, tuple[float, list[Address]]] = {}
        self._asking: dict[str, asyncio.Task[list[Address] | OSError]] = {}

    def obey(self, egress: Egress) -> None:
        """Take a new policy; every later answer is checked against it, a remembered one too."""
        self._egress = egress

    async def addresses(self, host: str, port: int) -> Sequence[Address]:
        """The addresses of ``host`` that may be used, in order of preference and never empty.

        Raises Refusal ``egress-denied`` or ``upstream-unreachable``.
        """
        address = literal(host)
        if address is not None:
            return self._egress.admit(host, [address])
        self._egress.check_name(host, port)
        found = await self.find(host.lower().rstrip("."))
        if isinstance(found, OSError):
            raise unreachable(host, port, f"the name does not resolve ({found.strerror or 'no answer'})")
        return self._egress.admit(host, found)

    async def find(self, host: str) -> list[Address] | OSError:
        """Every address of a name in its canonical spelling, whatever the policy says of them."""
        known = self._known.get(host)
        if known is not None and known[0] > asyncio.get_running_loop().time():
            return known[1]
        asking = self._asking.get(host)
        if asking is None:
            asking = self._asking[host] = spawn(self._ask(host), f"resolve {host}")
        return await asyncio.shield(asking)  # one caller's timeout must not fail the others

    async def _ask(self, host: str) -> list[Address] | OSError:
        try:
            texts = await self._look_up(host)
        except OSError as error:
            return error
        except ValueError:  # the IDNA codec has its own idea of a name
            return OSError(0, "not a valid name")
        finally:
            del self._asking[host]
        found = list(dict.fromkeys(ip_address(text.partition("%")[0]) for text in texts))
        if not found:
            return OSError(0, "no addresses")
        if len(self._known) >= MAX_NAMES:
            self._known.clear()
        self._known[host] = (asyncio.get_running_loop().time() + TTL_S, found)
        return found
