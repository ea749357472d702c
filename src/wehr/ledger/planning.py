"""What a planned change of policy means, and for which servers. Pure."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import Final

from msgspec import Struct

from wehr.catalogue.types import Assessment
from wehr.evidence.build import format_build
from wehr.ledger.explaining import scope_of
from wehr.ledger.exporting import cell
from wehr.ledger.report import Basis
from wehr.ledger.rows import ServerRow
from wehr.policy import Holds, Mode, Policy
from wehr.policy.compliance import Floor
from wehr.policy.ladder import DAY, Ladder
from wehr.policy.laddering import facts
from wehr.policy.selection import Wave
from wehr.policy.simulation import Span, simulate

HORIZON: Final = 365
"""Days that are looked ahead."""
_OLDEST: Final = 3660 * DAY


class Touched(Struct, frozen=True):
    """A server that the plan treats otherwise; a ladder may be harsher at first, and milder later."""

    reference: str
    server: str
    network: str
    client_name: str
    tenant: str
    build: str
    product: str
    first_day: date
    """From when the plan treats it otherwise."""
    harsher_from: date | None
    """From when it counts as out of date, or is refused for longer, where it would not be; None: never."""
    milder_from: date | None
    """From when it does not, or is not, where it would be; None: never."""
    refused_from: date | None
    """From when mail is refused that is taken without the plan; None: none is."""
    why: str
    """Why it counts as what it counts as on the first day."""


class Changes(Struct, frozen=True):
    """What the plan alters; what is not altered is empty or None."""

    floors: tuple[Floor, ...] = ()
    waves: tuple[Wave, ...] = ()
    ladder: Ladder | None = None
    mode: Mode | None = None
    grace_days: int | None = None
    require: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self != Changes()


def compare(present: Policy, planned: Policy) -> Changes:
    """What a plan alters for the administrators of servers."""
    old, new = present.compliance, planned.compliance
    ladder = planned.named_ladder(planned.ladder)
    return Changes(
        floors=tuple(floor for floor in new.floors if floor not in old.floors),
        waves=tuple(wave for wave in planned.waves if wave not in present.waves),
        ladder=None if ladder.stages == present.named_ladder(present.ladder).stages else ladder,
        mode=None if planned.mode is present.mode else planned.mode,
        grace_days=None if new.grace_days == old.grace_days else new.grace_days,
        require=() if new.require == old.require else new.require,
    )


def planned_basis(basis: Basis, planned: Policy) -> Basis:
    """What servers would be judged by if the plan came into force now."""
    past = basis.policy.past.noting(planned.laddering, facts(basis.catalogue), basis.now)
    configured = basis.policy.exemptions
    asked_for = tuple(it for it in basis.holds.exemptions if it not in configured)
    holds = Holds.of(planned, basis.holds.pauses, asked_for)
    return Basis(basis.ledger, basis.catalogue, planned.after(past), holds, basis.now)


def touched(
    rows: Iterable[ServerRow], basis: Basis, planned: Basis, days: int = HORIZON
) -> Iterator[Touched]:
    """The servers that a plan treats otherwise in the days to come, as things stand.

    Args:
        rows: servers; those that are silent or stand behind a relay are passed over.
        basis: what they are judged by.
        planned: the same with the plan in force.
        days: how far to look.
    """
    for row in rows:
        silent = basis.silent(row.state)
        standing = basis.ledger.standing(row.key, basis.now)
        if silent or standing is None or standing.effective_build is None or row.relation != "direct":
            continue
        assessment = basis.catalogue.assess(standing.effective_build, basis.today, row.state.software)
        before, after = _play(row, basis, days), _play(row, planned, days)
        if found := _otherwise(row, assessment, before, after):
            yield found


class _Days(Struct, frozen=True):
    """Days on which a server is treated the same; ``end`` is the first day after them."""

    start: date
    end: date
    treatment: tuple[int, int, bool]
    """Minutes of each hour in which mail is blocked and throttled, and whether it counts as out of date."""
    why: str


def _play(row: ServerRow, basis: Basis, days: int) -> tuple[_Days, ...]:
    """The days to come."""
    standing = basis.ledger.standing(row.key, basis.now)
    if standing is None or standing.effective_build is None:
        return ()
    build = standing.effective_build
    episode = standing.episode
    if episode is not None and episode.intervals[-1][1] is not None:
        episode = None
    if episode:  # what was before today is told by the clock; its time of day is when stages begin
        first = basis.now - (basis.now - episode.started) % DAY
    else:
        first = max(standing.first_seen, basis.now - _OLDEST)
    mode = scope_of(row.key, row.client_ip, row.client_name, basis.policy).mode
    spans = simulate(
        basis.policy,
        lambda day: basis.catalogue.assess(build, day, row.state.software),
        first,
        start=basis.today,
        end=basis.today + timedelta(days=days),
        stops=basis.holds.stops(row.key, row.client_ip, row.client_name),
        episode=episode,
        present=basis.now,
    )
    return tuple(_Days(span.start, span.end, _treatment(span, mode), span.why) for span in spans)


def _treatment(span: Span, mode: Mode) -> tuple[int, int, bool]:
    refused = mode is Mode.ENFORCE and span.reason is None
    bad = mode is not Mode.OFF and span.ok is False
    return (span.block, span.throttle, bad) if refused else (0, 0, bad)


def _otherwise(
    row: ServerRow, assessment: Assessment, before: Sequence[_Days], after: Sequence[_Days]
) -> Touched | None:
    harsher = milder = refused = None
    why = ""
    for day in sorted({it.start for it in (*before, *after)}):
        old, new = _on(before, day), _on(after, day)
        if old is None or new is None or old.treatment == new.treatment:
            continue
        if harsher is None and milder is None:
            why = new.why
        if new.treatment < old.treatment:
            milder = milder or day
            continue
        harsher = harsher or day
        if new.treatment[:2] > old.treatment[:2]:
            refused = refused or day
    if harsher is None and milder is None:
        return None
    return Touched(
        row.ref,
        row.key.name,
        row.key.network,
        row.client_name,
        row.key.tenant,
        format_build(assessment.build),
        " ".join(part for part in (assessment.product or assessment.software, assessment.branch) if part),
        min(day for day in (harsher, milder) if day),
        harsher,
        milder,
        refused,
        why,
    )


def _on(days: Sequence[_Days], day: date) -> _Days | None:
    return next((it for it in days if it.start <= day < it.end), None)


def counted(found: Sequence[Touched]) -> tuple[int, int]:
    """How many are treated more harshly on some day, and how many more mildly; some ladders do both."""
    return sum(1 for it in found if it.harsher_from), sum(1 for it in found if it.milder_from)


def lead_days(found: Iterable[Touched], today: date) -> int | None:
    """Days until the first server is treated more harshly; None if none is."""
    days = [(one.harsher_from - today).days for one in found if one.harsher_from]
    return min(days, default=None)


def table(found: Iterable[Touched]) -> str:
    """The servers as CSV."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(Touched.__struct_fields__)
    for one in found:
        writer.writerow([cell(getattr(one, name) or "") for name in Touched.__struct_fields__])
    return out.getvalue()
