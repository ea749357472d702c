"""Where a door listens, and how each mail system writes that."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from wehr.service.config import Config
from wehr.service.door_settings import Door, split_address

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost", "localhost.localdomain"})
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "*": "127.0.0.1"}  # noqa: S104 - told apart, not listened on
_AT: Final = re.compile(r"(?:inet6?:)(\d{1,5})@(.+)")


class Place(Struct, frozen=True):
    """A TCP address, or the path of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        """As Wehr's own configuration writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.path or f"{host}:{self.port}"

    @property
    def postfix(self) -> str:
        """As Postfix writes it; so does Exim, but for unix sockets."""
        return f"unix:{self.path}" if self.path else f"inet:{self}"

    @property
    def sendmail(self) -> str:
        """As Sendmail writes it."""
        if self.path:
            return f"local:{self.path}"
        return f"inet{'6' if ':' in self.host else ''}:{self.port}@{self.host}"

    @property
    def exim(self) -> str:
        """As Exim's ``readsocket`` writes it."""
        return self.path or f"inet:{self}"

    @property
    def address(self) -> str | tuple[str, int]:
        """As the clients of the doors take it."""
        return self.path or (self.host, self.port)

    def reached_by(self, other: "Place") -> bool:
        """Whether who connects to the other one ends up here."""
        if self.path or other.path:
            return bool(other.path) and _real(self.path) == _real(other.path)
        if self.port != other.port:
            return False
        same = self.host.lower() == other.host.lower()
        return same or self.host in _ANY or (self.host in _LOOPBACK and other.host in _LOOPBACK)


def _real(path: str) -> str:
    return str(Path(path).resolve()) if path else ""


class Doors(Struct, frozen=True):
    """Where the doors listen that mail systems of this machine ask; the fields are named as the doors."""

    milter: tuple[Place, ...] = ()
    line: tuple[Place, ...] = ()
    policy_service: tuple[Place, ...] = ()
    behind: Place | None = None
    """Where the SMTP proxy hands mail on: who takes it there need not ask."""

    @classmethod
    def of(cls, config: Config, folder: Path) -> "Doors":
        """Those that a configuration opens, ``folder`` being the state folder."""
        milter, line, policy = (places(config, folder, door) for door in ("milter", "line", "policy_service"))
        return cls(milter, line, policy, read(config.smtp.next_hop) if config.smtp.listen else None)


def places(config: Config, folder: Path, door: str) -> tuple[Place, ...]:
    """Where a door listens, ``folder`` being the state folder; none if it is closed."""
    settings = getattr(config, door)
    found = [Place(*split_address(address)) for address in settings.listen]
    if isinstance(settings, Door) and settings.socket:
        found.append(Place(path=str(folder / settings.socket)))
    return tuple(found)


def preferred(found: Iterable[Place]) -> Place | None:
    """Which of them a mail system on this machine is to be given: TCP, for a chroot does not hide it."""
    for place in found:
        return Place(_ANY.get(place.host, place.host), place.port, place.path)
    return None


def read(text: str) -> Place | None:
    """What a mail system's configuration calls a place; None for what is none."""
    text = text.strip().strip("\"'")
    for prefix in ("unix:", "local:"):
        if text.startswith(prefix):
            return Place(path=text.removeprefix(prefix))
    if match := _AT.fullmatch(text):  # Sendmail
        return Place(match[2].strip("[]"), int(match[1]))
    if text.startswith("/"):
        return Place(path=text)
    try:
        host, port = split_address(text.removeprefix("inet:"))
    except ValueError:
        return None
    return Place(host, port)


def reaching(found: Iterable[Place], wanted: Iterable[Place]) -> Iterator[Place]:
    """Those of ``found`` that lead to one of the wanted."""
    goals = tuple(wanted)
    return (place for place in found if any(goal.reached_by(place) for goal in goals))
