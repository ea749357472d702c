"""Pauses: a tenant's clocks stopped for some days, inside a yearly quota.

The unit is the UTC day. A pause uses every day that it touches; a day on which several pauses of a tenant
hold is used once. Pauses are values in a tuple, and the functions here give a new tuple: where it is kept,
and that two requests do not cross, is the ledger's business. Should they cross all the same, ``granted`` cuts
what is over the quota, in one order everywhere.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from wehr.policy.ladder import DAY
from wehr.policy.types import ServerKey

QUOTA = 90
"""Days for each tenant and calendar year, Exchange Online's figure."""
_LONGEST = 366


class QuotaExceeded(ValueError):
    """A pause would use more days of a year than are left. The text says which year and how many are left."""


class Pause(Struct, frozen=True):
    """The clocks of a tenant, or of one of its servers, stopped from ``start`` for ``days`` started days.

    ``requested`` (who came first) and ``id`` order pauses; ``cancelled`` is when it was ended early. Times
    are UTC seconds since 1970.
    """

    id: str
    tenant: str
    start: float
    days: int
    requested: float
    server: ServerKey | None = None
    """The one server that is paused; None: all of the tenant."""
    cancelled: float | None = None
    by: str = ""
    why: str = ""

    @property
    def end(self) -> float:
        """When it ends: at midnight, or when it was cancelled."""
        end = (_day(self.start) + self.days) * DAY
        return end if self.cancelled is None else max(self.start, min(end, self.cancelled))

    @property
    def touched(self) -> range:
        """The days that it uses, as days since 1970: none if it was cancelled before it began."""
        return _touched(self.start, self.end)


def request(pauses: Sequence[Pause], new: Pause, now: float, quota: int = QUOTA) -> tuple[Pause, ...]:
    """The pauses with a new one.

    Raises:
        QuotaExceeded: it needs more days than are left.
        ValueError: it begins in the past, has no days, or one of its id is there already.
    """
    if new.start < now:
        raise ValueError("a pause cannot begin in the past")
    if not 1 <= new.days <= _LONGEST:
        raise ValueError(f"a pause lasts 1 to {_LONGEST} days")
    if any(pause.id == new.id for pause in pauses):
        raise ValueError(f"there is a pause {new.id!r} already")
    return _checked((*pauses, new), new, quota)


def extend(
    pauses: Sequence[Pause], pause_id: str, days: int, now: float, quota: int = QUOTA
) -> tuple[Pause, ...]:
    """The pauses with one of them ``days`` longer.

    Raises:
        QuotaExceeded: it needs more days than are left.
        ValueError: there is no such pause, or it has ended, or ``days`` is not positive.
    """
    old = _running(pauses, pause_id, now)
    if days < 1 or old.days + days > _LONGEST:
        raise ValueError(f"a pause lasts 1 to {_LONGEST} days")
    longer = replace(old, days=old.days + days)
    return _checked(_put(pauses, longer), longer, quota)


def cancel(pauses: Sequence[Pause], pause_id: str, now: float) -> tuple[Pause, ...]:
    """The pauses with one ended now: the days it has not started are given back.

    Raises:
        ValueError: there is no such pause, or it has ended.
    """
    return _put(pauses, replace(_running(pauses, pause_id, now), cancelled=now))


def used(pauses: Iterable[Pause], tenant: str, year: int) -> int:
    """The days of a calendar year (UTC) that a tenant's pauses use, past and to come."""
    days = {day for pause in pauses if pause.tenant == tenant for day in pause.touched}
    return sum(_year(day) == year for day in days)


def granted(pauses: Sequence[Pause], tenant: str, quota: int = QUOTA) -> list[tuple[Pause, float, float]]:
    """A tenant's pauses with the times for which they hold: never more days of a year than the quota.

    Of pauses that came to be over it together, the one requested first goes first.
    """
    left: dict[int, int] = {}
    taken: set[int] = set()
    found = []
    ours = [pause for pause in pauses if pause.tenant == tenant]
    for pause in sorted(ours, key=lambda it: (it.requested, it.id)):
        end = pause.end
        for day in pause.touched:
            year = _year(day)
            if day not in taken and not left.setdefault(year, quota):
                end = max(pause.start, day * DAY)
                break
            if day not in taken:
                taken.add(day)
                left[year] -= 1
        if end > pause.start:
            found.append((pause, pause.start, end))
    return found


def _checked(pauses: tuple[Pause, ...], new: Pause, quota: int) -> tuple[Pause, ...]:
    for year in sorted({_year(day) for day in new.touched}):
        need = used(pauses, new.tenant, year)
        others = used([pause for pause in pauses if pause.id != new.id], new.tenant, year)
        if need > max(quota, others):
            left = max(0, quota - others)
            raise QuotaExceeded(
                f"the pause needs {need - others} days of {year}, "
                f"but {left} of {quota} are left to the tenant {new.tenant!r}"
            )
    return pauses


def _running(pauses: Sequence[Pause], pause_id: str, now: float) -> Pause:
    for pause in pauses:
        if pause.id == pause_id:
            if pause.cancelled is not None or pause.end <= now:
                raise ValueError(f"pause {pause_id!r} has ended")
            return pause
    raise ValueError(f"there is no pause {pause_id!r}")


def _put(pauses: Sequence[Pause], changed: Pause) -> tuple[Pause, ...]:
    return tuple(changed if pause.id == changed.id else pause for pause in pauses)


def _day(at: float) -> int:
    return int(at // DAY)


def _touched(start: float, end: float) -> range:
    return range(_day(start), -int(-end // DAY)) if end > start else range(0)


@lru_cache(maxsize=4096)
def _year(day: int) -> int:
    return datetime.fromtimestamp(day * DAY, UTC).year
