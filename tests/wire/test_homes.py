"""A tool's address is the tool's, by whatever other name it is asked for."""

from collections.abc import Iterable

import pytest

from sidecar.core.refusal import Refusal
from sidecar.wire import homes, resolve
from sidecar.wire.egress import Egress
from sidecar.wire.homes import Homes
from sidecar.wire.resolve import Resolver

NAMES = {
    "crm.test": ["198.51.100.7", "2001:db8::7"],
    "neighbour.test": ["198.51.100.9", "198.51.100.7"],
    "other.test": ["198.51.100.9"],
}


class Names:
    """A name server that can change its mind."""

    def __init__(self) -> None:
        self.known = {name: list(addresses) for name, addresses in NAMES.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str) -> Iterable[str]:
        self.asked.append(host)
        if host not in self.known:
            raise OSError(0, "no such name")
        return self.known[host]


def at_home(names: Names, *hosts: str) -> Homes:
    return Homes(Resolver(Egress(()), names), hosts or ("crm.test",))


async def refused(it: Homes, address: str, name: str) -> bool:
    try:
        await it.check(address, name)
    except Refusal as no:
        return no.code == "egress-denied"
    return False


@pytest.mark.parametrize(
    "address", ["198.51.100.7", "2001:db8::7", "64:ff9b::198.51.100.7", "::ffff:198.51.100.7"]
)
async def test_who_names_nobody_or_somebody_else_does_not_reach_it(address: str) -> None:
    it = at_home(Names())
    for name in (address, "other.test", "unknown.test"):
        assert await refused(it, address, name), name


async def test_who_lives_at_the_same_address_is_reached() -> None:
    it = at_home(Names())
    assert not await refused(it, "198.51.100.7", "neighbour.test")
    assert not await refused(it, "198.51.100.9", "other.test")
    assert not await refused(it, "198.51.100.9", "198.51.100.9")


async def test_an_address_it_had_a_while_ago_is_still_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (resolve, homes):
        monkeypatch.setattr(module, "TTL_S", 0.0)
    names = Names()
    it = at_home(names)
    assert await refused(it, "198.51.100.7", "other.test")
    names.known["crm.test"] = ["198.51.100.8"]
    assert await refused(it, "198.51.100.8", "other.test")
    assert await refused(it, "198.51.100.7", "other.test")
    monkeypatch.setattr(homes, "MEMORY_S", 0.0)
    it.obey(["crm.test"])
    assert not await refused(it, "198.51.100.7", "other.test")


async def test_names_are_not_looked_up_for_every_connection() -> None:
    names = Names()
    it = at_home(names, "crm.test", "gone.test", "192.0.2.1")
    for _ in range(5):
        assert not await refused(it, "198.51.100.9", "198.51.100.9")
    assert sorted(names.asked) == ["crm.test", "gone.test"]
    assert await refused(it, "192.0.2.1", "other.test"), "a tool may be named by its address"


async def test_other_tools_after_a_reload() -> None:
    it = at_home(Names())
    it.obey(["other.test"])
    assert await refused(it, "198.51.100.9", "198.51.100.9")
    assert not await refused(it, "198.51.100.7", "198.51.100.7")
