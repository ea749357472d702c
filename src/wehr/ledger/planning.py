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
    """A server that the plan is harder on."""

    reference: str
    server: str
    network: str
    client_name: str
    tenant: str
    build: str
    product: str
    first_day: date
    """From when the plan is harder on it."""
    refused_from: date | None
    """From when mail is refused that is taken without the plan; None: it is only reported."""
    why: str


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
    """The servers that a plan is harder on in the days to come, as things stand.

    Args:
        rows: servers; those that are silent or stand behind a relay are passed over.
        basis: what they are judged by.
        planned: the same with the plan in force.
        days: how far to look.
    """
    for row in rows:
        silent = basis.now - row.state.last_seen > basis.policy.silent_days * DAY
        standing = basis.ledger.standing(row.key, basis.now)
        if silent or standing is None or standing.effective_build is None or row.relation != "direct":
            continue
        assessment = basis.catalogue.assess(standing.effective_build, basis.today, row.state.software)
        before, after = _play(row, basis, days), _play(row, planned, days)
        if found := _harder(row, assessment, before, after):
            yield found


def _play(row: ServerRow, basis: Basis, days: int) -> list[tuple[Span, tuple[int, int]]]:
    """The days to come, each stretch with the minutes per hour that are refused in it: blocked, throttled."""
    standing = basis.ledger.standing(row.key, basis.now)
    if standing is None or standing.effective_build is None:
        return []
    build = standing.effective_build
    episode = standing.episode
    if episode is not None and episode.intervals[-1][1] is not None:
        episode = None
    if episode:  # what was before today is told by the clock; its time of day is when stages begin
        first = basis.now - (basis.now - episode.started) % DAY
    else:
        first = max(standing.first_seen, basis.now - _OLDEST)
    enforced = scope_of(row.key, row.client_ip, row.client_name, basis.policy).mode is Mode.ENFORCE
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
    return [
        (span, (span.block, span.throttle) if enforced and span.reason is None else (0, 0)) for span in spans
    ]


def _harder(
    row: ServerRow,
    assessment: Assessment,
    before: Sequence[tuple[Span, tuple[int, int]]],
    after: Sequence[tuple[Span, tuple[int, int]]],
) -> Touched | None:
    first = refused = None
    why = ""
    for day in sorted({span.start for span, _ in (*before, *after)}):
        old, new = _on(before, day), _on(after, day)
        if old is None or new is None:
            continue
        worse = new[1] > old[1]
        if first is None and (worse or (new[0].ok is False and old[0].ok is not False)):
            first, why = day, new[0].why
        if refused is None and worse:
            refused = day
    if first is None:
        return None
    return Touched(
        row.ref,
        row.key.name,
        row.key.network,
        row.client_name,
        row.key.tenant,
        format_build(assessment.build),
        " ".join(part for part in (assessment.product or assessment.software, assessment.branch) if part),
        first,
        refused,
        why,
    )


def _on(spans: Sequence[tuple[Span, tuple[int, int]]], day: date) -> tuple[Span, tuple[int, int]] | None:
    return next((pair for pair in spans if pair[0].start <= day < pair[0].end), None)


def lead_days(found: Iterable[Touched], today: date) -> int | None:
    """Days until the first server is touched; None if none is."""
    days = [(one.first_day - today).days for one in found]
    return min(days, default=None)


def table(found: Iterable[Touched]) -> str:
    """The servers as CSV."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(Touched.__struct_fields__)
    for one in found:
        writer.writerow([cell(getattr(one, name) or "") for name in Touched.__struct_fields__])
    return out.getvalue()
