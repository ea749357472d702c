"""Compliance: the rules that an assessment must meet, and what is said when it does not.

A rule answers yes, no or cannot tell. All rules that are required must hold; nothing is refused on ignorance,
so a server is out of compliance only if one says no.
"""

import re
from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache
from typing import Annotated, Literal

from msgspec import Meta, Struct

from wehr.catalogue.types import Assessment, Note, State
from wehr.evidence.build import Build, format_build, parse_build
from wehr.policy.phrases import Phrase, Value, joined

_PLACE = re.compile(r"%\((\w+)\)s")
RuleName = Literal["supported", "current", "floor", "not-exploited"]


class Compliance(Struct, frozen=True, gc=False):
    """Whether a build may go on sending, and by which rule. ``ok`` None: it cannot be told.

    ``since`` is the day from which the rule has not held. What ``why`` is made of is kept: ``text`` and the
    ``values`` in the order of its places.
    """

    ok: bool | None
    rule: str
    text: str
    since: date | None = None
    values: tuple[Value, ...] = ()

    @property
    def why(self) -> Phrase:
        """One clause for people. Made when somebody looks at it, for messages are decided on without."""
        return _clause(self.text, self.values)


@lru_cache(maxsize=1024)
def _clause(text: str, values: tuple[Value, ...]) -> Phrase:
    return Phrase(text, dict(zip(_PLACE.findall(text), values, strict=True)))


class Floor(Struct, frozen=True, forbid_unknown_fields=True):
    """The least build that is accepted, from a day on, of all builds that begin with ``builds``."""

    builds: Annotated[
        str, Meta(description="First numbers of the builds meant, such as 15.1 or 15.2.1544.", min_length=1)
    ]
    since: Annotated[date, Meta(description="The day from which the floor holds.")]
    least: Annotated[str, Meta(description="Least build accepted; empty: none of them is.")] = ""
    software: Annotated[str, Meta(description="The software it is about.")] = "exchange"
    source: Annotated[str, Meta(description="Where the figure comes from.")] = ""
    certain: Annotated[bool, Meta(description="Whether the source gives it outright.")] = True

    def __post_init__(self) -> None:
        _numbers(self.builds)
        if self.least:
            parse_build(self.least)


@lru_cache(maxsize=1024)
def _numbers(text: str) -> Build:
    """``15.1.2507.61``, ``15.1`` or ``8`` as numbers.

    Raises:
        ValueError: it is none of these.
    """
    try:
        return parse_build(f"{text}.0")[:-1]
    except ValueError:
        raise ValueError(
            f"not the first numbers of a build: {text!r}; write them as 8, 15.1 or 15.2.1544"
        ) from None


_TEAM_2026 = "Exchange Team Blog, 2 September 2026 (4552717)"
_TEAM_2023 = "Exchange Team Blog, 8 May 2023 (3815328); the day from reports of its start"

MICROSOFT_FLOORS = (
    # 2007 came first. What is older is not named, but "any Exchange server that has reached end of life" is.
    *(Floor(old, date(2023, 8, 1), source=_TEAM_2023, certain=False) for old in ("4", "5", "6")),
    Floor("8", date(2023, 8, 1), "", source=_TEAM_2023, certain=False),
    Floor("14", date(2023, 9, 1), "", source=_TEAM_2023, certain=False),
    Floor("15.0", date(2023, 12, 1), "", source=_TEAM_2023, certain=False),
    # Never announced: the least of the builds that Microsoft's report called acceptable in May 2024. No
    # figure for 2019 was ever seen, so none stands here until September 2026.
    Floor(
        "15.1",
        date(2024, 3, 1),
        "15.1.2507.31",
        source="RecommendedBuildVersions of Get-OnPremServerReportInfo, May 2024",
        certain=False,
    ),
    # "In the second week of September": its Tuesday. The post names the update (October 2025), not builds.
    Floor("15.1", date(2026, 9, 8), "15.1.2507.61", source=_TEAM_2026),
    Floor("15.2", date(2026, 9, 8), "15.2.1748.39", source=_TEAM_2026),
    Floor("15.2.1544", date(2026, 9, 8), "15.2.1544.36", source=_TEAM_2026, certain=False),
)
"""The builds that Exchange Online accepts, by date, as far as they are known."""


class Rules(Struct, frozen=True, cache_hash=True, forbid_unknown_fields=True):
    """What a server must meet to go on sending. All that are required must hold."""

    require: Annotated[
        tuple[RuleName, ...],
        Meta(
            description="Rules that must all hold. supported: product and branch get updates; current: no "
            "security update missing for longer than grace_days; floor: at or above the least build; "
            "not-exploited: no missing fix of a hole known to be exploited."
        ),
    ] = ("floor", "current")
    grace_days: Annotated[
        int, Meta(ge=0, le=3650, description="Days that a security update may be missing (rule current).")
    ] = 30
    preset: Annotated[
        Literal["exchange-online", "none"],
        Meta(description="Whose floors hold beside one's own (rule floor): Exchange Online's, or nobody's."),
    ] = "exchange-online"
    floors: Annotated[
        tuple[Floor, ...], Meta(description="Floors of one's own; of those that fit, the latest decides.")
    ] = ()
    demand_esu: Annotated[
        bool, Meta(description="Whether paid (ESU) updates must be installed as well (rule current).")
    ] = False
    trust_versions: Annotated[
        tuple[str, ...],
        Meta(description="Software whose version is believed although distributions backport its fixes."),
    ] = ()


EXCHANGE_ONLINE = Rules(require=("floor",))
"""What Exchange Online itself demands, and nothing more."""


@lru_cache(maxsize=1024)
def complies(assessment: Assessment, rules: Rules, day: date) -> Compliance:
    """Whether the build meets the rules on the day; the first rule that says no speaks for all."""
    if Note.NEWER_THAN_CATALOGUE in assessment.notes:
        return Compliance(True, "newer", "newer than every build of its branch in the catalogue")
    if assessment.state is State.UNKNOWN:
        return Compliance(None, "unknown", "the catalogue knows no such product or branch")
    if assessment.backported and assessment.software not in rules.trust_versions:
        return Compliance(None, "backported", "distributions ship its fixes under the old version")
    unsure = None
    for name in rules.require:
        answer = _RULES[name](assessment, rules, day)
        if answer.ok is False:
            return answer
        unsure = unsure or (answer if answer.ok is None else None)
    return unsure or _met(rules.require)


@lru_cache(maxsize=64)
def _met(rules: tuple[RuleName, ...]) -> Compliance:
    if not rules:
        return Compliance(True, "all", "meets every rule, for none is set")
    names = joined(", ", map(Phrase, rules))
    return Compliance(True, "all", "meets %(rules)s", None, (names,))


def floor_for(software: str, build: Build, rules: Rules, day: date) -> Floor | None:
    """The floor that holds for a build on a day: the latest that fits it, the narrowest of one day."""
    for numbers, floor in _in_force(rules.preset, rules.floors, day):
        if floor.software == software and build[: len(numbers)] == numbers:
            return floor
    return None


@lru_cache(maxsize=64)
def _in_force(preset: str, own: tuple[Floor, ...], day: date) -> tuple[tuple[Build, Floor], ...]:
    """The floors that have come into force by a day, the latest and narrowest first."""
    every = (*own, *MICROSOFT_FLOORS) if preset == "exchange-online" else own
    begun = [(_numbers(floor.builds), floor) for floor in every if floor.since <= day]
    return tuple(sorted(begun, key=lambda pair: (pair[1].since, len(pair[0])), reverse=True))


def begins_with(build: Build, prefix: str) -> bool:
    """Whether a build begins with the numbers of ``prefix``, such as ``15.1``.

    Raises:
        ValueError: ``prefix`` is no such numbers.
    """
    numbers = _numbers(prefix)
    return build[: len(numbers)] == numbers


def _supported(assessment: Assessment, _rules: Rules, _day: date) -> Compliance:
    if assessment.state is not State.UNSUPPORTED:
        return Compliance(True, "supported", "gets security updates")
    if Note.ESU in assessment.notes and assessment.esu_available:
        return Compliance(True, "supported", "gets paid (ESU) security updates")
    since = assessment.unsupported_since
    if since is None:
        return Compliance(False, "supported", "gets no public security updates any more")
    return Compliance(
        False, "supported", "gets no public security updates any more, since %(day)s", since, (since,)
    )


def _current(assessment: Assessment, rules: Rules, day: date) -> Compliance:
    due = day - timedelta(days=rules.grace_days)
    wanted = [
        update
        for update in assessment.missing_updates
        if update.released < due and (rules.demand_esu or not update.esu)
    ]
    missing = min((update for update in wanted if update.certain), key=lambda it: it.released, default=None)
    if missing:
        since = missing.released + timedelta(days=rules.grace_days + 1)
        told = (missing.name, missing.released)
        return Compliance(False, "current", "%(update)s is missing, out since %(day)s", since, told)
    if assessment.product_supported and not assessment.branch_supported:
        ended = assessment.unsupported_since
        if ended is None or ended < due:
            return Compliance(False, "current", "its branch gets no security updates any more", ended)
    if wanted:
        unsure = (wanted[0].name,)
        return Compliance(
            None, "current", "the stamp does not show whether %(update)s is installed", None, unsure
        )
    grace = (rules.grace_days,)
    return Compliance(True, "current", "no security update is missing for over %(days)s days", None, grace)


def _floor(assessment: Assessment, rules: Rules, day: date) -> Compliance:
    floor = floor_for(assessment.software, assessment.build, rules, day)
    if floor is None:
        return Compliance(True, "floor", "no least build is set for it")
    if not floor.least:
        none = (floor.builds,)
        return Compliance(False, "floor", "no build of %(builds)s is accepted any more", floor.since, none)
    least = (floor.least,)
    if assessment.build < _numbers(floor.least):
        return Compliance(False, "floor", "below the least build accepted, %(least)s", floor.since, least)
    return Compliance(True, "floor", "at or above the least build accepted, %(least)s", None, least)


def _not_exploited(assessment: Assessment, _rules: Rules, day: date) -> Compliance:
    holes = [hole for hole in assessment.vulnerabilities if hole.exploited and hole.exploited <= day]
    certain = sorted((hole for hole in holes if hole.certain), key=lambda hole: str(hole.exploited))
    if not holes:
        return Compliance(True, "not-exploited", "has no hole known to be exploited")
    if not certain:
        unsure = (holes[0].cve,)
        return Compliance(
            None, "not-exploited", "the stamp does not show whether %(hole)s is fixed", None, unsure
        )
    sure = certain[0]
    if not sure.fixed_in:
        known = (sure.cve,)
        return Compliance(
            False, "not-exploited", "has %(hole)s, known to be exploited", sure.exploited, known
        )
    fixed = (sure.cve, format_build(sure.fixed_in))
    return Compliance(
        False,
        "not-exploited",
        "has %(hole)s, known to be exploited, fixed in %(build)s",
        sure.exploited,
        fixed,
    )


_RULES: dict[str, Callable[[Assessment, Rules, date], Compliance]] = {
    "supported": _supported,
    "current": _current,
    "floor": _floor,
    "not-exploited": _not_exploited,
}
