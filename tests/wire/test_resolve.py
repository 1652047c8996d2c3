import asyncio
from collections.abc import Iterable

import pytest

from sidecar.core.refusal import Refusal
from sidecar.tasks import spawn
from sidecar.wire.egress import Egress
from sidecar.wire.resolve import MAX_NAMES, Resolver
from tests.wire.scripted import until


class Names:
    """A resolver's other end, with an answer for each name, and a memory of what it was asked."""

    def __init__(self, **answers: list[str]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, host: str) -> Iterable[str]:
        self.asked.append(host)
        await self.open.wait()
        if host not in self.answers:
            raise OSError(-2, "Name or service not known")
        return self.answers[host]


async def refusal(resolver: Resolver, host: str) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await resolver.addresses(host, 443)
    return refused.value


async def test_an_address_is_never_looked_up() -> None:
    names = Names()
    resolver = Resolver(Egress(), names)
    assert [str(address) for address in await resolver.addresses("0x08080808", 443)] == ["8.8.8.8"]
    assert (await refusal(resolver, "2130706433")).code == "egress-denied"
    assert names.asked == []


async def test_a_name_that_is_denied_is_never_looked_up() -> None:
    names = Names(**{"metadata.google.internal": ["8.8.8.8"]})
    assert (await refusal(Resolver(Egress(), names), "metadata.google.internal")).code == "egress-denied"
    assert names.asked == []


async def test_a_name_that_leads_to_a_private_address_is_denied() -> None:
    assert (await refusal(Resolver(Egress(), Names(crm=["10.0.0.1"])), "crm")).code == "egress-denied"


async def test_only_the_allowed_addresses_of_a_name_are_handed_out() -> None:
    resolver = Resolver(Egress(), Names(crm=["127.0.0.1", "8.8.8.8", "::1", "fe80::1%eth0", "8.8.8.8"]))
    assert [str(address) for address in await resolver.addresses("CRM.", 443)] == ["8.8.8.8"]


async def test_a_name_that_changes_its_mind_is_checked_again() -> None:
    names = Names(crm=["8.8.8.8"])
    resolver = Resolver(Egress(), names)
    await resolver.addresses("crm", 443)
    names.answers["crm"] = ["127.0.0.1"]
    assert [str(address) for address in await resolver.addresses("crm", 443)] == ["8.8.8.8"], "remembered"
    resolver._known.clear()
    assert (await refusal(resolver, "crm")).code == "egress-denied"


async def test_a_new_policy_judges_what_is_remembered() -> None:
    resolver = Resolver(Egress(allow=["10.0.0.0/8"]), Names(crm=["10.0.0.1"]))
    await resolver.addresses("crm", 443)
    resolver.obey(Egress())
    assert (await refusal(resolver, "crm")).code == "egress-denied"


async def test_concurrent_questions_share_one_look_up_and_one_timeout_fails_nobody_else() -> None:
    names = Names(crm=["8.8.8.8"])
    names.open.clear()
    resolver = Resolver(Egress(), names)
    impatient = spawn(resolver.addresses("crm", 443), "a caller")
    patient = spawn(resolver.addresses("crm", 443), "a caller")
    await until(lambda: bool(names.asked))
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    names.open.set()
    assert len(await patient) == 1
    assert names.asked == ["crm"]


async def test_a_name_without_an_answer_is_unreachable_and_asked_again_next_time() -> None:
    names = Names(empty=[])
    resolver = Resolver(Egress(), names)
    for host in ("gone", "gone", "empty"):
        refused = await refusal(resolver, host)
        assert (refused.code, refused.outcome) == ("upstream-unreachable", "not_sent")
    assert "Name or service not known" in (await refusal(resolver, "gone")).detail
    assert names.asked == ["gone", "gone", "empty", "gone"]


async def test_the_memory_of_names_is_bounded() -> None:
    names = Names(**{f"n{number}": ["8.8.8.8"] for number in range(MAX_NAMES + 10)})
    resolver = Resolver(Egress(), names)
    for name in names.answers:
        await resolver.addresses(name, 443)
    assert len(resolver._known) <= MAX_NAMES


async def test_the_systems_resolver_knows_this_machine() -> None:
    assert (await refusal(Resolver(Egress()), "localhost")).code == "egress-denied"
    assert await Resolver(Egress(allow=["127.0.0.0/8", "::1/128"])).addresses("localhost", 80)
