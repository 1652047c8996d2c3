"""Batches that were done in part, and keys that an upstream knows a re-send by."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web

from tests.e2e.conftest import Start
from tests.e2e.harness import Seen, Tool, admin, ask, configure, drop

BATCH = """
  - name: batch
    match: {method: POST, path: /batch}
    locks: ["deal:{body.inputs[*].id}"]
    partial: {when: "size(answer.body.errors) > 0"}
"""
INPUTS = {"inputs": [{"id": "1"}, {"id": "2"}]}


@pytest.mark.parametrize("status", [200, 207, 400, 502])
async def test_a_batch_that_was_done_in_part_is_answered_and_not_sent_again(
    tool: Tool, start: Start, tmp_path: Path, status: int
) -> None:
    async def in_part(_seen: Seen, _request: web.Request) -> web.Response:
        return web.json_response({"done": ["1"], "errors": [{"id": "2"}]}, status=status)

    tool.react = in_part
    sidecar = await start(configure(tmp_path, tool, BATCH))
    first = await ask(sidecar, "POST", "http://crm.test/batch", INPUTS)
    again = await ask(sidecar, "POST", "http://crm.test/batch", INPUTS)
    assert (again.status, again.body, again.verdict) == (status, first.body, "replayed")
    assert len(tool.seen) == 1
    await sidecar.decided(route="batch", outcome="partial", status=status)
    counted = (await admin(sidecar, "/metrics")).body.decode()
    assert 'sidecar_outcomes_total{outcome="partial",tool="crm"} 1' in counted


def header_key(seen: Seen) -> str:
    return str(seen.headers["X-Key"])


def query_key(seen: Seen) -> str:
    return parse_qs(urlsplit(seen.path).query)["key"][0]


def body_key(seen: Seen) -> str:
    return str(seen.json["key"])


@pytest.mark.parametrize(
    ("place", "key_of"),
    [
        ({"header": "X-Key"}, header_key),
        ({"query": "key"}, query_key),
        ({"body": "key"}, body_key),
    ],
    ids=["header", "query", "body"],
)
async def test_a_resend_carries_the_key_that_the_upstream_saw_first(
    tool: Tool, start: Start, tmp_path: Path, place: Mapping[str, str], key_of: object
) -> None:
    where, name = next(iter(place.items()))
    fields = f"timeout: 5s\ndownstream_key: {{{where}: {name}, max_length: 20, retention: 24h}}"
    sidecar = await start(configure(tmp_path, tool, tool_fields=fields))
    tool.react = drop
    lost = await ask(sidecar, "POST", "http://crm.test/charges?a=1", {"amount": 5})
    assert lost.json["outcome"] == "unknown"
    tool.react = None
    sent = await ask(sidecar, "POST", "http://crm.test/charges?a=1", {"amount": 5})
    other = await ask(sidecar, "POST", "http://crm.test/charges?a=1", {"amount": 6})
    assert (sent.verdict, other.verdict) == ("executed", "executed")
    keys = [key_of(seen) for seen in tool.seen]  # type: ignore[operator]
    assert keys[0] == keys[1] != keys[2]
    assert all(len(key) == 20 for key in keys)


async def test_a_key_that_the_upstream_may_have_forgotten_is_not_relied_upon(
    tool: Tool, start: Start, tmp_path: Path
) -> None:
    fields = "timeout: 5s\ndownstream_key: {header: X-Key, retention: 10s}"  # noticed after 5 s, there after 5 more
    sidecar = await start(configure(tmp_path, tool, tool_fields=fields))
    tool.react = drop
    await ask(sidecar, "POST", "http://crm.test/charges", {"amount": 5})
    again = await ask(sidecar, "POST", "http://crm.test/charges", {"amount": 5})
    assert (again.reason, len(tool.seen)) == ("outcome-unknown", 1)
