"""Guessing takes ever longer: after some failures an account or a network waits, each time twice as long.

Kept in memory, bounded, one for each process: with several workers a guesser has so many times the attempts.
"""

import ipaddress
from collections import OrderedDict
from typing import Final

_FREE: Final = {"account": 5, "network": 20}
"""Failures before the first wait."""
_FIRST: Final = 2.0
_LONGEST: Final = {"account": 300.0, "network": 3600.0}
"""Seconds. An account's is short, or anybody could keep its owner out."""
_FORGOTTEN: Final = 3600.0
"""Seconds after which failures no longer count."""
_MOST: Final = 10_000


class Attempts:
    """Failures to log in, by account and by client network. Times are UTC seconds since 1970."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], tuple[int, float, float]] = OrderedDict()

    def wait(self, account: str, client: str, now: float) -> float:
        """Seconds until the next attempt is looked at; 0 if it is now."""
        return max(0.0, *(self._known.get(key, (0, 0.0, 0.0))[2] - now for key in _keys(account, client)))

    def failed(self, account: str, client: str, now: float) -> None:
        """Count a failure."""
        for key in _keys(account, client):
            count, at, _ = self._known.pop(key, (0, now, 0.0))
            count = 1 if now - at > _FORGOTTEN else count + 1
            beyond = count - _FREE[key[0]]
            # The exponent is bounded, for floats are.
            wait = min(_LONGEST[key[0]], _FIRST * 2.0 ** min(beyond, 30)) if beyond >= 0 else 0.0
            self._known[key] = (count, now, now + wait)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)

    def succeeded(self, account: str, client: str) -> None:
        """Take a failure back and forget the account's others; its network's stay, for it may guess on."""
        known, network = _keys(account, client)
        self._known.pop(known, None)
        count, at, _ = self._known.get(network, (1, 0.0, 0.0))
        self._known[network] = (count - 1, at, 0.0)


def _keys(account: str, client: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("account", account.casefold()[:200]), ("network", network_of(client))


def network_of(client: str) -> str:
    """The network that a guesser has to himself: an IPv4 address, or an IPv6 /64."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return str(address)
