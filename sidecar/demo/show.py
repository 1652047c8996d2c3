"""Both halves of the demo, one after the other, and what they add up to."""

import asyncio
import json
import shutil
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sidecar.demo.child import ChildError, News
from sidecar.demo.counts import Counts, counts
from sidecar.demo.narrator import Narrator, Note, seconds
from sidecar.demo.scenes import SCENES
from sidecar.demo.screen import Screen
from sidecar.demo.script import Script
from sidecar.demo.stage import Stage

CURTAIN_S = 120.0
"""A healthy show takes a quarter of it; past it something hangs, and the demo says so and ends."""


@dataclass(frozen=True, slots=True)
class Result:
    """Both columns of the table."""

    seed: int
    without: Counts
    gated: Counts

    def as_json(self) -> str:
        halves = {"without": self.without.as_json(), "with": self.gated.as_json()}
        return json.dumps({"seed": self.seed, "ok": self.gated.good} | halves, indent=2)


async def show(seed: int, quick: bool, screen: Screen) -> Result:
    """Play both halves.  Raises ChildError where a process fails; whatever happens, none is left behind."""
    script = Script.draw(seed, quick)
    state = Path(tempfile.mkdtemp(prefix="sidecar-demo-"))
    stop = asyncio.current_task()
    assert stop is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.cancel)
    try:
        async with asyncio.timeout(CURTAIN_S):
            screen.opening()
            screen.half(1, "without sidecars")
            without = await half(script, None, screen)
            screen.half(2, "with two sidecars, sharing one store")
            gated = await half(script, state, screen)
    except TimeoutError:
        raise ChildError(f"the demo did not end within {CURTAIN_S:.0f} s") from None
    finally:
        shutil.rmtree(state, ignore_errors=True)
    screen.table(without, gated)
    return Result(seed, without, gated)


async def half(script: Script, state: Path | None, screen: Screen) -> Counts:
    """Play every scene once; with sidecars where ``state`` names a folder for their store."""
    narrator = Narrator()

    def heard(news: News) -> None:
        if note := narrator.hear(news):
            screen.note(note)

    async with Stage.open(script, state, heard) as stage:
        for number, scene in enumerate(SCENES, 1):
            with screen.scene(number, scene.title):
                await scene.play(stage)
                await stage.rest()
                if scene.watches:
                    wait = (
                        f"{scene.watches}'s slowest answer: {seconds(stage.slowest_s[scene.watches] * 1000)}"
                    )
                    screen.note(Note("answer", "measured", wait))
        found, work = await stage.tally()
        unknown = await stage.unknown()
        return counts(found, work, script.work, unknown, stage.slowest_s["quiet"])
