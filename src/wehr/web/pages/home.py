"""The first page: what needs attention today, how things stand, and what comes if nobody acts."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Final
from urllib.parse import urlencode

from babel.dates import format_date
from msgspec import Struct
from starlette.responses import Response

from wehr.catalogue.types import State
from wehr.ledger import Store
from wehr.ledger.listing import Entering, Line, Listing, ServerQuery
from wehr.ledger.selecting import days_of, nodes_of
from wehr.ledger.state import DAY
from wehr.policy import Mode, Policy
from wehr.web import charts
from wehr.web.counts import SERIES, column
from wehr.web.holding import tenants_of
from wehr.web.languages import N_
from wehr.web.pages.pictures import picture
from wehr.web.render import SHORT_DAYS
from wehr.web.visit import Need, Page, Visit

_DAYS: Final = 30
_WEEK: Final = 7
_PRODUCTS: Final = 12
_BUILDS: Final = 20
_QUIET: Final = 3600.0
"""Seconds that a node may carry nothing while others do."""

LATENESS: Final = (
    (N_("none out of date"), charts.TAKEN),
    (N_("some out of date"), charts.DELAYED),
    (N_("all out of date"), charts.REFUSED),
)
"""How many of a product's servers are out of date, with the colour of its bar."""

_Kind = tuple[str, str]
_kind: Final[Callable[[Line], _Kind]] = attrgetter("software", "build")
"""What the catalogue goes by: there are few builds, however many servers."""


class Coming(Struct, frozen=True):
    """Servers that enter something within the days that are looked at, the next first."""

    throttling: tuple[Line, ...]
    blocking: tuple[Line, ...]
    refusing: tuple[Line, ...]
    """Those of which nothing will be taken any more."""


class Population(Struct, frozen=True):
    """The servers of one build."""

    name: str
    """As its vendor calls it."""
    build: str
    """Empty if they show none."""
    software: str
    servers: int
    out_of_date: int


class Summary(Struct, frozen=True):
    """How the servers stand that a visitor may see."""

    servers: int
    out_of_date: int
    exploited: int
    states: Mapping[str, int]
    stages: Mapping[int, int]
    products: Sequence[tuple[str, int, int]]
    """Product and branch by name, servers, and those of them that are out of date; the largest first."""
    products_more: int
    """How many are not shown."""
    builds: Sequence[Population]
    """The largest first, and no more than are shown."""
    builds_more: int
    week: Coming
    month: Coming


def summarize(listing: Listing, tenants: frozenset[str] | None) -> Summary:
    """The summary of what a visitor may see."""
    lines = listing.find(ServerQuery(tenants=tenants, silent=False))
    bad = [it for it in lines if it.out_of_date]
    kinds = dict(zip(map(_kind, lines), lines, strict=True))
    holed = [kind for kind, it in kinds.items() if _is_exploited(it)]
    seen, late = (Counter(map(_kind, some)) for some in (lines, bad))
    names, late_names = (_by_product(kinds, some) for some in (seen, late))
    states = Counter(it.state for it in lines)
    return Summary(
        len(lines),
        len(bad),
        sum(late[kind] for kind in holed),
        {state: states[state] for state in State if states[state]},
        dict(sorted(Counter(it.stage for it in bad if it.stage).items())),
        [(name, count, late_names[name]) for name, count in names.most_common(_PRODUCTS)],
        max(0, len(names) - _PRODUCTS),
        [
            Population(_release(kinds[kind]), kind[1], kind[0], count, late[kind])
            for kind, count in seen.most_common(_BUILDS)
        ],
        max(0, len(seen) - _BUILDS),
        *_coming(bad, listing.basis.now),
    )


def _is_exploited(line: Line) -> bool:
    return bool(line.assessment and line.assessment.attacked)


def _by_product(kinds: Mapping[_Kind, Line], counted: Counter[_Kind]) -> Counter[str]:
    found = Counter[str]()
    for kind, count in counted.items():
        found[kinds[kind].product_branch] += count
    return found


def _release(line: Line) -> str:
    update = line.assessment.update if line.assessment else ""
    return " ".join(part for part in (line.product_branch, update) if part)


def _coming(late: Iterable[Line], now: float) -> tuple[Coming, Coming]:
    """What the week and the month bring, as `Listing.find` finds it, but gone through once."""
    week, month = now + _WEEK * DAY, now + _DAYS * DAY
    soon = [it for it in late if it.next_stage is not None and it.next_stage <= month]
    found = [
        sorted((at, it.ref, it) for it in soon if (at := it.reaches(what)) is not None and at <= month)
        for what in Entering
    ]
    return (
        Coming(*(tuple(line for at, _, line in part if at <= week) for part in found)),
        Coming(*(tuple(line for _, _, line in part) for part in found)),
    )


async def _home(visit: Visit) -> Response:
    summary = await summary_of(visit)
    present, now = visit.house.present, visit.house.now()
    nodes = await visit.house.ask(nodes_of)
    days = await messages_by_day(visit)
    tenants = tenants_of(visit)
    reported = [name for name in tenants if not _enforces(present.policy, name)]
    age = (datetime.fromtimestamp(now, UTC).date() - present.catalogue.date).days
    return await visit.page(
        "home.html",
        summary=summary,
        empty=not (await visit.house.listing()).lines,
        now=now,
        catalogue=present.catalogue,
        stale=present.catalogue.stale(
            datetime.fromtimestamp(now, UTC).date(), timedelta(days=present.facts.stale_after)
        ),
        age=age,
        nodes=nodes,
        quiet=quiet_nodes(nodes),
        doubt=present.doubt,
        gone=() if tenants else sorted(visit.visitor.tenants or ()),
        reported=reported,
        enforces=len(reported) < len(tenants),
        days=days,
        series=SERIES,
        lateness=LATENESS,
        days_ahead=_DAYS,
        week=_WEEK,
        having=_having,
        entering=Entering,
    )


def _enforces(policy: Policy, tenant: str) -> bool:
    """Whether anybody may be refused for a tenant."""
    own = next((it.mode for it in policy.tenants if it.name == tenant), None) or policy.mode
    ways = (it.mode for it in policy.connectors if it.tenant in ("", tenant))
    return Mode.ENFORCE in (own, *ways)


def _having(**asked: object) -> str:
    """A query string for the servers that a figure counts: the silent are in none."""
    return "?" + urlencode({"silent": "false", **asked})


def quiet_nodes(nodes: Mapping[str, float]) -> list[str]:
    """Those that have carried in nothing for an hour while others did, of when each last did."""
    return sorted(name for name, at in nodes.items() if max(nodes.values()) - at > _QUIET)


async def summary_of(visit: Visit) -> Summary:
    """The summary of what the visitor may see."""
    listing = await visit.house.listing()
    tenants = visit.visitor.tenants
    return await visit.house.work(lambda: listing.once(summarize, tenants))


async def messages_by_day(visit: Visit) -> list[tuple[datetime, tuple[int, ...]]]:
    """The last days, the earliest first, with the number of messages of each of `SERIES`."""
    today = int(visit.house.now() // DAY)
    first = today - _DAYS + 1
    tenants = visit.visitor.tenants

    def count(store: Store) -> list[tuple[int, str, bool, int]]:
        return days_of(store, first, tenants)

    table = {day: [0] * len(SERIES) for day in range(first, today + 1)}
    for day, action, enforced, messages in await visit.house.ask(count):
        if day in table:
            table[day][column(action, enforced=enforced)] += messages
    return [(datetime.fromtimestamp(day * DAY, UTC), tuple(values)) for day, values in table.items()]


async def _messages_chart(visit: Visit) -> Response:
    days = await messages_by_day(visit)
    labels = [format_date(day, SHORT_DAYS[visit.language], locale=visit.language) for day, _ in days]
    series = {
        visit.translate(text): (color, [values[number] for _, values in days])
        for number, (text, color) in enumerate(SERIES)
    }
    title = visit.translate(N_("Messages by day"))
    return await picture(visit, lambda width: charts.stacked(title, labels, series, width))


async def _products_chart(visit: Visit) -> Response:
    summary = await summary_of(visit)
    (_, none), (_, some), (_, every) = LATENESS
    bars = {
        name: (every if late == count else some if late else none, count)
        for name, count, late in summary.products
    }
    title = visit.translate(N_("By product"))
    return await picture(visit, lambda width: charts.ranked(title, bars, width))


PAGES: Final = (
    Page("/", _home, Need.READ, "home", menu=N_("Overview")),
    Page("/charts/messages.svg", _messages_chart, Need.READ, "messages_chart"),
    Page("/charts/products.svg", _products_chart, Need.READ, "products_chart"),
)
