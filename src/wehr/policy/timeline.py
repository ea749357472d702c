"""The stages of one server as dates: what was, is, and comes next, as far as its stops are known."""

from collections.abc import Sequence

from msgspec import Struct

from wehr.policy.clock import elapsed, when
from wehr.policy.ladder import Ladder, notice, stage_at, steps
from wehr.policy.types import Episode, Reason, Stop


class Entry(Struct, frozen=True):
    """One stage with its dates (UTC seconds since 1970). ``end`` None: open, or never reached."""

    stage: int
    start: float | None
    end: float | None
    throttle: int
    block: int
    current: bool


def timeline(
    ladder: Ladder, episode: Episode, stops: Sequence[Stop], now: float, place: float | None = None
) -> tuple[Entry, ...]:
    """The stages of a server; none is current before its detection.

    ``place`` is where it stands on the ladder, in seconds, if not its clock; what lies before is then as if
    it had been on this ladder all along. A stage whose start is None is not reached unless a stop without an
    end is lifted.
    """
    clock = elapsed(episode, stops, now)
    place = clock if place is None else place
    present = stage_at(ladder, place) if now >= episode.started else 0

    def at(mark: float | None) -> float | None:
        return None if mark is None else when(episode, stops, max(0.0, clock + mark - place))

    return tuple(
        Entry(step.number, at(step.start), at(step.end), step.throttle, step.block, step.number == present)
        for step in steps(ladder)
    )


class Dates(Struct, frozen=True):
    """The dates and rates of Microsoft's Get-OnPremServerReportInfo; times are UTC seconds since 1970.

    The days on which throttling and blocking begin are nominal, counted from the first detection without
    regard to pauses; the next stage's day takes account of them, as Microsoft's does: in the one output
    known, of May 2024, the next stage comes six days later than the nominal days would have it.
    """

    first_detected_date: float
    throttle_enabled_date: float | None
    blocking_enabled_date: float | None
    next_stage_throttle_rate: int | None
    next_stage_block_rate: int | None
    next_stage_start_date: float | None


def dates(
    ladder: Ladder, episode: Episode, stops: Sequence[Stop], now: float, place: float | None = None
) -> Dates:
    """The dates of a server; ``place`` is where it stands on the ladder, in seconds, if not its clock."""
    clock = elapsed(episode, stops, now)
    place = clock if place is None else place
    every = steps(ladder)
    following = every[stage_at(ladder, place) :]
    throttled = notice(ladder)
    blocked = next((step.start for step in every if step.block), None)
    nominal = Episode(episode.started, ((episode.started, None),))
    lasting = [stop for stop in stops if stop.reason is not Reason.PAUSED]
    return Dates(
        episode.started,
        None if throttled is None else when(nominal, lasting, throttled),
        None if blocked is None else when(nominal, lasting, blocked),
        following[0].throttle if following else None,
        following[0].block if following else None,
        when(episode, stops, clock + following[0].start - place) if following else None,
    )
