"""Which builds a wave or a ladder rule is about."""

from datetime import UTC, date, datetime
from typing import Annotated

from msgspec import Meta, Struct

from wehr.catalogue.types import Assessment, State
from wehr.policy.compliance import begins_with


class Builds(Struct, frozen=True, forbid_unknown_fields=True):
    """Which assessments are meant: those that meet every condition that is set."""

    software: Annotated[str, Meta(description="The software, such as exchange or exim.")] = "exchange"
    products: Annotated[
        tuple[str, ...], Meta(description="Products as the catalogue calls them; empty: all.")
    ] = ()
    builds: Annotated[
        tuple[str, ...], Meta(description="First numbers of builds, such as 8 or 15.1.2507; empty: all.")
    ] = ()

    def __post_init__(self) -> None:
        for prefix in self.builds:
            begins_with((), prefix)

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

    def starts(self, assessment: Assessment, learned: dict[str, float] | None = None) -> float | None:
        """From when on the rule applies to the assessment (UTC seconds); None if it does not.

        ``learned`` says of a hole (``CVE-2026-0001``), and of its being exploited (``CVE-2026-0001
        exploited``), when the catalogue in force first said so: it cannot have applied before.
        """
        if not self.fits(assessment) or (self.states and assessment.state not in self.states):
            return None
        start = midnight(self.since) if self.since else 0.0
        if self.states and (became := _became(assessment, self.states)):
            start = max(start, midnight(became))
        if not (self.exploited or self.cves):
            return start
        known = []
        for hole in assessment.vulnerabilities:
            if not hole.certain or (self.cves and hole.cve not in self.cves):
                continue
            fact = f"{hole.cve} exploited" if self.exploited else hole.cve
            heard = (learned or {}).get(fact, 0.0)
            if not self.exploited:
                known.append(heard)
            elif hole.exploited:
                known.append(max(heard, midnight(hole.exploited)))
        return max(start, min(known)) if known else None


def _became(assessment: Assessment, states: tuple[State, ...]) -> date | None:
    """Since when the build has been in one of the states, as far as the catalogue tells."""
    days = {State.OUTDATED: assessment.missing_since, State.UNSUPPORTED: assessment.unsupported_since}
    known = [day for state in states if (day := days.get(state))]
    return min(known, default=None)


def midnight(day: date) -> float:
    """The start of a day in UTC, as seconds since 1970."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
