"""The stages of one server as dates: what was, is, and comes next, as far as its stops are known."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from wehr.policy.clock import elapsed, when
from wehr.policy.ladder import Ladder, Step, notice, stage_at, steps
from wehr.policy.laddering import Turn
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
    ladder: Ladder,
    episode: Episode,
    stops: Sequence[Stop],
    now: float,
    place: float | None = None,
    *,
    turns: Sequence[Turn] = (),
) -> tuple[Entry, ...]:
    """The stages of a server; none is current before its detection.

    ``place`` is where it stands on the ladder, in seconds, if not its clock; what lies before is then as if
    it had been on this ladder all along. A stage whose start is None is not reached unless a stop without an
    end is lifted. ``turns`` are the ladders that will take this one's place: its stages that lie behind are
    left out, and the numbers go on with theirs.
    """
    clock = elapsed(episode, stops, now)
    place = clock if place is None else place
    present = stage_at(ladder, place) if now >= episode.started else 0

    def at(mark: float | None) -> float | None:
        return None if mark is None else when(episode, stops, max(0.0, clock + mark - place))

    found = tuple(
        Entry(step.number, at(step.start), at(step.end), step.throttle, step.block, step.number == present)
        for step in steps(ladder)
    )
    for turn in turns:
        found = _turned(found, turn, timeline(turn.ladder, episode, stops, turn.at, turn.place))
    return found


def _turned(before: Sequence[Entry], turn: Turn, after: Sequence[Entry]) -> tuple[Entry, ...]:
    *found, last = (it for it in before if it.current or (it.start is not None and it.start < turn.at))
    first, *rest = after[stage_at(turn.ladder, turn.place) - 1 :]
    if (first.throttle, first.block) == (last.throttle, last.block):
        last = replace(last, end=first.end)
    else:
        last, rest = replace(last, end=turn.at), [replace(first, start=turn.at), *rest]
    numbered = (replace(it, stage=last.stage + more, current=False) for more, it in enumerate(rest, 1))
    return (*found, last, *numbered)


class Dates(Struct, frozen=True):
    """The dates and rates of Microsoft's Get-OnPremServerReportInfo; times are UTC seconds since 1970.

    The days on which throttling and blocking begin are nominal, counted from the first detection without
    regard to pauses, unless another ladder takes this one's place before; the next stage's day takes account
    of them, as Microsoft's does: in the one output known, of May 2024, the next stage comes six days later
    than the nominal days would have it.
    """

    first_detected_date: float
    throttle_enabled_date: float | None
    blocking_enabled_date: float | None
    next_stage_throttle_rate: int | None
    next_stage_block_rate: int | None
    next_stage_start_date: float | None


def dates(
    ladder: Ladder,
    episode: Episode,
    stops: Sequence[Stop],
    now: float,
    place: float | None = None,
    *,
    turns: Sequence[Turn] = (),
) -> Dates:
    """The dates of a server; ``place`` and ``turns`` are as `timeline` takes them."""
    clock = elapsed(episode, stops, now)
    place = clock if place is None else place
    every, number = steps(ladder), stage_at(ladder, place)
    throttled = notice(ladder)
    blocked = next((step.start for step in every if step.block), None)
    nominal = Episode(episode.started, ((episode.started, None),))
    lasting = [stop for stop in stops if stop.reason is not Reason.PAUSED]
    throttled_from = None if throttled is None else when(nominal, lasting, throttled)
    blocked_from = None if blocked is None else when(nominal, lasting, blocked)
    ahead: list[tuple[float | None, Step | Entry]] = [
        (when(episode, stops, clock + it.start - place), it) for it in every[number : number + 1]
    ]
    if turns:
        entries = timeline(ladder, episode, stops, now, place, turns=turns)
        ahead = [(it.start, it) for it in entries[number : number + 1]]
        if throttled_from is None or throttled_from > turns[0].at:
            throttled_from = next((it.start for it in entries if it.throttle or it.block), None)
        if blocked_from is None or blocked_from > turns[0].at:
            blocked_from = next((it.start for it in entries if it.block), None)
    start, following = ahead[0] if ahead else (None, None)
    return Dates(
        episode.started,
        throttled_from,
        blocked_from,
        following.throttle if following else None,
        following.block if following else None,
        start,
    )
