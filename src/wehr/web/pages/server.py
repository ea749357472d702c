"""One server: what is known of it, where it stands, what comes next, and what an operator can do."""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from starlette.exceptions import HTTPException
from starlette.responses import Response

from wehr.catalogue import links
from wehr.evidence.build import Build
from wehr.ledger import Store
from wehr.ledger.explaining import explain_server
from wehr.ledger.rows import Event, ServerRow, SightingRow
from wehr.ledger.state import DAY
from wehr.ledger.story import story
from wehr.policy import Holds
from wehr.policy.clock import stopped
from wehr.policy.scope import Exemption, exemption_stops
from wehr.web.counts import SERIES
from wehr.web.holding import days_left
from wehr.web.pages import deeds
from wehr.web.pages.hours import messages_by_hour
from wehr.web.visit import Need, Page, Visit

_EVENTS: Final = 50
_MESSAGES: Final = 100


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
    """Those of them that fit this server and are the visitor's to see, but for the configuration's; by id."""
    exempt: bool
    """Whether another one leaves the server alone now."""
    secret: bytes


async def _known(visit: Visit) -> _Known:
    ref, policy, visitor = visit.path["ref"], visit.house.present.policy, visit.visitor
    now = visit.house.now()

    def look_up(store: Store) -> _Known | None:
        row = store.server(ref)
        if row is None or row.ref != ref:
            return None
        events = store.events(ref=ref, tenants=visitor.tenants, limit=_EVENTS)
        exemptions = store.exemptions()
        holds = Holds.of(policy, store.pauses(), tuple(exemptions.values()))
        stops = {
            ident: exemption_stops((it,), row.key, row.state.client_ip, row.client_name)
            for ident, it in exemptions.items()
        }
        seen = {ident: it for ident, it in exemptions.items() if stops[ident] and visitor.sees(it.tenant)}
        exempt = any(stopped(stops[ident], now) for ident in stops.keys() - seen)
        return _Known(row, events, store.history(ref, limit=_MESSAGES), holds, seen, exempt, store.secret)

    known = await visit.house.ask(look_up)
    if known is None or not visitor.sees(known.row.key.tenant):
        raise HTTPException(404)
    return known


async def _server(visit: Visit) -> Response:
    known = await _known(visit)
    row = known.row
    basis = replace(visit.house.basis([row.key]), holds=known.holds)
    tallies = await visit.house.ask(lambda store: tuple(store.sums(refs=[row.ref])))
    by_hour = await messages_by_hour(visit, row.ref)
    told = await visit.house.work(lambda: story(row, tallies, basis, known.secret))
    explained = await visit.house.work(lambda: explain_server(row, basis, known.secret))
    holds = known.holds
    return await visit.page(
        "server.html",
        done=deeds.told(visit),
        story=told,
        explained=explained,
        events=known.events,
        messages=known.messages,
        builds=_builds(row),
        hours={hour: counts for hour, counts in reversed(by_hour.items()) if any(counts)},
        hours_back=len(by_hour),
        series=SERIES,
        pauses=[it for it in holds.pauses if it.tenant == row.key.tenant and it.server in (None, row.key)],
        exemptions=known.exemptions,
        exempt=known.exempt,
        days_left=days_left(visit, holds.pauses, row.key.tenant),
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


PAGES: Final = (Page("/servers/{ref}", _server, Need.READ, "server"),)
