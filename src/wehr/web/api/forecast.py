"""How the servers and nodes stand together, what is coming, and what another policy would change."""

from collections.abc import Sequence
from datetime import date, datetime
from http import HTTPStatus
from typing import Annotated, Final

from msgspec import Meta, Struct, structs

from wehr.ledger.listing import Line
from wehr.ledger.planning import Touched
from wehr.ledger.selecting import nodes_of
from wehr.policy import Mode
from wehr.web.api.operation import Call, Nothing, Operation, maybe, moment, problem
from wehr.web.pages.home import Coming, Population, Summary, messages_by_day, quiet_nodes, summary_of
from wehr.web.plans import BadPlan, plan, play
from wehr.web.visit import Need

_MOST: Final = 200
_Builds = Annotated[str, Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9}){0,5}$")]


class ServerComing(Struct, frozen=True):
    """A server that enters another stage."""

    reference: str
    server_fqdn: str
    network: str
    tenant: str
    build: str
    stage: int
    """The present one."""
    next_stage_start_date: datetime | None
    next_stage_throttle_rate: int | None
    next_stage_block_rate: int | None


class ComingShown(Struct, frozen=True):
    """Servers that enter something within so many days: how many, and the next two hundred of them."""

    days: int
    throttling: tuple[ServerComing, ...]
    blocking: tuple[ServerComing, ...]
    refusing: tuple[ServerComing, ...]
    """Those of which nothing will be taken any more."""
    throttling_total: int
    blocking_total: int
    refusing_total: int


class ProductCount(Struct, frozen=True):
    """The servers of a product and branch."""

    product: str
    """With its branch, as `product_branch` asks for its servers."""
    servers: int
    out_of_date: int


class SummaryShown(Struct, frozen=True):
    """How the servers stand that were seen lately."""

    servers: int
    out_of_date: int
    exploited: int
    states: dict[str, int]
    stages: dict[str, int]
    """Out-of-date servers by stage."""
    products: tuple[ProductCount, ...]
    """The largest first, and no more than a dozen."""
    products_more: int
    """Products that are left out."""
    builds: tuple[Population, ...]
    """The largest first, and no more than twenty."""
    builds_more: int
    """Builds that are left out."""
    coming: tuple[ComingShown, ...]


class DayCounted(Struct, frozen=True):
    """The messages of a UTC day, by what became of them."""

    day: date
    taken: int
    delayed: int
    refused: int
    would_be_refused: int
    """Delayed or refused if that were enforced; they were taken."""


class NodeShown(Struct, frozen=True):
    """A process that answers mail systems."""

    name: str
    last_carried: datetime
    """When it last carried into the store what it had seen."""
    quiet: bool
    """Whether it has carried in nothing for an hour while others did."""


class PlanAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """What would be changed; what is not given stays."""

    mode: Mode | None = None
    ladder: Annotated[str, Meta(max_length=100)] = ""
    grace_days: Annotated[int, Meta(ge=0, le=3650)] | None = None
    floor_builds: Annotated[_Builds | None, Meta(description="First numbers, such as 15.1.")] = None
    floor_since: date | None = None
    floor_least: Annotated[_Builds | None, Meta(description="Left out: none is accepted.")] = None
    wave_product: Annotated[str, Meta(max_length=200)] = ""
    wave_since: date | None = None


class PlanPlayed(Struct, frozen=True):
    """The servers that the plan treats otherwise in the days to come."""

    servers: tuple[Touched, ...]
    harsher: int
    """How many of them it is harsher with on some day; some ladders are harsher first, and milder later."""
    milder: int
    days: int
    """So many days are looked ahead."""
    messages: int
    """Messages of the last seven days that came from them."""
    looked_at: int
    left_out: int
    """Servers that there was no time to look at; `wehr announce` looks at all."""


async def _summary(call: Call[Nothing, None]) -> SummaryShown:
    return _shown(await summary_of(call.visit))


def _shown(found: Summary) -> SummaryShown:
    return SummaryShown(
        found.servers,
        found.out_of_date,
        found.exploited,
        dict(found.states),
        {str(stage): count for stage, count in found.stages.items()},
        tuple(ProductCount(*it) for it in found.products),
        found.products_more,
        tuple(found.builds),
        found.builds_more,
        (_coming(7, found.week), _coming(30, found.month)),
    )


def _coming(days: int, coming: Coming) -> ComingShown:
    return ComingShown(
        days,
        _servers(coming.throttling),
        _servers(coming.blocking),
        _servers(coming.refusing),
        len(coming.throttling),
        len(coming.blocking),
        len(coming.refusing),
    )


def _servers(lines: Sequence[Line]) -> tuple[ServerComing, ...]:
    return tuple(map(_server, lines[:_MOST]))


def _server(line: Line) -> ServerComing:
    return ServerComing(
        line.ref,
        line.key.name,
        line.key.network,
        line.key.tenant,
        line.build,
        line.stage,
        maybe(line.next_stage),
        line.next_throttle,
        line.next_block,
    )


async def _days(call: Call[Nothing, None]) -> tuple[DayCounted, ...]:
    return tuple(DayCounted(day.date(), *counts) for day, counts in await messages_by_day(call.visit))


async def _nodes(call: Call[Nothing, None]) -> tuple[NodeShown, ...]:
    nodes = await call.visit.house.ask(nodes_of)
    quiet = quiet_nodes(nodes)
    return tuple(NodeShown(name, moment(at), name in quiet) for name, at in nodes.items())


async def _what_if(call: Call[PlanAsked, None]) -> PlanPlayed:
    given = {name: str(value) for name, value in structs.asdict(call.query).items() if value is not None}
    present = call.visit.house.present
    try:
        planned = plan(present.policy, given, present.catalogue.products)
    except BadPlan as error:
        told = f"{error.field}: {error}" if error.field else str(error)
        raise problem(HTTPStatus.UNPROCESSABLE_ENTITY, told) from None
    found = await play(call.visit, planned)
    return PlanPlayed(
        tuple(found.found),
        found.harsher,
        found.milder,
        found.days,
        found.messages,
        found.looked_at,
        found.left_out,
    )


OPERATIONS: Final = (
    Operation(
        "GET", "/summary", "get-summary", "How the servers stand, and what is coming.", "servers",
        Need.READ, _summary, SummaryShown,
    ),
    Operation(
        "GET", "/summary/days", "count-messages-by-day", "The messages of the last 30 days, by day.",
        "servers", Need.READ, _days, tuple[DayCounted, ...],
    ),
    Operation(
        "GET", "/nodes", "list-nodes", "The nodes, and when each last carried something in.", "system",
        Need.READ, _nodes, tuple[NodeShown, ...],
    ),
    Operation(
        "GET", "/policy/what-if", "what-if", "What another policy would change, before it is in force.",
        "policy", Need.READ, _what_if, PlanPlayed, PlanAsked, errors=(422,),
    ),
)  # fmt: skip
