"""The ledger of one node: the state of every server in memory, from which alone decisions are taken."""

import base64
import random
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Final, TypeVar, cast

from msgspec import Struct

from wehr.evidence.build import Build
from wehr.evidence.types import Sighting
from wehr.ledger.episode import FORGET_DAYS, MEMORY_DAYS, standing, until
from wehr.ledger.state import DAY, ServerState, Stamp, as_of, day_of, merge, observe
from wehr.policy.types import ServerKey, Standing

_T = TypeVar("_T", str, Build)
_CACHED: Final = 250_000
_SHARED: Final = 20_000
_SAMPLE: Final = 8
_ESTABLISHED_DAYS: Final = 2
_SKEW: Final = 60.0
"""Seconds by which nodes' clocks may differ; an earlier time is meant as a question about the past."""


class Limits(Struct, frozen=True):
    """What bounds the ledger's memory against forged names, and how long it remembers."""

    servers: int = 1_000_000
    servers_per_network: int = 256
    """Per tenant and client network; a /24 has no more addresses."""
    memory_days: int = MEMORY_DAYS
    forget_days: int = FORGET_DAYS


def reference(key: ServerKey, secret: bytes) -> str:
    """The token that stands for a server in replies and links: 16 characters of a-z and 2-7.

    Keyed (BLAKE2b, 80 bits), so that it tells nothing and cannot be guessed; the same on every node.
    """
    text = "\0".join((key.tenant, key.name, key.network)).encode("utf-8", "surrogateescape")
    return base64.b32encode(blake2b(text, digest_size=10, key=secret[:64]).digest()).decode().lower()


class _Network:
    """The servers of one tenant and client network. ``changes`` counts what may alter an episode in it."""

    __slots__ = ("changes", "names")

    def __init__(self) -> None:
        self.names: list[ServerKey] = []
        self.changes = 0


class Ledger:
    """All that this node remembers. Not thread-safe: one event loop owns it, and nothing in it waits.

    It is bounded: a new name beyond the limits takes the place of one that is unconfirmed, was seen on one
    day only, and is the oldest of those (of a sample of eight where the whole ledger is full).

    ``evicted`` counts those; ``mixed_enforced`` is the operator's word on mixed servers.
    """

    def __init__(self, limits: Limits | None = None, *, mixed_enforced: bool = False) -> None:
        self.limits = limits or Limits()
        self.mixed_enforced = mixed_enforced
        self.evicted = 0
        self._states: dict[ServerKey, ServerState] = {}
        self._networks: dict[tuple[str, str], _Network] = {}
        # Every key, in no order, and some that are gone: to pick from at random.
        self._pool: list[ServerKey] = []
        self._cache: dict[ServerKey, tuple[int, int, Standing | None]] = {}
        self._shared: dict[object, object] = {}
        self._random = random.Random(0)  # noqa: S311 - sampling, no secret

    def configure(self, limits: Limits, *, mixed_enforced: bool) -> None:
        """Go by other limits from now on, as after a reload of the configuration."""
        self.limits = limits
        self.mixed_enforced = mixed_enforced
        self._cache.clear()

    def __len__(self) -> int:
        return len(self._states)

    def __contains__(self, key: ServerKey) -> bool:
        return key in self._states

    def __iter__(self) -> Iterator[tuple[ServerKey, ServerState]]:
        return iter(self._states.items())

    def get(self, key: ServerKey) -> ServerState | None:
        """What is remembered of a server."""
        return self._states.get(key)

    def alone(self, key: ServerKey) -> bool:
        """Whether a server is the only one known in its network."""
        network = self._networks.get((key.tenant, key.network))
        return network is not None and network.names == [key]

    def observe(self, key: ServerKey, sighting: Sighting, compliant: bool | None) -> ServerState:
        """Remember one sighting; ``compliant`` is how it was judged, None if that cannot be told."""
        old = self._states.get(key)
        new = observe(old, sighting, compliant)
        self._put(key, old, new)
        return new

    def merge(self, key: ServerKey, state: ServerState) -> None:
        """Learn what another node, or the store, remembers of a server."""
        old = self._states.get(key)
        self._put(key, old, state if old is None else merge(old, state))

    def standing(self, key: ServerKey, now: float) -> Standing | None:
        """What a decision needs of a server at ``now``; None if nothing is remembered."""
        state = self._states.get(key)
        if state is None:
            return None
        if now < state.last_seen - _SKEW:
            return self._past_standing(key, state, now)
        limits = self.limits
        if not state.ever_bad:  # most servers, and soon done
            return standing(state, now, memory_days=limits.memory_days, forget_days=limits.forget_days)
        network = self._networks[key.tenant, key.network]
        day = day_of(now)
        cached = self._cache.get(key)
        if cached is None or cached[0] != network.changes or cached[1] != day:
            cached = (network.changes, day, self._standing(key, state, network, day))
            if len(self._cache) >= _CACHED:
                self._cache.clear()
            self._cache[key] = cached
        known = cached[2]
        if known is None:
            return None
        return Standing(
            known.first_seen,
            state.last_seen,
            known.effective_build,
            None if known.episode is None else until(known.episode, now),
            known.mixed,
            state.confirmed_at > 0.0,
        )

    def _standing(self, key: ServerKey, state: ServerState, network: _Network, day: int) -> Standing | None:
        """The standing at the end of the day: but for its last moments it is the same all day."""
        many = len(network.names) > 1
        return standing(
            state,
            (day + 1) * DAY - 1,
            memory_days=self.limits.memory_days,
            forget_days=self.limits.forget_days,
            mixed_enforced=self.mixed_enforced,
            states={other.name: self._states[other] for other in network.names} if many else None,
            name=key.name,
        )

    def _past_standing(self, key: ServerKey, state: ServerState, now: float) -> Standing | None:
        """The standing that a server had, for whoever asks about a message of the past."""
        then = as_of(state, now)
        if then is None:
            return None
        names = self._networks[key.tenant, key.network].names
        others = {other.name: as_of(self._states[other], now) for other in names}
        return standing(
            then,
            now,
            memory_days=self.limits.memory_days,
            forget_days=self.limits.forget_days,
            mixed_enforced=self.mixed_enforced,
            states={name: known for name, known in others.items() if known is not None},
            name=key.name,
        )

    def forget(self, now: float) -> int:
        """Drop the servers that have been silent for ``forget_days``; tells how many."""
        oldest = now - self.limits.forget_days * DAY
        gone = [key for key, state in self._states.items() if state.last_seen <= oldest]
        for key in gone:
            self._drop(key)
        return len(gone)

    def in_network(self, tenant: str, network: str) -> tuple[ServerKey, ...]:
        """A tenant's servers in a client network."""
        known = self._networks.get((tenant, network))
        return tuple(known.names) if known else ()

    def excerpt(self, keys: Iterable[ServerKey]) -> "Ledger":
        """A ledger of these servers and their neighbours, as far as they are known: for another thread."""
        found = Ledger(self.limits, mixed_enforced=self.mixed_enforced)
        for tenant, network in {(key.tenant, key.network): None for key in keys}:
            known = self._networks.get((tenant, network))
            for other in known.names if known else ():
                found.merge(other, self._states[other])
        return found

    def find(self, matches: Callable[[ServerKey], bool]) -> list[ServerKey]:
        """The servers whose key fits; walks over all, so it is for people, not for the way of a message."""
        return [key for key in self._states if matches(key)]

    def _put(self, key: ServerKey, old: ServerState | None, new: ServerState) -> None:
        if old is None:
            key = self._admit(key)
        if old is None or not _same_shape(old, new):
            new = self._share(new)
            self._networks[key.tenant, key.network].changes += 1
        self._states[key] = new

    def _admit(self, key: ServerKey) -> ServerKey:
        """Make room for a new server and enter it in the indexes."""
        network = self._networks.get((key.tenant, key.network))
        if network is None:
            key = ServerKey(self._intern(key.tenant), key.name, key.network)
            network = self._networks[key.tenant, key.network] = _Network()
        elif network.names:
            key = ServerKey(network.names[0].tenant, key.name, network.names[0].network)
        if len(network.names) >= self.limits.servers_per_network:
            self._evict(network.names)
        elif len(self._states) >= self.limits.servers:
            self._evict(self._sample())
        # Its last server may just have gone, and the network with it.
        self._networks.setdefault((key.tenant, key.network), network).names.append(key)
        self._pool.append(key)
        return key

    def _evict(self, candidates: Iterable[ServerKey]) -> None:
        self._drop(min(candidates, key=lambda key: _worth(self._states[key])))
        self.evicted += 1

    def _sample(self) -> list[ServerKey]:
        """Some servers picked at random; keys that are gone are swept out on the way."""
        found: list[ServerKey] = []
        while len(found) < min(_SAMPLE, len(self._states)):
            index = self._random.randrange(len(self._pool))
            if self._pool[index] in self._states:
                found.append(self._pool[index])
            else:
                self._pool[index] = self._pool[-1]
                self._pool.pop()
        return found

    def _drop(self, key: ServerKey) -> None:
        del self._states[key]
        self._cache.pop(key, None)
        network = self._networks[key.tenant, key.network]
        network.names.remove(key)
        network.changes += 1
        if not network.names:
            del self._networks[key.tenant, key.network]
        if len(self._pool) > 2 * len(self._states) + _SAMPLE:
            self._pool = list(self._states)

    def _share(self, state: ServerState) -> ServerState:
        """The same state made of values that other servers have as well: most run one of few builds."""
        stamps = tuple(
            Stamp(
                self._intern(stamp.build), stamp.first_at, stamp.good, stamp.bad, stamp.unjudged, stamp.starts
            )
            for stamp in state.stamps
        )
        return ServerState(
            state.first_seen,
            state.last_seen,
            stamps,
            state.client_ip,
            self._intern(state.software),
            state.confirmed_at,
            state.direct_at,
        )

    def _intern(self, value: _T) -> _T:
        if len(self._shared) >= _SHARED:
            return value
        return cast("_T", self._shared.setdefault(value, value))


def _same_shape(old: ServerState, new: ServerState) -> bool:
    """Whether only times moved that no episode depends on."""
    return new.stamps == old.stamps and new.client_ip == old.client_ip and new.software == old.software


def _worth(state: ServerState) -> tuple[bool, bool, float]:
    """The order in which servers go when room is needed, lowest first."""
    seen = 0
    for stamp in state.stamps:
        seen |= stamp.seen
    return (state.confirmed_at > 0.0, seen.bit_count() >= _ESTABLISHED_DAYS, state.last_seen)
