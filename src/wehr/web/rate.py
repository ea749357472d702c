"""How often a network may ask for what is open to everybody. Bounded; kept by each process for itself."""

from collections import OrderedDict
from typing import Final

_MOST: Final = 10_000
"""Networks that are remembered, the latest."""


class Rate:
    """Lets through so many requests a minute of each network, and as many at once.

    Args:
        a_minute: requests.
    """

    def __init__(self, a_minute: int) -> None:
        self._a_minute = float(a_minute)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, network: str, now: float) -> bool:
        """Whether one more is let through at ``now``, in seconds of any clock."""
        left = self._refilled(network, now)
        self._left.pop(network, None)
        self._left[network] = (max(0.0, left - 1), now)
        if len(self._left) > _MOST:
            self._left.popitem(last=False)
        return left >= 1

    def spent(self, network: str, now: float) -> bool:
        """Whether one more would not be let through; it is not counted."""
        return self._refilled(network, now) < 1

    def _refilled(self, network: str, now: float) -> float:
        left, at = self._left.get(network, (self._a_minute, now))
        return min(self._a_minute, left + max(0.0, now - at) * self._a_minute / 60)
