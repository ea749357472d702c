"""Where time comes from. Everything below takes ``now`` as an argument or is handed one of these."""

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Gives the time as UTC seconds since 1970."""

system_clock: Clock = time.time


class SetClock:
    """A clock that stands where it was set: for the demonstration and for tests."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time it was set to."""
        return self.now
