"""The clock that leases are proven by.

It must not stand still while the machine sleeps (a lease runs out all the same), and must be read afresh (a loop's own
time is as old as its last turn, which after a pause is the very time that matters).
"""

import time
from collections.abc import Callable
from functools import partial

clock: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)
"""Seconds since some instant."""
