"""All that is told of one server: its report, what it lacks, its ladder, and this hour. Pure."""

from msgspec import Struct

from wehr.catalogue.types import Assessment
from wehr.evidence import Relation
from wehr.ledger.explaining import scope_of
from wehr.ledger.report import Basis, ReportRow, judge, report_row
from wehr.ledger.rows import ServerRow, Tally
from wehr.policy import Mode
from wehr.policy.policy import Policy
from wehr.policy.refusals import Refusals
from wehr.policy.timeline import Entry
from wehr.policy.types import Action, Reason, Stop
from wehr.policy.windows import HOUR, Window

_OF_THE_LADDER = {Reason.REPORT_STAGE, Reason.OUTSIDE_WINDOW, Reason.THROTTLED, Reason.BLOCKED}


class Story(Struct, frozen=True):
    """One server as of ``now``. Times are UTC seconds since 1970."""

    row: ServerRow
    report: ReportRow
    assessment: Assessment | None
    ladder: str
    """The ladder it stands on; empty, as ``stages`` is, where no clock runs."""
    stages: tuple[Entry, ...]
    stops: tuple[Stop, ...]
    """Whatever stops its clock, at any time."""
    holder: Stop | None
    """What stops its clock now: a pause or an exemption."""
    excuse: Stop | None
    """What has its mail taken now, whatever its stage."""
    enforced: bool
    """Whether what the ladder says is carried out, or would be."""
    action: Action
    """What its mail meets now."""
    until: float | None
    """When mail that is refused is taken again; None if that is not near."""
    windows: tuple[Window, ...]
    """When mail is refused in this hour and the next; none where nothing is."""

    @property
    def current(self) -> Entry | None:
        """The present stage."""
        return next((stage for stage in self.stages if stage.current), None)


def story(row: ServerRow, tallies: tuple[Tally, ...], basis: Basis, key: bytes) -> Story:
    """The story of a server; ``key`` is the fleet's secret, which places the windows."""
    judged = judge(row.key, row.state, row.client_name, basis)
    course, enforced = judged.course, is_enforced(row, basis.policy)
    action, until = Action.ACCEPT, None
    windows: tuple[Window, ...] = ()
    if enforced and course and judged.assessment:
        refusals = Refusals(row.key, basis.policy, judged.assessment, course.episode, course.stops, key)
        action, until = refusals.met(basis.now)
        hour = int(basis.now // HOUR)
        windows = (*refusals.hour(hour), *refusals.hour(hour + 1))
    return Story(
        row,
        report_row(row, judged, basis, tallies),
        judged.assessment,
        course.ladder.name if course else "",
        course.stages if course else (),
        course.stops if course else (),
        course.holder if course else None,
        course.excuse if course else None,
        enforced,
        action,
        until,
        windows,
    )


def is_enforced(row: ServerRow, policy: Policy) -> bool:
    """Whether what the ladder says is carried out with a next message like its last, as far as is known."""
    if row.state.software not in policy.enforce_software or row.relation != Relation.DIRECT:
        return False
    untold = any(it.mode and (it.listeners or it.tls_names) for it in policy.connectors)
    if untold and row.reason in _OF_THE_LADDER:
        return row.enforced  # as with its last message
    return scope_of(row.key, row.client_ip, row.client_name, policy).mode is Mode.ENFORCE
