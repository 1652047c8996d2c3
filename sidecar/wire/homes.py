"""Where the tools live: an agent that was redirected may not reach a tool's address under another name, or none.

A tunnel made of a redirected connection goes to the address that the agent had chosen, since names that are no tool's
are none of our business.  But an agent chooses both, the address and what it says of it, and bytes for a tool would
pass blind if it said something else.  So the tools' hosts are resolved here, by us, and an address that they lead to
is theirs: who wants it must ask for the tool, or for a name that lives there too, as neighbours in a content network
do.

Names rotate among addresses, so one that was seen is remembered for ``MEMORY_S``.  What a wildcard stands for cannot be
looked up, and whoever has a name of his own may point it anywhere: ``egress: {unmatched: deny}`` is for those who do
not trust their agents that far.
"""

import asyncio
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from sidecar.core.refusal import Refusal
from sidecar.wire.egress import Address, carried, literal
from sidecar.wire.resolve import TTL_S, Resolver

MEMORY_S: Final = 3600.0
MOST: Final = 10_000
"""Addresses remembered; past it all are looked up anew."""
LOOK_S: Final = 2.0
"""A tunnel waits this long for names that do not resolve; what is known already stands."""


class Homes:
    """Of one configuration's tools."""

    def __init__(self, resolver: Resolver, hosts: Iterable[str] = ()) -> None:
        self._resolver = resolver
        self._known: dict[Address, tuple[str, float]] = {}
        self._look_again_s = 0.0
        self.obey(hosts)

    def obey(self, hosts: Iterable[str]) -> None:
        """These are the tools' from now on."""
        self._hosts = tuple(hosts)
        self._known.clear()
        self._look_again_s = 0.0

    async def check(self, address: str, name: str) -> None:
        """Raises Refusal ``egress-denied`` where a tool lives at ``address`` and ``name`` does not."""
        await self._look()
        where = ip_address(address)
        host = self._at(where)
        if host is None or (literal(name) is None and await self._leads(name, where)):
            return
        raise Refusal(
            "egress-denied",
            f"A tool lives at {address}, {host}, and calls to it are gated: they must name it. Nothing was sent. "
            f"Call https://{host} by its name, with the SDK or URL that the tool is meant to be called by.",
            outcome="not_sent",
        )

    def _at(self, address: Address) -> str | None:
        now_s = asyncio.get_running_loop().time()
        for face in (address, *carried(address)):
            host, until_s = self._known.get(face, ("", 0.0))
            if until_s > now_s:
                return host
        return None

    async def _leads(self, name: str, address: Address) -> bool:
        found = await self._resolver.find(name)
        return not isinstance(found, OSError) and address in found

    async def _look(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s < self._look_again_s:
            return
        if len(self._known) > MOST:
            self._known.clear()
        try:
            async with asyncio.timeout(LOOK_S):
                await asyncio.gather(*map(self._learn, self._hosts))
        except TimeoutError:
            return
        self._look_again_s = now_s + TTL_S

    async def _learn(self, host: str) -> None:
        address = literal(host)
        found = await self._resolver.find(host) if address is None else [address]
        if not isinstance(found, OSError):
            until_s = asyncio.get_running_loop().time() + MEMORY_S
            self._known.update((address, (host, until_s)) for address in found)
