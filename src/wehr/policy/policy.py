"""The policy as the operator writes it: every choice with its default, readable from TOML."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Annotated, Literal

from msgspec import Meta, Struct

from wehr.catalogue.types import Assessment, State
from wehr.policy.clock import elapsed
from wehr.policy.compliance import Rules, begins_with
from wehr.policy.ladder import PRESETS, Ladder, Stage, carry_over
from wehr.policy.replies import Texts
from wehr.policy.scope import Connector, Exemption, Scoping, Tenant
from wehr.policy.types import Episode, Mode, Reason, Stop


class Builds(Struct, frozen=True, forbid_unknown_fields=True):
    """Which assessments are meant: those that meet every condition that is set."""

    software: Annotated[str, Meta(description="The software, such as exchange or exim.")] = "exchange"
    products: Annotated[
        tuple[str, ...], Meta(description="Products as the catalogue calls them; empty: all.")
    ] = ()
    builds: Annotated[
        tuple[str, ...], Meta(description="First numbers of builds, such as 8 or 15.1.2507; empty: all.")
    ] = ()

    def fits(self, assessment: Assessment) -> bool:
        """Whether the assessment is one of those meant."""
        return (
            assessment.software == self.software
            and (not self.products or assessment.product in self.products)
            and (not self.builds or any(begins_with(assessment.build, prefix) for prefix in self.builds))
        )


class Wave(Builds, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Products or versions that come into scope on a day; their clocks run from that day on."""

    since: Annotated[date, Meta(description="The day on which they come into scope (UTC).")]


class LadderRule(Builds, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A ladder for some assessments, in place of the usual one."""

    use: Annotated[str, Meta(description="The ladder: exchange-online, gentle, urgent or one of one's own.")]
    since: Annotated[date | None, Meta(description="The day from which it applies; unset: always.")] = None
    states: Annotated[tuple[State, ...], Meta(description="States of the build; empty: all.")] = ()
    exploited: Annotated[
        bool, Meta(description="Only builds with a hole known to be exploited, from the day that is known.")
    ] = False
    cves: Annotated[tuple[str, ...], Meta(description="Only builds with one of these holes.")] = ()

    def starts(self, assessment: Assessment) -> float | None:
        """From when on the rule applies to the assessment (UTC seconds); None if it does not."""
        if not self.fits(assessment) or (self.states and assessment.state not in self.states):
            return None
        start = midnight(self.since) if self.since else 0.0
        if not (self.exploited or self.cves):
            return start
        days = [
            hole.exploited if self.exploited else date(1970, 1, 1)
            for hole in assessment.vulnerabilities
            if hole.certain and (not self.cves or hole.cve in self.cves)
        ]
        known = [midnight(day) for day in days if day]
        return max(start, min(known)) if known else None


class Policy(Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """What is done about out-of-date servers. The defaults are a new installation's: it refuses nobody."""

    mode: Annotated[
        Mode, Meta(description="off, report (refuse nothing, record what would be) or enforce.")
    ] = Mode.REPORT
    compliance: Rules = Rules()
    ladder: Annotated[
        str, Meta(description="The usual ladder: exchange-online, gentle, urgent or one of one's own.")
    ] = "exchange-online"
    ladder_rules: Annotated[
        tuple[LadderRule, ...],
        Meta(description="Other ladders for some builds; the first that fits decides."),
    ] = ()
    ladders: Annotated[
        dict[str, tuple[Stage, ...]], Meta(description="Ladders of one's own, as their stages in order.")
    ] = {}
    enforce_software: Annotated[
        tuple[str, ...], Meta(description="Software that may be refused; all other is only reported.")
    ] = ("exchange",)
    waves: Annotated[
        tuple[Wave, ...], Meta(description="What comes into scope when; empty: everything, at once.")
    ] = ()
    clock_from: Annotated[
        date | None,
        Meta(
            description="No clock runs before this day: set it to the day on which you start to enforce, so "
            "that servers seen before begin at stage 1."
        ),
    ] = None
    mixed: Annotated[
        Literal["report", "enforce"],
        Meta(description="Servers that show an old build beside a compliant one: report them, or enforce."),
    ] = "report"
    memory_days: Annotated[
        int,
        Meta(
            ge=1,
            le=365,
            description="Days for which a compliant build excuses older stamps, and after a cure those in "
            "which a relapse goes on with the old clock.",
        ),
    ] = 30
    silent_days: Annotated[
        int, Meta(ge=1, le=365, description="Days without a message after which a server counts as silent.")
    ] = 30
    forget_days: Annotated[
        int, Meta(ge=1, le=3650, description="Days without a message after which a server is forgotten.")
    ] = 180
    pause_days: Annotated[
        int, Meta(ge=0, le=366, description="Days of pause for each tenant and calendar year.")
    ] = 90
    tenants: Annotated[tuple[Tenant, ...], Meta(description="Parts of the recipients.")] = ()
    connectors: Annotated[
        tuple[Connector, ...], Meta(description="Ways in; the first that fits counts.")
    ] = ()
    exemptions: Annotated[
        tuple[Exemption, ...],
        Meta(description="Who is left alone; to end one, set until rather than delete it."),
    ] = ()
    texts: Texts = Texts()

    def __post_init__(self) -> None:
        for name in self.ladders:
            if name in PRESETS:
                raise ValueError(f"ladders: {name!r} is built in; choose another name")
        for name in (self.ladder, *(rule.use for rule in self.ladder_rules)):
            if name not in self._ladders:
                raise ValueError(f"no ladder is called {name!r}; there are {', '.join(self.ladder_names)}")
        if self.forget_days < max(self.memory_days, self.silent_days):
            raise ValueError("forget_days must not be less than memory_days or silent_days")
        self.scoping()

    def scoping(self, own_networks: tuple[str, ...] = ()) -> Scoping:
        """What finds the scopes of a session; keep it, for making it reads every network."""
        return Scoping(self.mode, self.tenants, self.connectors, own_networks)

    @cached_property
    def _ladders(self) -> dict[str, Ladder]:
        return PRESETS | {name: Ladder(name, stages) for name, stages in self.ladders.items()}

    @property
    def ladder_names(self) -> tuple[str, ...]:
        """All ladders that can be used, built in or one's own."""
        return tuple(self._ladders)

    def named_ladder(self, name: str) -> Ladder:
        """A ladder by its name.

        Raises:
            KeyError: there is none.
        """
        return self._ladders[name]

    def stops(self, assessment: Assessment) -> tuple[Stop, ...]:
        """The time before the policy came to apply to such a build: it counts for no clock."""
        found = []
        if self.clock_from:
            found.append(Stop(0.0, midnight(self.clock_from), None))
        if self.waves:
            days = [wave.since for wave in self.waves if wave.fits(assessment)]
            found.append(Stop(0.0, midnight(min(days)) if days else None, Reason.NOT_IN_SCOPE))
        return tuple(found)

    def course(
        self, assessment: Assessment | None, episode: Episode, stops: tuple[Stop, ...], now: float
    ) -> tuple[Ladder, float]:
        """The ladder that a server is on, and where it stands there, in seconds.

        Where one ladder came to replace another during the episode (a hole began to be exploited, a
        rule's day came), the place is carried over from each to the next, so that no notice is skipped.
        """
        if not self.ladder_rules or assessment is None:
            return self._ladders[self.ladder], elapsed(episode, stops, now)
        ladder: Ladder | None = None
        place = clock = 0.0
        for at, name in self._changes(assessment, now):
            reached = elapsed(episode, stops, at)
            place, clock = place + reached - clock, reached
            new = self.named_ladder(name)
            if ladder is not None and reached > 0 and new != ladder:
                place = carry_over(ladder, new, place)
            ladder = new
        return ladder or self._ladders[self.ladder], place + elapsed(episode, stops, now) - clock

    def _changes(self, assessment: Assessment, now: float) -> Iterator[tuple[float, str]]:
        """When which ladder came to apply, in order of time, up to ``now``."""
        starts = [(rule.starts(assessment), rule.use) for rule in self.ladder_rules]
        times = sorted({0.0, *(start for start, _ in starts if start is not None and start <= now)})
        for at in times:
            yield at, next((use for start, use in starts if start is not None and start <= at), self.ladder)


def midnight(day: date) -> float:
    """The start of a day in UTC, as seconds since 1970."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
