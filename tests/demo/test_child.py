"""A process of the demo is heard, and never left behind."""

import json
import os
import signal
import sys
from collections.abc import AsyncIterator

import pytest

from sidecar.demo.child import Child, ChildError, News

ECHO = """
import json, sys
print(json.dumps({"event": "ready"}), flush=True)
for line in sys.stdin:
    print(json.dumps({"event": "heard", "line": line.strip()}), flush=True)
"""
STUBBORN = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('{"event": "ready"}', flush=True)
sys.stdin.read()
"""


@pytest.fixture
async def children() -> AsyncIterator[list[Child]]:
    started: list[Child] = []
    yield started
    for child in started:
        await child.stop(1)


async def start(children: list[Child], code: str, heard: list[News]) -> Child:
    child = await Child.start("child", sys.executable, "-c", code, env=os.environ, heard=heard.append)
    children.append(child)
    return child


async def test_news_is_heard_as_it_comes_and_can_be_waited_for(children: list[Child]) -> None:
    heard: list[News] = []
    child = await start(children, ECHO, heard)
    await child.first(event="ready")
    child.say("go")
    assert await child.first(line="go") == {"event": "heard", "line": "go"}
    assert heard == [{"event": "ready"}, {"event": "heard", "line": "go"}]


async def test_waiting_for_what_a_dead_process_can_no_longer_say_fails_with_its_last_words(
    children: list[Child],
) -> None:
    child = await start(children, "import sys; sys.exit('no room')", [])
    with pytest.raises(ChildError, match="no room"):
        await child.first(event="ready")


async def test_its_status_comes_after_its_last_news(children: list[Child]) -> None:
    child = await start(children, f"print({json.dumps({'event': 'bye'})!r}); raise SystemExit(3)", [])
    assert await child.ended() == 3
    assert child.news == [{"event": "bye"}]


async def test_one_that_ignores_the_request_to_end_is_ended_anyway(children: list[Child]) -> None:
    child = await start(children, STUBBORN, [])
    await child.first(event="ready")
    await child.stop(0.1)
    assert await child.ended() == -signal.SIGKILL
