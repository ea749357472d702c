"""A server's messages by hour: the figures, and their picture."""

from datetime import UTC, datetime
from typing import Final

from babel.dates import format_datetime
from starlette.exceptions import HTTPException
from starlette.responses import Response

from wehr.ledger.selecting import hours_of
from wehr.policy.windows import HOUR
from wehr.web import charts
from wehr.web.counts import SERIES, column
from wehr.web.languages import N_
from wehr.web.pages.pictures import picture
from wehr.web.render import SHORT_DAYS
from wehr.web.visit import Need, Page, Visit

HOURS: Final = 48
"""So many hours back messages are counted."""


async def messages_by_hour(visit: Visit, ref: str) -> dict[int, list[int]]:
    """The messages of each of the last hours, the earliest first: its begin, and counts by `SERIES`."""
    end = int(visit.house.now() // HOUR) + 1
    found = {hour: [0] * len(SERIES) for hour in range(end - HOURS, end)}
    counted = await visit.house.ask(lambda store: hours_of(store, ref, (end - HOURS) * HOUR))
    for hour, action, enforced, messages in counted:
        if hour in found:  # or another node's clock is ahead
            found[hour][column(action, enforced=enforced)] += messages
    return {hour * HOUR: counts for hour, counts in found.items()}


async def _chart(visit: Visit) -> Response:
    ref = visit.path["ref"]
    row = await visit.house.ask(lambda store: store.server(ref))
    if row is None or not visit.visitor.sees(row.key.tenant):
        raise HTTPException(404)
    hours = await messages_by_hour(visit, ref)
    labels = [_label(at, visit.language) for at in hours]
    series = {
        visit.translate(text): (color, [counts[number] for counts in hours.values()])
        for number, (text, color) in enumerate(SERIES)
    }
    title = f"{row.key.name}: {visit.translate(N_('Messages by hour'))} (UTC)"
    return await picture(visit, lambda width: charts.stacked(title, labels, series, width))


def _label(at: int, language: str) -> str:
    return str(
        format_datetime(datetime.fromtimestamp(at, UTC), f"{SHORT_DAYS[language]} HH:mm", locale=language)
    )


PAGES: Final = (Page("/servers/{ref}/messages.svg", _chart, Need.READ, "hours_chart"),)
