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


class SteadyClock:
    """A clock that never goes back: while the one below does, it stands still.

    So no stage falls, and nothing is written out of its order, when a machine's clock is set back.
    """

    def __init__(self, raw: Clock) -> None:
        self.raw = raw
        self._latest = 0.0

    def __call__(self) -> float:
        """The time, never less than before."""
        now = self.raw()
        if now < self._latest:
            return self._latest
        self._latest = now
        return now

    def at_least(self, at: float) -> None:
        """Tell no time before this one."""
        self._latest = max(self._latest, at)

    def trust(self) -> None:
        """Tell the time below as it is, since somebody else bears it out."""
        self._latest = 0.0


def clock_error(before: float, stored: float, after: float, *, both_ways: bool) -> float:
    """By how many seconds a clock is wrong for certain: below zero if behind, above if ahead.

    ``stored`` is another's time, asked for between ``before`` and ``after``, so a slow answer is no error.
    Unless ``both_ways``, it is a time in the past, and a clock ahead of it is right.
    """
    if stored > after:
        return after - stored
    return max(0.0, before - stored) if both_ways else 0.0
