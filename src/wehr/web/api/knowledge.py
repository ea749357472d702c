"""What servers are judged by: the catalogue, the policy, and what becomes of a build under it."""

from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Final

from msgspec import Meta, Struct

from wehr.catalogue.types import Assessment, State
from wehr.evidence import format_build, parse_build
from wehr.evidence.build import Build
from wehr.policy import Mode
from wehr.policy.ladder import DAY, Stage
from wehr.policy.selection import midnight
from wehr.policy.simulation import simulate
from wehr.policy.timeline import timeline
from wehr.policy.types import Episode
from wehr.web.api.operation import Call, Instant, Nothing, Operation, maybe, missing, moment, problem, seconds
from wehr.web.visit import Need, Visit

_Build = Annotated[str, Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9}){1,5}$", description="Such as 15.1.2507.61.")]
_Software = Annotated[str, Meta(max_length=50, description="Such as exchange, exim.")]
_LONGEST: Final = 3660
_LAST: Final = 7_258_118_400.0
"""The year 2200: from there even a long ladder ends before the year 9999, after which there are no dates."""


class Hole(Struct, frozen=True):
    """A hole that a build has, or (``certain`` false) may have."""

    cve: str
    fixed_in: str | None
    fixed_released: date | None
    exploited: bool
    exploited_since: date | None
    ransomware: bool
    certain: bool


class Missing(Struct, frozen=True):
    """A security update that a build lacks."""

    name: str
    build: str
    released: date
    kb: str
    esu: bool
    certain: bool


class AssessmentShown(Struct, frozen=True):
    """What the catalogue says of a build on a day, as ``wehr catalogue assess --json`` does."""

    product: str | None
    branch: str | None
    update: str | None
    build: str
    released: date | None
    state: State
    branch_supported: bool
    support_ends: date | None
    missing_updates: tuple[Missing, ...]
    vulnerabilities: tuple[Hole, ...]
    recommended_builds: tuple[str, ...]
    software: str
    notes: tuple[str, ...]
    missing_since: date | None
    unsupported_since: date | None
    esu_available: bool
    backported: bool
    at: date
    catalogue_date: date


class BuildAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """Which build, and on which day; without one, today."""

    build: _Build
    software: _Software = "exchange"
    at: date | None = None


class BranchShown(Struct, frozen=True):
    """A branch and the newest that is known of it."""

    branch: str | None
    builds: int
    newest: str
    update: str | None
    released: date


class ProductShown(Struct, frozen=True):
    """A product with its branches."""

    product: str
    software: str
    released: date | None
    support_ends: date | None
    backported: bool
    branches: tuple[BranchShown, ...]


class CatalogueShown(Struct, frozen=True):
    """What is known, and of when."""

    date: date
    age_days: int
    stale: bool
    products: tuple[ProductShown, ...]


class StageShown(Struct, frozen=True):
    """A stage with its dates; ``end`` null: open. Minutes of each clock hour."""

    stage: int
    start: datetime | None
    end: datetime | None
    throttle_minutes: int
    block_minutes: int
    current: bool


class TimelineAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """When a server was first detected, on which ladder, and what counts as now."""

    first_detected: Instant
    at: Instant | None = None
    ladder: Annotated[str, Meta(max_length=100)] = ""


class TimelineShown(Struct, frozen=True):
    """The stages of a server."""

    ladder: str
    first_detected: datetime
    at: datetime
    stages: tuple[StageShown, ...]


class LadderShown(Struct, frozen=True):
    """A ladder."""

    name: str
    stages: tuple[Stage, ...]


class TenantShown(Struct, frozen=True):
    """Some of the recipient domains, and how far Wehr goes there."""

    name: str
    domains: tuple[str, ...]
    mode: Mode


class PolicyShown(Struct, frozen=True):
    """The policy in force."""

    mode: Mode
    ladder: str
    ladders: tuple[LadderShown, ...]
    require: tuple[str, ...]
    preset: str
    grace_days: int
    pause_days: int
    enforced_software: tuple[str, ...]
    tenants: tuple[TenantShown, ...]


class SimulationAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """Which build is played, over which days; it was first seen on the first, or before."""

    build: _Build
    start: date
    end: date
    software: _Software = "exchange"
    first_seen: Instant | None = None


class SpanShown(Struct, frozen=True):
    """Days on which the same is done; ``end`` is the first day after them."""

    start: date
    end: date
    compliant: bool | None
    rule: str
    why: str
    reason: str | None
    ladder: str | None
    stage: int | None
    throttle_minutes: int
    block_minutes: int


def today(visit: Visit) -> date:
    """The UTC day."""
    return datetime.fromtimestamp(visit.house.now(), UTC).date()


async def _catalogue(call: Call[Nothing, None]) -> CatalogueShown:
    present, day = call.visit.house.present, today(call.visit)
    catalogue = present.catalogue
    products = []
    for product in catalogue.products:
        branches = []
        for branch in product.branches:
            rows = [row for row in branch.builds if not row.status]
            if rows:
                newest = max(rows, key=lambda row: (row.released, row.build))
                branches.append(
                    BranchShown(
                        rows[0].label or None,
                        len(rows),
                        format_build(newest.build),
                        newest.update,
                        newest.released,
                    )
                )
        products.append(
            ProductShown(
                product.name,
                product.software,
                product.released,
                product.support_ends,
                product.backported,
                tuple(branches),
            )
        )
    stale = catalogue.stale(day, timedelta(days=present.facts.stale_after))
    return CatalogueShown(catalogue.date, catalogue.age(day).days, stale, tuple(products))


async def _assess(call: Call[BuildAsked, None]) -> AssessmentShown:
    catalogue, asked = call.visit.house.present.catalogue, call.query
    day = asked.at or today(call.visit)
    found = catalogue.assess(_numbers(asked.build), day, asked.software)
    return _assessment(found, day, catalogue.date)


def _numbers(build: str) -> Build:
    try:
        return parse_build(build)
    except ValueError as error:
        raise problem(HTTPStatus.BAD_REQUEST, str(error)) from None


def _assessment(found: Assessment, day: date, of: date) -> AssessmentShown:
    return AssessmentShown(
        product=found.product,
        branch=found.branch,
        update=found.update,
        build=format_build(found.build),
        released=found.released,
        state=found.state,
        branch_supported=found.branch_supported,
        support_ends=found.support_ends,
        missing_updates=tuple(
            Missing(it.name, format_build(it.build), it.released, it.kb, it.esu, it.certain)
            for it in found.missing_updates
        ),
        vulnerabilities=tuple(
            Hole(
                it.cve,
                format_build(it.fixed_in) if it.fixed_in else None,
                it.fixed_released,
                it.exploited is not None,
                it.exploited,
                it.ransomware,
                it.certain,
            )
            for it in found.vulnerabilities
        ),
        recommended_builds=tuple(map(format_build, found.recommended_builds)),
        software=found.software,
        notes=tuple(map(str, found.notes)),
        missing_since=found.missing_since,
        unsupported_since=found.unsupported_since,
        esu_available=found.esu_available,
        backported=found.backported,
        at=day,
        catalogue_date=of,
    )


async def _policy(call: Call[Nothing, None]) -> PolicyShown:
    policy = call.visit.house.present.policy
    rules = policy.compliance
    ladders = (policy.named_ladder(name) for name in policy.ladder_names)
    return PolicyShown(
        policy.mode,
        policy.ladder,
        tuple(LadderShown(it.name, it.stages) for it in ladders),
        rules.require,
        rules.preset,
        rules.grace_days,
        policy.pause_days,
        tuple(policy.enforce_software),
        tuple(
            TenantShown(it.name, it.domains, it.mode or policy.mode)
            for it in policy.tenants
            if call.visit.visitor.sees(it.name)
        ),
    )


async def _timeline(call: Call[TimelineAsked, None]) -> TimelineShown:
    policy, asked = call.visit.house.present.policy, call.query
    now = seconds(asked.at) if asked.at else call.visit.house.now()
    first = seconds(asked.first_detected)
    try:
        ladder = policy.named_ladder(asked.ladder or policy.ladder)
    except KeyError:
        raise missing(f"no ladder is called {asked.ladder!r}") from None
    entries = timeline(ladder, Episode(first, ((first, None),)), (), now)
    stages = tuple(
        StageShown(it.stage, maybe(it.start), maybe(it.end), it.throttle, it.block, it.current)
        for it in entries
    )
    return TimelineShown(ladder.name, moment(first), moment(now), stages)


async def _simulation(call: Call[SimulationAsked, None]) -> tuple[SpanShown, ...]:
    present, asked = call.visit.house.present, call.query
    if not date(1990, 1, 1) <= asked.start <= asked.end <= date(2200, 1, 1):
        raise problem(HTTPStatus.BAD_REQUEST, "start and end must be days in order, from 1990 to 2200")
    first = seconds(asked.first_seen) if asked.first_seen else midnight(asked.start)
    if midnight(asked.end) - min(first, midnight(asked.start)) > _LONGEST * DAY:
        raise problem(HTTPStatus.BAD_REQUEST, f"at most {_LONGEST} days can be played")
    build, catalogue = _numbers(asked.build), present.catalogue
    spans = await call.visit.house.work(
        lambda: simulate(
            present.policy,
            lambda day: catalogue.assess(build, day, asked.software),
            first,
            start=asked.start,
            end=asked.end + timedelta(days=1),
        )
    )
    return tuple(
        SpanShown(
            it.start, it.end, it.ok, it.rule, it.why, it.reason, it.ladder or None, it.stage or None,
            it.throttle, it.block,
        )
        for it in spans
    )  # fmt: skip


OPERATIONS: Final = (
    Operation(
        "GET", "/catalogue", "get-catalogue", "What is known, and of when: products and branches.",
        "catalogue", Need.READ, _catalogue, CatalogueShown,
    ),
    Operation(
        "GET", "/catalogue/assessment", "assess-build", "What is known of a build, on any day.",
        "catalogue", Need.READ, _assess, AssessmentShown, BuildAsked,
    ),
    Operation(
        "GET", "/policy", "get-policy", "The policy in force.", "policy", Need.READ, _policy, PolicyShown
    ),
    Operation(
        "GET", "/policy/timeline", "get-timeline", "The stages of a server that was first detected then.",
        "policy", Need.READ, _timeline, TimelineShown, TimelineAsked, errors=(404,),
    ),
    Operation(
        "GET", "/policy/simulation", "simulate-policy", "The policy in force, played for one build.",
        "policy", Need.READ, _simulation, tuple[SpanShown, ...], SimulationAsked,
    ),
)  # fmt: skip
