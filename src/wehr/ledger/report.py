"""The report: what is remembered of servers, in the terms of Microsoft's cmdlet first, then ours."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime

from msgspec import Struct

from wehr.catalogue import Catalogue
from wehr.catalogue.types import Assessment, MissingUpdate, State
from wehr.evidence import format_build
from wehr.evidence.build import Build
from wehr.ledger.memory import Ledger
from wehr.ledger.rows import ServerRow, Tally
from wehr.ledger.state import DAY, ServerState
from wehr.policy import Action, Episode, Holds, Policy, ServerKey, Standing, complies
from wehr.policy.clock import elapsed, excusing, stopped, when
from wehr.policy.compliance import Compliance
from wehr.policy.cure import least_accepted
from wehr.policy.ladder import Ladder, Stage, stage_at
from wehr.policy.laddering import Turn
from wehr.policy.phrases import Phrase
from wehr.policy.timeline import Dates, Entry, dates, timeline
from wehr.policy.types import Stop


class ReportRow(Struct, frozen=True):
    """One server. The first ten fields are those of Get-OnPremServerReportInfo; times are UTC."""

    server_fqdn: str
    build: str | None
    exchange_server: str | None
    """The product."""
    first_detected_date: datetime | None
    recommended_build_versions: tuple[str, ...]
    throttle_enabled_date: datetime | None
    blocking_enabled_date: datetime | None
    next_stage_throttle_rate: int | None
    next_stage_block_rate: int | None
    next_stage_start_date: datetime | None
    # ours
    least_accepted_build: str | None
    """The least build that the policy accepts today, of the server's own branch if there is one."""
    reference: str
    tenant: str
    network: str
    client_ip: str
    client_name: str
    software: str
    relation: str
    confirmed: bool
    state: str
    """What the catalogue says of the build today."""
    out_of_date: bool
    rule: str
    """The rule of the policy that says so, and why."""
    why: str
    """A `Phrase`, which JSON takes with `phrases.encoded`."""
    stage: int
    throttle_rate: int
    """Minutes per hour of the present stage."""
    block_rate: int
    mixed: bool
    silent: bool
    last_seen: datetime
    missing_updates: tuple[str, ...]
    """Without paid (ESU) ones where nobody asks for those."""
    exploited: tuple[str, ...]
    """Holes of this build that are known to be exploited."""
    last_action: str
    last_reason: str
    messages_accepted: int
    messages_throttled: int
    messages_blocked: int
    would_throttle: int
    would_block: int


class Basis(Struct, frozen=True):
    """What servers are judged by: ``ledger`` holds their states and those of their network neighbours."""

    ledger: Ledger
    catalogue: Catalogue
    policy: Policy
    holds: Holds
    now: float
    """UTC seconds since 1970."""

    @property
    def today(self) -> date:
        """The UTC day."""
        return datetime.fromtimestamp(self.now, UTC).date()

    def stops(
        self, key: ServerKey, state: ServerState, client_name: str, assessment: Assessment
    ) -> tuple[Stop, ...]:
        """Whatever stops the clock of a server, at any time."""
        return (*self.policy.stops(assessment), *self.holds.stops(key, state.client_ip, client_name))

    def silent(self, state: ServerState) -> bool:
        """Whether a server has not been seen lately."""
        return self.now - state.last_seen > self.policy.silent_days * DAY

    def least(self, assessment: Assessment) -> Build | None:
        """The least build that the policy accepts today instead."""
        rules = self.policy.compliance
        return least_accepted(self.catalogue, assessment.software, assessment.build, rules, self.today)

    def asked(self, assessment: Assessment) -> tuple[MissingUpdate, ...]:
        """The missing updates that may be asked for."""
        return assessment.asked(esu=self.policy.compliance.demand_esu)


def report(rows: Iterable[ServerRow], basis: Basis, tallies: Iterable[Tally] = ()) -> list[ReportRow]:
    """Every server with what it counts as, the out-of-date ones first, by stage.

    ``tallies`` are messages by outcome; those of other servers are passed over.
    """
    of: dict[str, list[Tally]] = {}
    for tally in tallies:
        of.setdefault(tally.ref, []).append(tally)
    found = [
        report_row(row, judge(row.key, row.state, row.client_name, basis), basis, of.get(row.ref, ()))
        for row in rows
    ]
    return sorted(found, key=lambda row: (not row.out_of_date, -row.stage, row.server_fqdn, row.network))


class Course(Struct, frozen=True):
    """Where a server out of compliance stands on its ladder at a moment."""

    ladder: Ladder
    place: float
    """How far up it has come, in seconds."""
    episode: Episode
    stops: tuple[Stop, ...]
    now: float
    """UTC seconds since 1970."""
    turns: tuple[Turn, ...] = ()
    """Other ladders that will take this one's place."""

    @property
    def number(self) -> int:
        """The stage it is in."""
        return stage_at(self.ladder, self.place)

    @property
    def dates(self) -> Dates:
        """When it is throttled and blocked, and what comes next."""
        return dates(self.ladder, self.episode, self.stops, self.now, self.place, turns=self.turns)

    @property
    def stages(self) -> tuple[Entry, ...]:
        """All stages with their dates."""
        return timeline(self.ladder, self.episode, self.stops, self.now, self.place, turns=self.turns)

    def reaches(self, wanted: Callable[[Stage], bool]) -> float | None:
        """When it comes to the first stage ahead that is as wanted; None: never, or it is in such a one."""
        past, ahead = self.ladder.stages[: self.number], self.ladder.stages[self.number :]
        if wanted(past[-1]):
            return None
        if self.turns:
            entries = self.stages[self.number :]
            return next((it.start for it in entries if wanted(Stage(None, it.throttle, it.block))), None)
        clock = elapsed(self.episode, self.stops, self.now) - self.place
        days = sum(stage.days or 0 for stage in past)
        for stage in ahead:
            if wanted(stage):
                return when(self.episode, self.stops, clock + days * DAY)
            days += stage.days or 0
        return None

    @property
    def holder(self) -> Stop | None:
        """What stops its clock."""
        return stopped(self.stops, self.now)

    @property
    def excuse(self) -> Stop | None:
        """What has its mail taken meanwhile: an exemption of one address stops the clock of the others."""
        return excusing(self.stops, self.now)


class Judgement(Struct, frozen=True):
    """What a server counts as now. ``course`` is None where no clock runs."""

    build: Build | None
    assessment: Assessment | None
    verdict: Compliance | None
    mixed: bool
    course: Course | None

    @property
    def out_of_date(self) -> bool:
        """Whether a rule of the policy says no."""
        return self.verdict is not None and self.verdict.ok is False

    @property
    def dates(self) -> Dates:
        """Those of its course."""
        return self.course.dates if self.course else _NO_DATES

    @property
    def stage(self) -> tuple[int, Stage]:
        """The stage it is in, 0 where no clock runs, and its minutes."""
        if self.course is None:
            return 0, _NO_STAGE
        return (number := self.course.number), self.course.ladder.stages[number - 1]


_NO_DATES = Dates(0.0, None, None, None, None, None)
_NO_STAGE = Stage()


def judge(key: ServerKey, state: ServerState, client_name: str, basis: Basis) -> Judgement:
    """What a server counts as, and where it stands on its ladder.

    ``client_name`` is the verified name that it came under last: an exemption may go by it.
    """
    standing = basis.ledger.standing(key, basis.now)
    build = _judged(state, standing, basis.policy)
    assessment = basis.catalogue.assess(build, basis.today, state.software) if build else None
    verdict = complies(assessment, basis.policy.compliance, basis.today) if assessment else None
    course = None
    if standing and standing.episode and assessment and verdict and verdict.ok is False:
        stops = basis.stops(key, state, client_name, assessment)
        ladder, place = basis.policy.course(assessment, standing.episode, stops, basis.now)
        turns = basis.policy.turns(assessment, standing.episode, stops, basis.now)
        course = Course(ladder, place, standing.episode, stops, basis.now, turns)
    return Judgement(build, assessment, verdict, bool(standing and standing.mixed), course)


def report_row(row: ServerRow, judged: Judgement, basis: Basis, tallies: Iterable[Tally]) -> ReportRow:
    """One server, with its messages by outcome."""
    build, assessment, verdict, course = judged.build, judged.assessment, judged.verdict, judged.dates
    out_of_date, (stage, rates) = judged.out_of_date, judged.stage
    least = basis.least(assessment) if assessment and out_of_date else None
    messages: Counter[tuple[str, bool]] = Counter()
    for tally in tallies:
        messages[tally.action, tally.enforced] += tally.messages
    enforced = {action: messages[action, True] for action in (Action.THROTTLE, Action.BLOCK)}
    return ReportRow(
        server_fqdn=row.key.name,
        build=format_build(build) if build else None,
        exchange_server=assessment.product if assessment else None,
        first_detected_date=_time(course.first_detected_date or row.state.first_seen),
        recommended_build_versions=tuple(
            map(format_build, assessment.recommended_builds if assessment else ())
        ),
        throttle_enabled_date=_time(course.throttle_enabled_date),
        blocking_enabled_date=_time(course.blocking_enabled_date),
        next_stage_throttle_rate=course.next_stage_throttle_rate,
        next_stage_block_rate=course.next_stage_block_rate,
        next_stage_start_date=_time(course.next_stage_start_date),
        least_accepted_build=format_build(least) if least else None,
        reference=row.ref,
        tenant=row.key.tenant,
        network=row.key.network,
        client_ip=row.client_ip,
        client_name=row.client_name,
        software=row.state.software,
        relation=row.relation,
        confirmed=row.state.confirmed_at > 0,
        state=assessment.state if assessment else State.UNKNOWN,
        out_of_date=out_of_date,
        rule=verdict.rule if verdict else "",
        why=verdict.why if verdict else Phrase("shows no build"),
        stage=stage,
        throttle_rate=rates.throttle,
        block_rate=rates.block,
        mixed=judged.mixed,
        silent=basis.silent(row.state),
        last_seen=datetime.fromtimestamp(int(row.state.last_seen), UTC),
        missing_updates=tuple(it.name for it in basis.asked(assessment)) if assessment else (),
        exploited=tuple(it.cve for it in assessment.attacked) if assessment else (),
        last_action=row.action if row.enforced else Action.ACCEPT,
        last_reason=row.reason,
        messages_accepted=messages.total() - sum(enforced.values()),
        messages_throttled=enforced[Action.THROTTLE],
        messages_blocked=enforced[Action.BLOCK],
        would_throttle=messages[Action.THROTTLE, False],
        would_block=messages[Action.BLOCK, False],
    )


def _judged(state: ServerState, standing: Standing | None, policy: Policy) -> Build | None:
    """The build that stands for the server: the highest lately shown, or what a mixed one is enforced for."""
    if standing and standing.mixed and policy.mixed == "enforce":
        return max((stamp.build for stamp in state.stamps if stamp.bad), default=None)
    if standing and standing.effective_build:
        return standing.effective_build
    shown = (stamp for stamp in state.stamps if stamp.build)
    latest = max(shown, key=lambda stamp: (stamp.seen.bit_length(), stamp.build), default=None)
    return latest.build if latest else None


def _time(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(int(at), UTC)
