"""What the receiver knows to be its own: host names, networks, and the relays whose word it takes."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from msgspec import Struct

from wehr.evidence.address import canonical


class Names(NamedTuple):
    """Host names, lower-case, and suffixes (``.example.org``) that stand for all names below them."""

    exact: frozenset[str]
    suffixes: tuple[str, ...]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (
            name in self.exact or bool(self.suffixes) and name.endswith(self.suffixes)
        )


class Networks(NamedTuple):
    """Networks grouped by version and prefix length: a look-up costs one set test per length in use."""

    groups: tuple[tuple[int, int, frozenset[int]], ...]
    """(version, bits to shift away, networks so shifted)."""

    def __contains__(self, ip: object) -> bool:
        return isinstance(ip, str) and bool(ip) and _inside(self.groups, ip)


@lru_cache(maxsize=4096)
def _inside(groups: tuple[tuple[int, int, frozenset[int]], ...], ip: str) -> bool:
    text = canonical(ip)
    if not text:
        return False
    address = ip_address(text)
    number, version = int(address), address.version
    return any(v == version and number >> shift in bases for v, shift, bases in groups)


class Own(Struct, frozen=True):
    """The receiver's own side, as configured.

    ``names`` are host names of its own (``.example.org`` stands for every name below it), ``networks`` its own
    networks (CIDR or single addresses), ``relays`` names and networks of trusted relays: a backup MX, a hosted
    filter, a gateway. The hop that a trusted relay stamped is believed, and the one before it judged.

    Raises:
        ValueError: an entry of ``networks`` is no network.
    """

    names: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    relays: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        compile_networks(self.networks)


class OwnSide(NamedTuple):
    """The same, compiled for look-up."""

    names: Names
    networks: Networks
    relay_names: Names
    relay_networks: Networks


@lru_cache(maxsize=64)
def compile_networks(entries: tuple[str, ...]) -> Networks:
    """Compile networks for look-up.

    Raises:
        ValueError: an entry is no network.
    """
    groups: dict[tuple[int, int], set[int]] = {}
    for entry in entries:
        network = ip_network(entry.strip(), strict=False)
        shift = network.max_prefixlen - network.prefixlen
        groups.setdefault((network.version, shift), set()).add(int(network.network_address) >> shift)
    return Networks(tuple((version, shift, frozenset(bases)) for (version, shift), bases in groups.items()))


def compile_names(entries: Iterable[str]) -> Names:
    """Compile host names and suffixes for look-up."""
    names = [entry.strip().lower().rstrip(".") for entry in entries]
    return Names(
        frozenset(name for name in names if name and not name.startswith(".")),
        tuple(name for name in names if name.startswith(".")),
    )


@lru_cache(maxsize=64)
def compile_own(own: Own) -> OwnSide:
    """Compile the receiver's own side; a relay entry that is no network is a name."""
    networks, names = [], []
    for entry in own.relays:
        (networks if _is_network(entry) else names).append(entry)
    return OwnSide(
        compile_names(own.names),
        compile_networks(own.networks),
        compile_names(names),
        compile_networks(tuple(networks)),
    )


def _is_network(entry: str) -> bool:
    try:
        ip_network(entry.strip(), strict=False)
    except ValueError:
        return False
    return True
