"""Telling servers from forged names: of many new names in one network none matters. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

from msgspec import Struct

from wehr.ledger.state import DAY
from wehr.policy.types import ServerKey

CROWD: Final = 16
"""Unconfirmed names seen within one day: with more of them in one network, they are left out of lists."""


class Name(Protocol):
    """What tells a server from a forged name; times are UTC seconds since 1970."""

    @property
    def key(self) -> ServerKey: ...  # noqa: D102
    @property
    def confirmed(self) -> bool: ...  # noqa: D102
    @property
    def first_seen(self) -> float: ...  # noqa: D102
    @property
    def last_seen(self) -> float: ...  # noqa: D102


_N = TypeVar("_N", bound=Name)


class Crowd(Struct, frozen=True):
    """Names that were left out, and in how many networks."""

    names: int
    networks: int

    def __str__(self) -> str:
        return (
            f"{self.names} unconfirmed names seen within one day are left out, "
            f"each of {self.networks} networks shows more than {CROWD} of them; --all lists them too."
        )


def part_crowds(rows: Sequence[_N]) -> tuple[list[_N], Crowd]:
    """The servers without those that are most likely forged, and how many these are.

    An honest server's name may be plausible at best, and new; a network full of such is somebody's game.
    """
    fleeting = Counter(_place(row) for row in rows if _is_fleeting(row))
    crowded = {place for place, count in fleeting.items() if count > CROWD}
    kept = [row for row in rows if not (_place(row) in crowded and _is_fleeting(row))]
    return kept, Crowd(len(rows) - len(kept), len(crowded))


def _is_fleeting(row: Name) -> bool:
    return not row.confirmed and row.last_seen - row.first_seen < DAY


def _place(row: Name) -> tuple[str, str]:
    return row.key.tenant, row.key.network
