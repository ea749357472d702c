"""Times and days as they are given on the command line: ISO 8601, UTC unless they say otherwise."""

from datetime import UTC, date, datetime

import rich_click as click

_YEARS = range(1970, 2200)
"""From the last of them even a long ladder ends before the year 9999, after which there are no dates."""


class Instant(click.ParamType[float]):
    """A time as seconds since 1970: ``2026-11-21``, ``2026-11-21T14:00`` or ``2026-11-21T14:00:00+01:00``."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, or fail with what is allowed."""
        if isinstance(value, float):
            return value
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a time such as 2026-11-21 or 2026-11-21T14:00:00Z", param, ctx)
        if moment.year not in _YEARS:
            self.fail(f"{value!r} is not in the years {_YEARS[0]} to {_YEARS[-1]}", param, ctx)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class Day(click.ParamType[date]):
    """A day: ``2026-11-21``."""

    name = "date"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Read it, or fail with what is allowed."""
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a day such as 2026-11-21", param, ctx)


def iso(at: float | None) -> str | None:
    """Seconds since 1970 as ISO 8601 in UTC, to the second: ``2026-11-21T14:00:00Z``."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
