"""Rules by the hosts that they are for, so that a message is not held against every one of them."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Generic, TypeVar

from wehr.evidence.lists import NetworkKey, Networks, entries_for, network_key, plain_name

T = TypeVar("T")


class Index(Generic[T]):
    """Finds the rules that may fit a host, in the order in which they were given.

    Each is given with names or suffixes, or networks, without any of which it cannot fit; with none of them
    it may fit every host. Whether it does fit is for the rule to say.

    Raises:
        ValueError: a network cannot be read.
    """

    def __init__(self, rules: Iterable[tuple[T, Sequence[str], Sequence[str]]]) -> None:
        self._rules: list[T] = []
        self._places: dict[str | NetworkKey | None, list[int]] = {}
        every: list[str] = []
        for rule, names, networks in rules:
            every += networks
            keys: list[str | NetworkKey | None] = [*map(plain_name, names), *map(network_key, networks)]
            for key in keys or [None]:
                self._places.setdefault(key, []).append(len(self._rules))
            self._rules.append(rule)
        self._networks = Networks(every)

    def find(self, ip: str, *names: str) -> list[T]:
        """What may fit a host with this address and these names."""
        if not self._rules:
            return []
        keys = chain((None,), self._networks.around(ip), *map(entries_for, names))
        places = {place for key in keys for place in self._places.get(key, ())}
        return [self._rules[place] for place in sorted(places)]
