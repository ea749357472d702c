"""Clients that have for weeks handed over nothing but other systems' mail: most sessions can pass unseen.

Kept of a client address are the days on which it was busy with such mail. What two processes know of it is
joined by a union, so that any order and repetition gives the same. A share of its sessions is watched all the
same, drawn by a key that nobody else has: who changes, or has played a long game, is found out.
"""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Final

from msgspec import Struct

MAX_CLIENTS: Final = 50_000
"""Addresses that are remembered; the one heard of least lately goes first. Some 15 MB."""
WINDOW: Final = 30
"""Days that are looked back on."""

_DAY: Final = 86_400
_MASK: Final = (1 << WINDOW) - 1


class Terms(Struct, frozen=True):
    """When a client's sessions pass, and what is said then.

    ``milters`` takes the place of Postfix's ``smtpd_milters``. A client passes that on ``days`` of the last
    `WINDOW` brought at least ``daily`` messages; of its sessions one in ``one_in`` is watched. With
    ``relays`` an Exchange that stands behind a client, and is only reported, does not speak against it.
    """

    milters: str = "DISABLE"
    days: int = 14
    daily: int = 20
    one_in: int = 20
    relays: bool = False


class Busy(Struct, frozen=True, gc=False, array_like=True):
    """The days on which a client was busy: ``days`` is a bitmap whose bit 0 is ``last``, days since 1970."""

    last: int = 0
    days: int = 0

    def join(self, other: "Busy") -> "Busy":
        """The days of both, as far as they lie inside the window before the later one's last."""
        old, new = sorted((self, other), key=lambda it: it.last)
        shift = new.last - old.last
        return Busy(new.last, (new.days | old.days << shift) & _MASK if shift < WINDOW else new.days & _MASK)

    def count(self, today: int) -> int:
        """How many of them lie inside the window before a day; days after it count as well."""
        ago = max(0, today - self.last)
        return (self.days << ago & _MASK).bit_count() if ago < WINDOW else 0


class _Client:
    """One address: ``messages`` were seen on ``day``; ``sessions`` were asked about."""

    __slots__ = ("busy", "day", "messages", "sessions", "watched")

    def __init__(self, busy: Busy) -> None:
        self.busy = busy
        self.day = self.messages = 0
        self.sessions = self.watched = 0


class Clients:
    """What one process knows of client addresses. Times are UTC seconds since 1970."""

    def __init__(self, most: int = MAX_CLIENTS) -> None:
        self._clients: dict[str, _Client] = {}
        self._most = most

    def __len__(self) -> int:
        return len(self._clients)

    def saw_other(self, ip: str, now: float, terms: Terms) -> None:
        """A message of a system that is not judged came from this address."""
        client, day = self._touched(ip), int(now // _DAY)
        if client.day != day:
            client.day, client.messages = day, 0
        client.messages += 1
        if client.messages == terms.daily:
            client.busy = client.busy.join(Busy(day, 1))

    def saw_server(self, ip: str) -> None:
        """A message showed a server that is judged: nothing of what was known before counts any more."""
        self._clients.pop(ip, None)

    def passes(self, ip: str, now: float, terms: Terms, key: bytes) -> bool:
        """Whether the next session of this address may pass unseen.

        Of each ``one_in`` sessions that are asked about here one is watched, its place drawn by ``key``, a
        secret of 16 to 64 bytes: so of any ``2 * one_in - 1`` in a row at least one is.
        """
        if ip not in self._clients:
            return False
        client = self._touched(ip)
        if client.busy.count(int(now // _DAY)) < terms.days:
            return False
        place = client.sessions % terms.one_in
        if place == 0:
            text = f"{ip} {now!r}".encode()
            digest = blake2b(text, digest_size=8, key=key, person=b"wehr sessions").digest()
            client.watched = int.from_bytes(digest, "big") % terms.one_in
        client.sessions += 1
        return place != client.watched

    def known(self) -> Iterator[tuple[str, Busy]]:
        """The addresses and their busy days, the one heard of least lately first."""
        return ((ip, client.busy) for ip, client in self._clients.items() if client.busy.days)

    def learn(self, known: Mapping[str, Busy]) -> None:
        """Add what another process knows, or an earlier one knew."""
        for ip, busy in known.items():
            client = self._clients.get(ip) or self._touched(ip)
            client.busy = client.busy.join(busy)

    def _touched(self, ip: str) -> _Client:
        """The address's record, made if there is none, as the one heard of last."""
        client = self._clients.pop(ip, None)
        if client is None:
            client = _Client(Busy())
            if len(self._clients) >= self._most:
                del self._clients[next(iter(self._clients))]
        self._clients[ip] = client
        return client
