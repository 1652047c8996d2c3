"""Whom the gate tells what happens."""

from typing import Protocol


class Observer(Protocol):
    """Each is called from the loop and must be quick."""

    def store_seconds(self, script: str, seconds: float) -> None:
        """A script's name, and the time from asking to answer."""

    def store_up(self, up: bool) -> None:
        """The store answers, or stopped to."""

    def lease_lost(self) -> None:
        """A lease lapsed while its call was in flight."""

    def settle_failed(self) -> None:
        """A settle did not reach the store at once; it is tried again in the background."""

    def queued(self, tenant: str) -> None:
        """A call stands in a line now."""

    def dequeued(self, tenant: str) -> None:
        """It does not any more."""


class Nobody:
    """Observes nothing."""

    def store_seconds(self, script: str, seconds: float) -> None: ...
    def store_up(self, up: bool) -> None: ...
    def lease_lost(self) -> None: ...
    def settle_failed(self) -> None: ...
    def queued(self, tenant: str) -> None: ...
    def dequeued(self, tenant: str) -> None: ...
