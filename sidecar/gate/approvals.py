"""Questions to people, as the store keeps them: looking, answering, announcing.

That a call waits for one is the gate's affair (``guards``).
"""

from typing import Any

import orjson

from sidecar.gate import words
from sidecar.gate.link import StoreAway
from sidecar.gate.store import Store

MOST = 1000
"""Items in one list; a longer one is cut."""

Item = dict[str, Any]
_ABOUT = ("run", "workflow", "tool", "route", "lane", "tenant")


class Approvals:
    """One cell's.  Every method raises Refusal ``store-unavailable``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def all(self) -> list[Item]:
        """Those that are not forgotten yet: the open ones, and what became of others."""
        _, now, *found = await self._ask("approvals", "", str(MOST))
        return sorted((_item(one, now) for one in found), key=_order)

    async def one(self, approval: str) -> Item | None:
        """None: there is no such question, or it is over."""
        _, now, *found = await self._ask("approvals", approval, "1")
        return _item(found[0], now) if found else None

    async def decide(self, approval: str, verdict: str, by: str, why: str) -> tuple[str, Item | None]:
        """What ``decide`` says (``approved``, ``pending``, ``denied``, ``decided``, ``asker``, ``gone``), and the
        question as it is now.
        """
        word, *found = await self._ask("decide", approval, verdict, by, " ".join(by.casefold().split()), why)
        return word.decode(), _item(found[0], 0) if found else None

    async def next_notice(self, claim_ms: int) -> tuple[int, Item] | None:
        """A question to announce, ours for so long, and how often that was tried before."""
        reply = await self._ask("notice", str(claim_ms))
        return (reply[1], _item(reply[2], 0)) if reply[0] == b"notice" else None

    async def noticed(self, approval: str, again_ms: int) -> None:
        """It arrived; or it did not, and is tried again after ``again_ms``."""
        await self._ask("noticed", approval, str(again_ms))

    async def _ask(self, script: str, *arguments: str) -> list[Any]:
        try:
            return await self._store.run(script, *arguments)
        except StoreAway:
            raise words.away() from None


def _item(text: bytes, now_ms: int) -> Item:
    """As the admin port shows it.  ``left_ms`` is told where ``now_ms`` is known."""
    kept = orjson.loads(text)
    left = {"left_ms": int(kept["ends"] - now_ms)} if now_ms else {}
    return {
        "id": kept["id"],
        "state": kept["state"],
        "opened_ms": int(kept["opened"]),
        "ends_ms": int(kept["ends"]),
        **left,
        **dict(zip(_ABOUT, kept["about"].split("\n"), strict=False)),
        **orjson.loads(kept["seen"]),
        "call": kept["call"],
        "used_by": kept.get("used") or "",
        "needs": int(kept["needs"]),
        "decisions": [
            {"verdict": one["verdict"], "by": one["by"], "why": one["why"], "at_ms": int(one["at"])}
            for one in kept.get("said") or ()
        ],
    }


def _order(item: Item) -> tuple[bool, int]:
    """What waits for an answer first, and of that the oldest."""
    return item["state"] != "pending", item["opened_ms"]
