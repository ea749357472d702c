"""The policy in force, and what becomes of a build or a server under it."""

from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Final

from msgspec import Meta, Struct

from wehr.policy import Mode
from wehr.policy.compliance import Floor
from wehr.policy.ladder import DAY, Stage
from wehr.policy.selection import LadderRule, Wave, midnight
from wehr.policy.simulation import simulate
from wehr.policy.timeline import Entry, timeline
from wehr.policy.types import Episode
from wehr.web.api.catalogue import BuildText, Software, numbers
from wehr.web.api.operation import Call, Instant, Nothing, Operation, maybe, missing, moment, problem, seconds
from wehr.web.pages.policy import connectors_of, floors_of, own_tenants
from wehr.web.visit import Need

_LONGEST: Final = 3660


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


class ConnectorShown(Struct, frozen=True):
    """A way in for known clients."""

    name: str
    tenant: str
    """Empty: by recipient domain."""
    mode: Mode | None
    """How far Wehr goes there; null: as far as for the tenant."""


class PolicyShown(Struct, frozen=True):
    """The policy in force."""

    mode: Mode
    ladder: str
    ladders: tuple[LadderShown, ...]
    ladder_rules: tuple[LadderRule, ...]
    """Other ladders for some builds; the first that fits decides."""
    require: tuple[str, ...]
    preset: str
    floors: tuple[Floor, ...]
    """One's own, and those of the preset; of those that fit, the latest that is in force decides."""
    grace_days: int
    demand_esu: bool
    """Whether paid updates are demanded as well."""
    waves: tuple[Wave, ...]
    """What comes into scope when; none: everything, at once."""
    enforced_software: tuple[str, ...]
    mixed: str
    """Servers that show an old build beside a new one: report or enforce."""
    memory_days: int
    silent_days: int
    forget_days: int
    pause_days: int
    tenants: tuple[TenantShown, ...]
    connectors: tuple[ConnectorShown, ...]


class SimulationAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """Which build is played, over which days; it was first seen on the first, or before."""

    build: BuildText
    start: date
    end: date
    software: Software = "exchange"
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


async def _policy(call: Call[Nothing, None]) -> PolicyShown:
    policy = call.visit.house.present.policy
    rules = policy.compliance
    ladders = (policy.named_ladder(name) for name in policy.ladder_names)
    return PolicyShown(
        mode=policy.mode,
        ladder=policy.ladder,
        ladders=tuple(LadderShown(it.name, it.stages) for it in ladders),
        ladder_rules=policy.ladder_rules,
        require=rules.require,
        preset=rules.preset,
        floors=floors_of(rules),
        grace_days=rules.grace_days,
        demand_esu=rules.demand_esu,
        waves=policy.waves,
        enforced_software=tuple(policy.enforce_software),
        mixed=policy.mixed,
        memory_days=policy.memory_days,
        silent_days=policy.silent_days,
        forget_days=policy.forget_days,
        pause_days=policy.pause_days,
        tenants=tuple(
            TenantShown(it.name, it.domains, it.mode or policy.mode) for it in own_tenants(call.visit)
        ),
        connectors=tuple(ConnectorShown(it.name, it.tenant, it.mode) for it in connectors_of(call.visit)),
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
    return TimelineShown(ladder.name, moment(first), moment(now), tuple(map(stage_shown, entries)))


def stage_shown(it: Entry) -> StageShown:
    """A stage of a ladder with its dates."""
    return StageShown(it.stage, maybe(it.start), maybe(it.end), it.throttle, it.block, it.current)


async def _simulation(call: Call[SimulationAsked, None]) -> tuple[SpanShown, ...]:
    present, asked = call.visit.house.present, call.query
    if not date(1990, 1, 1) <= asked.start <= asked.end <= date(2200, 1, 1):
        raise problem(HTTPStatus.BAD_REQUEST, "start and end must be days in order, from 1990 to 2200")
    first = seconds(asked.first_seen) if asked.first_seen else midnight(asked.start)
    if midnight(asked.end) - min(first, midnight(asked.start)) > _LONGEST * DAY:
        raise problem(HTTPStatus.BAD_REQUEST, f"at most {_LONGEST} days can be played")
    build, catalogue = numbers(asked.build), present.catalogue
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
