"""Sentences that are made in one place, and said in the visitor's language where they are shown."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

from msgspec import Struct

Value = str | int | date | datetime


class Words(Struct, frozen=True):
    """An English text, marked with `N_`, and what stands in its places (``%(name)s``).

    Each value is said as what it is: a time with its zone, a day, a number as the language writes it.
    """

    text: str
    values: Mapping[str, Value] = {}


def moment(at: float) -> datetime:
    """UTC seconds since 1970 as a value."""
    return datetime.fromtimestamp(at, UTC)
