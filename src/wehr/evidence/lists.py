"""Lists of hosts as an operator writes them, by name, suffix or network, ready for look-up."""

from collections.abc import Iterable, Iterator
from ipaddress import ip_network

from wehr.evidence.address import parsed

NetworkKey = tuple[int, int, int]
"""A network: IP version, bits of the host part, and the number that the other bits make."""


class Names:
    """Host names and suffixes: ``.example.org`` stands for every name below it, not for itself."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._entries = frozenset(map(plain_name, entries)) - {""}
        self._suffixes = tuple(entry for entry in self._entries if entry.startswith("."))

    def __contains__(self, name: str) -> bool:
        name = name.lower().rstrip(".")
        return name in self._entries or name.endswith(self._suffixes)


class Networks:
    """Networks and single addresses: one look-up for each prefix length in use.

    Raises:
        ValueError: an entry is no network.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._keys = frozenset(map(network_key, entries))
        self._sizes = frozenset((version, bits) for version, bits, _ in self._keys)

    def __contains__(self, ip: str) -> bool:
        return bool(self._keys) and next(self.around(ip), None) is not None

    def around(self, ip: str) -> Iterator[NetworkKey]:
        """Those that an address is in; none for what is no address."""
        address = parsed(ip)
        if address is None:
            return
        number = int(address)
        for version, bits in self._sizes:
            key = (version, bits, number >> bits)
            if version == address.version and key in self._keys:
                yield key


def plain_name(entry: str) -> str:
    """A name or suffix as lists keep it: lower-case, without the dot of the root."""
    return entry.strip().lower().rstrip(".")


def entries_for(name: str) -> Iterator[str]:
    """The entries that stand for a host name, the nearest first: itself, then each suffix above it."""
    name = name.lower().rstrip(".")
    yield name
    while name := name.partition(".")[2]:
        yield f".{name}"


def network_key(entry: str) -> NetworkKey:
    """A network, or a single address, as lists keep it.

    Raises:
        ValueError: it is neither.
    """
    network = ip_network(entry.strip(), strict=False)
    bits = network.max_prefixlen - network.prefixlen
    return network.version, bits, int(network.network_address) >> bits
