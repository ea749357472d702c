"""One server: what it shows, where it stands on its ladder, when its mail is taken, and how much came."""

from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from wehr.evidence import format_build
from wehr.ledger.report import ReportRow
from wehr.policy.windows import Window
from wehr.web.api.catalogue import AssessmentShown, assessment_shown
from wehr.web.api.holds import ExemptionShown, PauseShown, exemption_shown, pause_shown
from wehr.web.api.operation import Call, Nothing, Operation, moment
from wehr.web.api.policy import StageShown, stage_shown
from wehr.web.api.servers import known_server
from wehr.web.pages.hours import messages_by_hour
from wehr.web.pages.server import Shown, Standing, builds_of, standing
from wehr.web.visit import Need


class WindowShown(Struct, frozen=True):
    """The stretch of an hour in which mail is refused: blocked first, then throttled, then taken again."""

    blocked_from: datetime
    throttled_from: datetime
    taken_from: datetime


class BuildSeen(Struct, frozen=True):
    """A build over time."""

    build: str | None
    first_seen: datetime
    last_seen: datetime
    """The day suffices: it is that day's begin, if the build was not first seen later."""
    days: int
    """On so many days."""
    compliant: bool | None
    """Null if it could not be judged, or was judged in several ways."""


class ServerFound(Struct, frozen=True):
    """One server."""

    server: ReportRow
    """The report's row."""
    evidence: str
    """The header line that its build was last seen in."""
    assessment: AssessmentShown | None
    ladder: str | None
    """Null, as there are no stages, where no clock runs."""
    stages: tuple[StageShown, ...]
    clock_stands: bool
    """Whether a pause or exemption stops its clock now."""
    enforced: bool
    """Whether what the ladder says is carried out, or would be."""
    windows: tuple[WindowShown, ...]
    """When its mail is refused in this hour and the next; none where nothing is."""
    builds: tuple[BuildSeen, ...]
    """Those it has shown, the highest first; the latest few are kept."""
    pauses: tuple[PauseShown, ...]
    """Of the server, or of all of its tenant; ended ones, too."""
    exemptions: tuple[ExemptionShown, ...]
    """Those that fit it and are one's own to see, but for the configuration's; ended ones, too."""
    exempt: bool
    """Whether another one leaves it alone now."""


class HourCounted(Struct, frozen=True):
    """The messages of an hour, by what became of them."""

    hour: datetime
    taken: int
    delayed: int
    refused: int
    would_be_refused: int
    """Delayed or refused if that were enforced; they were taken."""


async def _server(call: Call[Nothing, None]) -> ServerFound:
    return _found(await standing(call.visit, call.path("ref")))


def _found(it: Standing) -> ServerFound:
    told, basis = it.story, it.basis
    assessed = told.assessment
    return ServerFound(
        server=told.report,
        evidence=it.row.line,
        assessment=assessment_shown(assessed, basis.today, basis.catalogue.date) if assessed else None,
        ladder=told.ladder or None,
        stages=tuple(map(stage_shown, told.stages)),
        clock_stands=told.holder is not None,
        enforced=told.enforced,
        windows=tuple(map(_window, told.windows)),
        builds=tuple(map(_build, builds_of(it.row))),
        pauses=tuple(map(pause_shown, it.pauses)),
        exemptions=tuple(exemption_shown(ident, one) for ident, one in it.exemptions.items()),
        exempt=it.exempt,
    )


def _window(it: Window) -> WindowShown:
    return WindowShown(moment(it.start), moment(it.turn), moment(it.end))


def _build(it: Shown) -> BuildSeen:
    return BuildSeen(format_build(it.build) or None, moment(it.first), moment(it.last), it.days, it.compliant)


async def _hours(call: Call[Nothing, None]) -> tuple[HourCounted, ...]:
    row = await known_server(call.visit, call.path("ref"))
    counted = await messages_by_hour(call.visit, row.ref)
    return tuple(HourCounted(datetime.fromtimestamp(at, UTC), *counts) for at, counts in counted.items())


_PATH: Final = "/servers/{ref}"
OPERATIONS: Final = (
    Operation(
        "GET", _PATH, "get-server", "One server: what it shows, and where it stands.", "servers", Need.READ,
        _server, ServerFound, errors=(404,),
    ),
    Operation(
        "GET", f"{_PATH}/hours", "count-messages-by-hour", "A server's messages of the last 48 hours.",
        "servers", Need.READ, _hours, tuple[HourCounted, ...], errors=(404,),
    ),
)  # fmt: skip
