"""Servers as notices see them: where each stands, and all that is said of one. Pure."""

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from functools import partial
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from wehr.catalogue.types import Assessment, MissingUpdate, Release, Vulnerability
from wehr.evidence.build import format_build
from wehr.ledger.report import Basis, judge
from wehr.ledger.rows import ServerRow
from wehr.ledger.story import is_enforced
from wehr.notices.contacts import Whom
from wehr.notices.types import Place
from wehr.policy import Reason
from wehr.policy.clock import stopped
from wehr.policy.compliance import MICROSOFT_FLOORS, complies
from wehr.policy.selection import midnight
from wehr.policy.timeline import Entry

_DAY: Final = 86_400.0
_CONFIRMED: Final = 30 * _DAY
"""Seconds for which a name that was borne out counts as such."""
_SHOWN: Final = 4


class Server(Struct, frozen=True):
    """All that a notice may say of one server."""

    ref: str
    tenant: str
    name: str
    client_ip: str
    client_name: str
    network: str
    software: str
    product: str
    build: str
    installed: str
    """The newest update that it has; "" for the first build of its branch."""
    line: str
    """The Received field that shows it."""
    seen_at: float
    detected: float | None
    missing: tuple[MissingUpdate, ...]
    """The newest first, at most four."""
    missing_more: int
    missing_since: date | None
    unsupported_since: date | None
    holes: tuple[Vulnerability, ...]
    """Known to be exploited, the latest first."""
    least: Release | None
    recommended: tuple[Release, ...]
    stages: tuple[Entry, ...]
    """The present one and those to come; none where nothing is refused."""
    paused: bool
    link: str


class Found(Struct, frozen=True):
    """A server with all that is known of it; `describe` makes a `Server` of it when it is written about."""

    place: Place
    whom: Whom
    row: ServerRow
    assessment: Assessment
    detected: float | None
    stages: tuple[Entry, ...]
    """Of the ladder that is carried out; none where nothing is refused."""


def survey(rows: Iterable[ServerRow], basis: Basis, whom: Callable[[ServerRow], Whom]) -> Iterator[Found]:
    """Every server that hands over itself and shows a build, with where it stands."""
    for row in rows:
        judged = judge(row.key, row.state, row.client_name, basis)
        assessment = judged.assessment
        if assessment is None or row.relation != "direct":
            continue
        course = judged.course if judged.course and judged.course.episode.intervals[-1][1] is None else None
        stages = course.stages if course and is_enforced(row, basis.policy) else ()
        stops = basis.stops(row.key, row.state, row.client_name, assessment)
        held = {stop.reason for stop in stops if stopped((stop,), basis.now)}
        owner = whom(row)
        place = Place(
            tenant=row.key.tenant,
            organisation=owner.organisation,
            ref=row.ref,
            confirmed=row.state.confirmed_at > basis.now - _CONFIRMED,
            seen=not basis.silent(row.state),
            alone=Reason.EXEMPT in held or (judged.mixed and basis.policy.mixed != "enforce"),
            detected=course.episode.started if course else None,
            throttled=next((it.start for it in stages if it.throttle or it.block), None),
            blocked=next((it.start for it in stages if it.block), None),
            shut_out=next((it.start for it in stages if it.block == 60), None),
            paused=Reason.PAUSED in held,
            floors=_floors(assessment, basis),
            exploited=tuple((hole.cve, since) for hole, since in _attacked(assessment)),
        )
        yield Found(place, owner, row, assessment, place.detected, stages)


def describe(found: Found, basis: Basis, link: Callable[[str], str]) -> Server:
    """All that is said of a server; ``link`` gives the page behind a reference, "" if there is none."""
    row, assessment = found.row, found.assessment
    lacking = (it for it in basis.asked(assessment) if it.certain)
    missing = sorted(lacking, key=lambda it: it.released)
    least, release_of = basis.least(assessment), partial(basis.catalogue.release_of, assessment.software)
    present = next((it.stage for it in found.stages if it.current), 1)
    names = (assessment.product or assessment.software, assessment.branch)
    return Server(
        ref=row.ref,
        tenant=row.key.tenant,
        name=row.key.name,
        client_ip=row.client_ip,
        client_name=row.client_name,
        network=row.key.network,
        software=assessment.software,
        product=" ".join(name for name in names if name),
        build=format_build(assessment.build),
        installed=assessment.update or "",
        line=row.line,
        seen_at=row.seen_at,
        detected=found.detected,
        missing=tuple(reversed(missing[-_SHOWN:])),
        missing_more=max(0, len(missing) - _SHOWN),
        missing_since=assessment.missing_since,
        unsupported_since=assessment.unsupported_since,
        holes=tuple(hole for hole, _ in _attacked(assessment)),
        least=release_of(least) if least else None,
        recommended=tuple(
            it for build in assessment.recommended_builds[:_SHOWN] if (it := release_of(build))
        ),
        stages=tuple(
            it for it in found.stages if it.stage >= present and it.start and (it.throttle or it.block)
        ),
        paused=found.place.paused,
        link=link(row.ref),
    )


def _floors(assessment: Assessment, basis: Basis) -> tuple[str, ...]:
    """The days to come from which the build is below a floor; none where floors do not count."""
    rules = basis.policy.compliance
    if "floor" not in rules.require:
        return ()
    every = (*rules.floors, *(MICROSOFT_FLOORS if rules.preset == "exchange-online" else ()))
    days = sorted({floor.since for floor in every if floor.since > basis.today})
    alone = replace(rules, require=("floor",))
    return tuple(day.isoformat() for day in days if complies(assessment, alone, day).ok is False)


def _attacked(assessment: Assessment) -> list[tuple[Vulnerability, float]]:
    """The holes that are known to be exploited, and since when they are; the latest first."""
    found = [(hole, midnight(hole.exploited)) for hole in assessment.attacked if hole.exploited]
    return sorted(found, key=lambda pair: (pair[1], pair[0].cve), reverse=True)
