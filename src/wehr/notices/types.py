"""The values of this room: why somebody is written to, of which servers, and what was written before."""

from enum import StrEnum
from typing import Final

from msgspec import Struct


class Reason(StrEnum):
    """Why the administrators of a server are written to. A closed set, each with its texts."""

    DETECTED = "detected"
    """A server is out of compliance."""
    WEEK_BEFORE = "week-before"
    """In a week at the latest its mail is throttled."""
    THROTTLED = "throttled"
    """From now on its mail is throttled."""
    BLOCKED = "blocked"
    """From now on some of its mail is refused for good."""
    SHUT_OUT = "shut-out"
    """From now on all of its mail is refused."""
    FLOOR = "floor"
    """It is in compliance, but from a day to come it will not be."""
    EXPLOITED = "exploited"
    """One of its holes has come to be known to be exploited."""
    CURED = "cured"
    """All servers that were written about are in compliance again."""


LADDER: Final = (Reason.DETECTED, Reason.WEEK_BEFORE, Reason.THROTTLED, Reason.BLOCKED, Reason.SHUT_OUT)
"""The reasons that follow each other while a server stays out of compliance."""


class Place(Struct, frozen=True):
    """Where one server stands, as far as notices go by it; times are UTC seconds since 1970.

    ``throttled``, ``blocked`` and ``shut_out`` are when each begins, or began; None: never, as things stand.
    """

    tenant: str
    organisation: str
    """Whom it belongs to: a registered domain, a name that the operator gave, or else its network."""
    ref: str
    confirmed: bool
    """Whether its name is borne out by what the mail system has verified."""
    seen: bool = True
    """Whether it is still sending mail."""
    alone: bool = False
    """Exempt, or mixed and only reported: not written about."""
    detected: float | None = None
    """When its episode began; None: it is not out of compliance."""
    throttled: float | None = None
    blocked: float | None = None
    shut_out: float | None = None
    paused: bool = False
    floors: tuple[str, ...] = ()
    """Days (ISO 8601) to come from which its build is no longer accepted."""
    exploited: tuple[tuple[str, float], ...] = ()
    """Its holes that are known to be exploited, and since when they are."""


class Notice(Struct, frozen=True):
    """One message that is due. ``tenant`` to ``episode`` together are its key: there is never a second."""

    tenant: str
    organisation: str
    reason: Reason
    episode: str
    """A number that counts the organisation's episodes; for a floor its day, for holes their names."""
    servers: tuple[str, ...]
    """References, in order."""
    cves: tuple[str, ...] = ()
    """The exploited holes that it tells of."""


class Past(Notice, frozen=True, kw_only=True):
    """A notice of before."""

    id: int = 0
    at: float = 0.0
    waiting: bool = False
    """Planned, but not sent yet."""
    withdrawn: bool = False
    """Overtaken before it was sent: nobody has read it."""


class Plan(Struct, frozen=True):
    """What is to be done: notices to write, and the ids of waiting ones that are overtaken."""

    notices: tuple[Notice, ...] = ()
    withdrawn: tuple[int, ...] = ()


class Undelivered(Exception):
    """A webhook or chat did not say that it took it: try again."""
