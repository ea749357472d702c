"""All that is told of one server: its report, what it lacks, its ladder, and this hour. Pure."""

from msgspec import Struct

from wehr.catalogue.types import Assessment
from wehr.evidence import Relation
from wehr.evidence.build import Build
from wehr.ledger.explaining import scope_of
from wehr.ledger.report import Basis, Judgement, ReportRow, judge, report
from wehr.ledger.rows import ServerRow, Tally
from wehr.policy import Mode
from wehr.policy.clock import stopped
from wehr.policy.cure import least_accepted
from wehr.policy.policy import Policy
from wehr.policy.timeline import Entry, timeline
from wehr.policy.types import Reason, Stop
from wehr.policy.windows import HOUR, Window, window

_OF_THE_LADDER = {Reason.REPORT_STAGE, Reason.OUTSIDE_WINDOW, Reason.THROTTLED, Reason.BLOCKED}


class Story(Struct, frozen=True):
    """One server as of ``now``. Times are UTC seconds since 1970."""

    row: ServerRow
    report: ReportRow
    assessment: Assessment | None
    ladder: str
    """The ladder it stands on; empty, as ``stages`` is, where no clock runs."""
    stages: tuple[Entry, ...]
    holder: Stop | None
    """What stops its clock now: a pause or an exemption."""
    least: Build | None
    """The least build that is accepted today."""
    enforced: bool
    """Whether what the ladder says is carried out, or would be."""
    windows: tuple[Window, ...]
    """When mail is refused in this hour and the next; none where nothing is."""

    @property
    def current(self) -> Entry | None:
        """The present stage."""
        return next((stage for stage in self.stages if stage.current), None)


def story(row: ServerRow, tallies: tuple[Tally, ...], basis: Basis, key: bytes) -> Story:
    """The story of a server; ``key`` is the fleet's secret, which places the windows."""
    judged = judge(row.key, row.state, row.client_name, basis)
    ladder, stages, holder = _course(row, judged, basis)
    enforced = is_enforced(row, basis.policy)
    current = next((stage for stage in stages if stage.current), None)
    windows: tuple[Window, ...] = ()
    if current and enforced and not holder and current.throttle + current.block:
        hour = int(basis.now // HOUR)
        windows = tuple(window(key, row.key, it, current.throttle, current.block) for it in (hour, hour + 1))
    assessment = judged.assessment
    return Story(
        row,
        report([row], basis, tallies)[0],
        assessment,
        ladder,
        stages,
        holder,
        least_accepted(
            basis.catalogue, assessment.software, assessment.build, basis.policy.compliance, basis.today
        )
        if assessment and judged.out_of_date
        else None,
        enforced,
        windows,
    )


def _course(row: ServerRow, judged: Judgement, basis: Basis) -> tuple[str, tuple[Entry, ...], Stop | None]:
    standing = basis.ledger.standing(row.key, basis.now)
    if not (judged.out_of_date and judged.assessment and standing and standing.episode):
        return "", (), None
    held = (
        *basis.policy.stops(judged.assessment),
        *basis.holds.stops(row.key, row.state.client_ip, row.client_name),
    )
    ladder, place = basis.policy.course(judged.assessment, standing.episode, held, basis.now)
    stages = timeline(ladder, standing.episode, held, basis.now, place)
    return ladder.name, stages, stopped(held, basis.now)


def is_enforced(row: ServerRow, policy: Policy) -> bool:
    """Whether what the ladder says is carried out with a next message like its last, as far as is known."""
    if row.state.software not in policy.enforce_software or row.relation != Relation.DIRECT:
        return False
    untold = any(it.mode and (it.listeners or it.tls_names) for it in policy.connectors)
    if untold and row.reason in _OF_THE_LADDER:
        return row.enforced  # as with its last message
    return scope_of(row.key, row.client_ip, row.client_name, policy).mode is Mode.ENFORCE
