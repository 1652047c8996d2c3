"""Unknown outcomes in the store: who asks the upstream about one, and what it turns out to be."""

from contextlib import suppress
from typing import Any, Final

from sidecar.core.call import Answer
from sidecar.core.claim import Claim
from sidecar.core.probe import Turn
from sidecar.gate import answers, peek, words
from sidecar.gate.link import StoreAway
from sidecar.gate.store import Store
from sidecar.gate.waiting import Waiting

LOOK_S: Final = 1.0
"""Between two looks of a call that waits for what another hears."""


class Unknowns:
    """One gate's.  Everything here raises Refusal ``store-unavailable`` where the store is away."""

    def __init__(self, store: Store, waiting: Waiting) -> None:
        self._store = store
        self._waiting = waiting

    async def probe(self, claim: Claim, hold_ms: int, lag_ms: int) -> Turn:
        """Whether the claim's call may ask, now, and for ``hold_ms``."""
        word, fence, ms = await self._run(
            "probe", claim.call, _key(claim), str(hold_ms), str(lag_ms), self._store.waker
        )
        return Turn(word.decode(), fence, ms)

    async def heard(self, claim: Claim, longest_s: float) -> None:
        """Until another call has done asking, or it is worth a look, or ``longest_s`` has passed."""
        try:
            await self._waiting.turn(claim.call, min(longest_s, LOOK_S))
        finally:
            self._waiting.forget(claim.call)

    async def unprobe(self, claim: Claim, rest_ms: int) -> None:
        """The claim's call asks no more; nobody does for ``rest_ms``."""
        await self._run("unprobe", claim.call, _key(claim), str(rest_ms))

    async def resolve(self, intent: str, applied: bool, answer: Answer | None, fence: int = 0) -> bool:
        """Say what an unknown attempt did; ``fence``: only this one.  False where there is no such thing."""
        ending, packed = "done" if applied else "free", b""
        if applied and answer is not None:
            with suppress(ValueError):  # it cannot be kept as it is: then it is only known that it was done
                ending, packed = "answer", answers.pack(answer)
        reply = await self._run("resolve", intent, str(fence or ""), ending, "", packed)
        more = reply[1]
        while more:
            more = (await self._run("sweep"))[1]
        return bool(reply[0] == b"resolved")

    async def one(self, intent: str) -> peek.Item | None:
        """What there is to know of one."""
        found = await peek.unknown(self._store, intent)
        return found[0] if found else None

    async def _run(self, name: str, *arguments: str | bytes) -> list[Any]:
        try:
            return await self._store.run(name, *arguments)
        except StoreAway:
            raise words.away() from None


def _key(claim: Claim) -> str:
    assert claim.intent is not None
    return claim.intent.key
