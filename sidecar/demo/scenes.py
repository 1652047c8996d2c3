"""The five collisions, step by step.

Each waits for events, never for a time: that both have read, that a write has reached its tool, that the
noise is there.  So a collision that is rare in production happens on every run, with sidecars and without.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sidecar.demo.child import Child
from sidecar.demo.script import IMPATIENCE_S
from sidecar.demo.stage import Stage, count


@dataclass(frozen=True, slots=True)
class Scene:
    """One way in which agents trip over each other."""

    title: str
    play: Callable[[Stage], Awaitable[None]]
    watches: str = ""
    """The run whose slowest answer is the point of it."""


async def same_lead_twice(stage: Stage) -> None:
    """A queue delivers each lead to two runs, and both have read it before either writes."""
    leads = stage.script.twice
    first, second = await asyncio.gather(
        *(stage.agent("sdr", f"sdr-{n + 1}", group=n, leads=leads, subject="Welcome") for n in range(2))
    )
    for lead in leads:
        await together(f"read {lead}", first, second)
        first.say("go")
        await stage.tools["crm"].first(event="arrived", record=lead, nth=1)
        second.say("go")
        await together(f"updated {lead}", first, second)
        first.say("go")
        second.say("go")
    await asyncio.gather(stage.finish(first), stage.finish(second))


async def retry_while_running(stage: Stage) -> None:
    """The client gives up before the tool answers, its framework tries again, and the agent goes on from
    there."""

    async def close(number: int, deal: str) -> None:
        await stage.finish(
            await stage.agent("closer", f"closer-{number}", timeout_s=IMPATIENCE_S, leads=[deal])
        )

    await asyncio.gather(*(close(number, deal) for number, deal in enumerate(stage.script.retried, 1)))


async def noisy_neighbour(stage: Stage) -> None:
    """Forty workers of one tenant keep the CRM's four slots busy; a quiet tenant comes along."""
    script = stage.script
    noisy, quiet = await asyncio.gather(
        stage.agent("importer", "noisy", tenant="noisy", group=0, workers=script.noisy),
        stage.agent("importer", "quiet", tenant="quiet", group=1, workers=[script.quiet]),
    )
    await together("start", noisy, quiet)
    noisy.say("go")
    await noisy.until(lambda: count(noisy, "imported") >= len(script.noisy) // 2, "its noise")
    quiet.say("go")
    await asyncio.gather(stage.finish(noisy), stage.finish(quiet))


async def lost_response(stage: Stage) -> None:
    """The charge is done and its answer lost; the framework tries again with a fresh key."""
    await stage.finish(await stage.agent("biller", "biller", invoices=stage.script.lost))


async def killed_agent(stage: Stage) -> None:
    """The agent dies while its charge runs; a supervisor restarts it on the other node, and it does its work
    again."""
    for number, (invoice, amount) in enumerate(stage.script.killed.items(), 1):
        victim = await stage.agent("biller", f"dunning-{number}", group=0, invoices={invoice: amount})
        await stage.tools["billing"].first(event="arrived", record=invoice, nth=1)
        stage.kill(victim)
        again = await stage.agent("biller", f"dunning-{number}", group=1, invoices={invoice: amount})
        await stage.finish(again)


async def together(point: str, *agents: Child) -> None:
    """Wait until all of them stand at ``point``."""
    for agent in agents:
        await agent.first(event="at", point=point)


SCENES = (
    Scene("One lead, picked up by two runs", same_lead_twice),
    Scene("A retry, while the first attempt still runs", retry_while_running),
    Scene("A noisy tenant's 40 workers, next to a quiet one", noisy_neighbour, watches="quiet"),
    Scene("A lost response, then a retry with a fresh key", lost_response),
    Scene("An agent killed mid-call, then restarted", killed_agent),
)
