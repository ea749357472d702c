"""One server: what is known of it, where it stands, what comes next, and what an operator can do."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time
from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from starlette.exceptions import HTTPException
from starlette.responses import Response

from wehr.catalogue import links
from wehr.evidence.build import Build
from wehr.ledger import Store, deeds
from wehr.ledger.explaining import explain_server
from wehr.ledger.rows import Event, ServerRow, SightingRow
from wehr.ledger.selecting import hours_of, tallies_of
from wehr.ledger.state import DAY
from wehr.ledger.story import story
from wehr.policy import Holds
from wehr.policy.pauses import QuotaExceeded, used
from wehr.policy.scope import Exemption, exemption_stops
from wehr.policy.windows import HOUR
from wehr.web.counts import SERIES, column
from wehr.web.languages import N_
from wehr.web.visit import Need, Page, Visit

_EVENTS: Final = 50
_MESSAGES: Final = 100
_HOURS: Final = 48
"""So many hours back the messages are counted by hour."""


class Shown(Struct, frozen=True):
    """One build over time: from the first to the last day on which it was shown."""

    build: Build
    first: float
    last: float
    days: int
    compliant: bool | None
    """None if it could not be judged, or was judged in several ways."""


class _Known(Struct, frozen=True):
    """What the store holds of a server."""

    row: ServerRow
    events: list[Event]
    messages: list[SightingRow]
    holds: Holds
    """As the store has them: what was done a moment ago may not be in force on this node yet."""
    exemptions: dict[str, Exemption]
    """Those of them that fit this server and are not of the configuration, by id."""
    secret: bytes


async def _known(visit: Visit) -> _Known:
    ref, policy = visit.path["ref"], visit.house.present.policy

    def look_up(store: Store) -> _Known | None:
        row = store.server(ref)
        if row is None or row.ref != ref:
            return None
        events = store.events(ref=ref, limit=_EVENTS)
        exemptions = store.exemptions()
        holds = Holds.of(policy, store.pauses(), tuple(exemptions.values()))
        fitting = {
            ident: exemption
            for ident, exemption in exemptions.items()
            if exemption_stops((exemption,), row.key, row.state.client_ip, row.client_name)
        }
        return _Known(row, events, store.history(ref, limit=_MESSAGES), holds, fitting, store.secret)

    known = await visit.house.ask(look_up)
    if known is None or not visit.visitor.sees(known.row.key.tenant):
        raise HTTPException(404)
    return known


async def _server(visit: Visit, error: str = "", status: int = 200) -> Response:
    known = await _known(visit)
    row = known.row
    basis = replace(visit.house.basis([row.key]), holds=known.holds)
    tallies = await visit.house.ask(lambda store: tuple(tallies_of(store, [row.ref])))
    since = (basis.now // HOUR - _HOURS + 1) * HOUR
    counted = await visit.house.ask(lambda store: hours_of(store, row.ref, since))
    told = await visit.house.work(lambda: story(row, tallies, basis, known.secret))
    explained = await visit.house.work(lambda: explain_server(row, basis, known.secret))
    holds, policy = known.holds, visit.house.present.policy
    year = datetime.fromtimestamp(basis.now, UTC).year
    return await visit.page(
        "server.html",
        status,
        error=error,
        story=told,
        explained=explained,
        events=known.events,
        messages=known.messages,
        builds=_builds(row),
        hours=_hours(counted),
        hours_back=_HOURS,
        series=SERIES,
        pauses=[it for it in holds.pauses if it.tenant == row.key.tenant and it.server in (None, row.key)],
        exemptions=known.exemptions,
        days_left=max(0, policy.pause_days - used(holds.pauses, row.key.tenant, year)),
        links=links,
        now=basis.now,
    )


def _builds(row: ServerRow) -> list[Shown]:
    first_day = row.state.first_seen // DAY
    found = []
    for stamp in row.state.stamps:
        judged = {True: stamp.good, False: stamp.bad, None: stamp.unjudged}
        ways = [way for way, days in judged.items() if days]
        last = (first_day + stamp.seen.bit_length() - 1) * DAY
        alone = ways[0] if len(ways) == 1 else None
        found.append(
            Shown(stamp.build, stamp.first_at, max(last, stamp.first_at), stamp.seen.bit_count(), alone)
        )
    return sorted(found, key=lambda it: it.build, reverse=True)


def _hours(counted: Sequence[tuple[int, str, bool, int]]) -> dict[float, list[int]]:
    """The messages of each hour that has any, the latest first, by `SERIES`."""
    found: dict[float, list[int]] = {}
    for hour, action, enforced, messages in reversed(counted):
        found.setdefault(hour * HOUR, [0] * len(SERIES))[column(action, enforced=enforced)] += messages
    return found


async def _pause(visit: Visit) -> Response:
    known, form = await _known(visit), await visit.form()
    days = form.get("days", "")
    if not days.isdecimal() or not 1 <= int(days[:4]) <= 366:
        return await _server(visit, N_("Say for how many days, from 1 to 366."), 400)
    now, quota = visit.house.now(), visit.house.present.policy.pause_days

    def pause(store: Store) -> None:
        deeds.pause(
            store,
            known.row.key.tenant,
            known.row,
            start=None,
            days=int(days),
            why=form.get("why", ""),
            by=visit.visitor.name,
            now=now,
            quota=quota,
        )

    return await _done(visit, pause)


async def _exempt(visit: Visit) -> Response:
    known, form = await _known(visit), await visit.form()
    now = visit.house.now()
    try:
        until = _end_of(form.get("until", ""))
    except ValueError:
        return await _server(visit, N_("Write the day as YYYY-MM-DD."), 400)

    def exempt(store: Store) -> None:
        key = known.row.key
        deeds.exempt(
            store,
            server=key.name,
            network=key.network,
            tenant=key.tenant,
            until=until,
            why=form.get("why", ""),
            by=visit.visitor.name,
            now=now,
            ref=known.row.ref,
        )

    return await _done(visit, exempt)


async def _cancel(visit: Visit) -> Response:
    await _known(visit)
    form = await visit.form()
    now, visitor = visit.house.now(), visit.visitor

    def cancel(store: Store) -> None:
        deeds.cancel_pause(
            store,
            form.get("pause", "")[:40],
            why=form.get("why", ""),
            by=visitor.name,
            now=now,
            sees=visitor.sees,
        )

    return await _done(visit, cancel)


async def _end_exemption(visit: Visit) -> Response:
    known, form = await _known(visit), await visit.form()
    now, visitor = visit.house.now(), visit.visitor

    def end(store: Store) -> None:
        deeds.end_exemption(
            store,
            form.get("exemption", "")[:40],
            why=form.get("why", ""),
            by=visitor.name,
            now=now,
            sees=visitor.sees,
            ref=known.row.ref,
        )

    return await _done(visit, end)


async def _done(visit: Visit, deed: Callable[[Store], None]) -> Response:
    try:
        await visit.house.ask(deed)
    except QuotaExceeded:
        return await _server(visit, N_("So many days are not left this year."), 409)
    except ValueError:
        return await _server(
            visit, N_("That cannot be done: give a reason, and an end that is to come."), 400
        )
    return visit.redirect("server", ref=visit.path["ref"])


def _end_of(day: str) -> float | None:
    """The end of a day (UTC); None for no day.

    Raises:
        ValueError: it is no day.
    """
    if not day.strip():
        return None
    return datetime.combine(datetime.fromisoformat(day.strip()).date(), time.max, UTC).timestamp()


PAGES: Final = (
    Page("/servers/{ref}", _server, Need.READ, "server"),
    Page("/servers/{ref}/pause", _pause, Need.OPERATE, "pause_server", ("POST",)),
    Page("/servers/{ref}/exempt", _exempt, Need.OPERATE, "exempt_server", ("POST",)),
    Page("/servers/{ref}/end-exemption", _end_exemption, Need.OPERATE, "end_exemption_of_server", ("POST",)),
    Page("/servers/{ref}/cancel", _cancel, Need.OPERATE, "cancel_pause_of_server", ("POST",)),
)
