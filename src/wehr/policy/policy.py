"""The policy as the operator writes it: every choice with its default, readable from TOML."""

from datetime import date
from functools import cached_property
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from wehr.catalogue.types import Assessment
from wehr.policy.compliance import Rules
from wehr.policy.ladder import PRESETS, Ladder, Stage
from wehr.policy.laddering import Laddering, Past, Turn, course, turns
from wehr.policy.replies import Texts
from wehr.policy.scope import Connector, Exemption, Scoping, Tenant
from wehr.policy.selection import LadderRule, Wave, midnight
from wehr.policy.types import Episode, Mode, Reason, Stop


class Policy(Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """What is done about out-of-date servers. The defaults are a new installation's: it refuses nobody."""

    mode: Annotated[
        Mode,
        Meta(
            description="off, report (refuse nothing, record what would be), simulate (and log it) "
            "or enforce."
        ),
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
        for name, stages in self.ladders.items():
            if name in PRESETS:
                raise ValueError(f"ladders: {name!r} is built in; choose another name")
            Ladder(name, stages)
        for name in (self.ladder, *(rule.use for rule in self.ladder_rules)):
            if name not in self.ladder_names:
                raise ValueError(f"no ladder is called {name!r}; there are {', '.join(self.ladder_names)}")
        if self.forget_days < max(self.memory_days, self.silent_days):
            raise ValueError("forget_days must not be less than memory_days or silent_days")
        self.scoping()

    def scoping(self, own_networks: tuple[str, ...] = ()) -> Scoping:
        """What finds the scopes of a session; keep it, for making it reads every network."""
        return Scoping(self.mode, self.tenants, self.connectors, own_networks)

    @property
    def ladder_names(self) -> tuple[str, ...]:
        """All ladders that can be used, built in or one's own."""
        return (*PRESETS, *self.ladders)

    def named_ladder(self, name: str) -> Ladder:
        """A ladder by its name.

        Raises:
            KeyError: there is none.
        """
        return self.laddering.named(name)

    def stops(self, assessment: Assessment) -> tuple[Stop, ...]:
        """The time before the policy came to apply to such a build: it counts for no clock."""
        found = []
        if self.clock_from:
            found.append(Stop(0.0, midnight(self.clock_from), None))
        if self.waves:
            days = [wave.since for wave in self.waves if wave.fits(assessment)]
            found.append(Stop(0.0, midnight(min(days)) if days else None, Reason.NOT_IN_SCOPE))
        return tuple(found)

    @cached_property
    def laddering(self) -> Laddering:
        """Which ladder applies to whom."""
        return Laddering(self.ladder, self.ladder_rules, self.ladders)

    @cached_property
    def past(self) -> Past:
        """What has been in force: of a policy by itself, it alone and always."""
        return Past().noting(self.laddering, (), 0.0)

    def after(self, past: Past) -> "Policy":
        """The same policy with what was in force before it; the last era of that is what is in force."""
        policy = msgspec.structs.replace(self)
        # Not a field: nobody writes it into a configuration, and two nodes' policies are equal without it.
        policy.__dict__["past"] = past
        return policy

    def course(
        self, assessment: Assessment | None, episode: Episode, stops: tuple[Stop, ...], now: float
    ) -> tuple[Ladder, float]:
        """The ladder that a server is on, and where it stands there, in seconds.

        Where one ladder came to replace another during the episode (a hole began to be exploited, a rule's
        day came, the operator chose another), the place is carried over from each to the next, so that no
        notice is skipped.
        """
        return course(self.past, assessment, episode, stops, now)

    def turns(
        self, assessment: Assessment, episode: Episode, stops: tuple[Stop, ...], now: float
    ) -> tuple[Turn, ...]:
        """Which other ladders will come to apply to a server, as far as that is known."""
        return turns(self.past, assessment, episode, stops, now)
