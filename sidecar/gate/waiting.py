"""Who waits in this process, and the one message or timer that lets each ask again.

A wake-up is a hint: it may be lost, or come before the reply that says ``waiting``, or after its ticket has gone.
So what arrives for nobody is remembered for a moment, and the keeper asks for everybody every second.
"""

import asyncio

_EARLY = 4096
"""Wake-ups that are remembered for calls that do not wait yet; they come within one loop tick or never."""


class Waiting:
    """The turns of this process's tickets."""

    def __init__(self) -> None:
        self._turns: dict[bytes, asyncio.Future[None]] = {}
        self._early: set[bytes] = set()
        self.tickets: set[str] = set()
        """Calls that have a ticket in the store, whether they wait or are just asking."""

    async def turn(self, call: str, longest_s: float) -> None:
        """Until ``call`` is woken, or ``longest_s`` has passed."""
        name = call.encode()
        if name in self._early:
            self._early.discard(name)
            return
        loop = asyncio.get_running_loop()
        turn = self._turns[name] = loop.create_future()
        timer = loop.call_later(max(longest_s, 0.0), _let, turn)
        try:
            await turn
        finally:
            timer.cancel()
            del self._turns[name]

    def wake(self, name: bytes) -> None:
        """It may be this call's turn."""
        turn = self._turns.get(name)
        if turn is not None:
            _let(turn)
            return
        if len(self._early) >= _EARLY:
            self._early.clear()
        self._early.add(name)

    def wake_all(self) -> None:
        for turn in self._turns.values():
            _let(turn)

    def forget(self, call: str) -> None:
        """The ticket is gone."""
        self.tickets.discard(call)
        self._early.discard(call.encode())


def _let(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
