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
from wehr.ledger.report import Basis
from wehr.ledger.rows import Event, ServerRow, SightingRow
from wehr.ledger.state import DAY
from wehr.ledger.story import Story, story
from wehr.policy import Holds
from wehr.policy.clock import stopped
from wehr.policy.pauses import Pause
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


class Standing(Struct, frozen=True):
    """What is known of a server, and where it stands."""

    row: ServerRow
    story: Story
    basis: Basis
    """Its pauses and exemptions are the store's: what was done a moment ago may not be in force here yet."""
    pauses: list[Pause]
    """Those of the server or of all of its tenant."""
    exemptions: dict[str, Exemption]
    """Those that fit this server and are the visitor's to see, but for the configuration's; by id."""
    exempt: bool
    """Whether another one leaves the server alone now."""
    secret: bytes


async def standing(visit: Visit, ref: str) -> Standing:
    """The server of a reference.

    Raises:
        HTTPException: there is none, or not for this visitor (404).
        LedgerError: the store is away.
        Busy: too many questions wait already.
    """
    house, sees = visit.house, visit.visitor.sees
    row = await house.ask(lambda store: store.server(ref))
    if row is None or row.ref != ref or not sees(row.key.tenant):
        raise HTTPException(404, f"there is no server {ref[:100]!r}")
    tallies, pauses, exemptions, secret = await house.ask(
        lambda store: (tuple(store.sums(refs=[ref])), store.pauses(), store.exemptions(), store.secret)
    )
    holds = Holds.of(house.present.policy, pauses, tuple(exemptions.values()))
    basis = replace(house.basis([row.key]), holds=holds)
    stops = {
        ident: exemption_stops((it,), row.key, row.state.client_ip, row.client_name)
        for ident, it in exemptions.items()
    }
    seen = {ident: it for ident, it in exemptions.items() if stops[ident] and sees(it.tenant)}
    return Standing(
        row,
        await house.work(lambda: story(row, tallies, basis, secret)),
        basis,
        [it for it in pauses if it.tenant == row.key.tenant and it.server in (None, row.key)],
        seen,
        any(stopped(stops[ident], basis.now) for ident in stops.keys() - seen),
        secret,
    )


async def _server(visit: Visit) -> Response:
    known = await standing(visit, visit.path["ref"])
    row, basis, tenants = known.row, known.basis, visit.visitor.tenants

    def latest(store: Store) -> tuple[list[Event], list[SightingRow]]:
        return store.events(ref=row.ref, tenants=tenants, limit=_EVENTS), store.history(
            row.ref, limit=_MESSAGES
        )

    events, messages = await visit.house.ask(latest)
    by_hour = await messages_by_hour(visit, row.ref)
    explained = await visit.house.work(lambda: explain_server(row, basis, known.secret))
    return await visit.page(
        "server.html",
        done=deeds.told(visit),
        story=known.story,
        explained=explained,
        events=events,
        messages=messages,
        builds=builds_of(row),
        hours={hour: counts for hour, counts in reversed(by_hour.items()) if any(counts)},
        hours_back=len(by_hour),
        series=SERIES,
        pauses=known.pauses,
        exemptions=known.exemptions,
        exempt=known.exempt,
        days_left=days_left(visit, basis.holds.pauses, row.key.tenant),
        links=links,
        now=basis.now,
    )


def builds_of(row: ServerRow) -> list[Shown]:
    """The builds that it has shown, the highest first; few of them are kept."""
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
