"""From what was seen to what it means: the episode, whether a server is mixed, who was renamed. Pure.

A non-compliant stamp *counts* on a day unless it is excused: by any compliant stamp on that day, or by a
compliant stamp of a higher build (or of another branch) in the days of memory before it, for a stamp is a
lower bound and may lag. The same build judged otherwise does not excuse: then the server stood still while
the policy moved, and its clock starts with the first such sighting. A day with a compliant stamp cures.

Where only the day of a sighting is remembered the clock starts with the end of that day, and stops with the
beginning of it: a notice period is never shortened.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from wehr.evidence.build import Build
from wehr.ledger.state import DAY, ServerState, Stamp, day_of, spread
from wehr.policy.types import Episode, Standing

MEMORY_DAYS: Final = 30
FORGET_DAYS: Final = 180
MAX_NAMES_FOR_RENAME: Final = 64
"""In a network with more names than this nobody can tell which one was renamed, so none is."""
_MAX_RENAMES: Final = 4
_MIXED_DAYS: Final = 2


def standing(
    state: ServerState,
    now: float,
    *,
    memory_days: int = MEMORY_DAYS,
    forget_days: int = FORGET_DAYS,
    mixed_enforced: bool = False,
    states: Mapping[str, ServerState] | None = None,
    name: str = "",
) -> Standing | None:
    """What a decision needs of a server, as of ``now``; None if silent so long that it is forgotten.

    Args:
        state: what is remembered of the server.
        now: UTC seconds since 1970.
        memory_days: how long a compliant stamp excuses a lower one.
        forget_days: how long a silence wipes the slate clean.
        mixed_enforced: the operator's word that a mixed server's compliant stamps do not count.
        states: all servers of its tenant and network by name, to find the clock that a renamed server brings.
        name: its own name among them.
    """
    if now - state.last_seen >= forget_days * DAY:
        return None
    first = _life(state, forget_days)
    episode = None
    mixed = state.ever_bad and is_mixed(state, now, memory_days)
    if mixed or states is None or len(states) == 1:
        episode = find_episode(
            state, memory_days=memory_days, forget_days=forget_days, ignore_good=mixed and mixed_enforced
        )
    elif state.ever_bad:
        episode = inherited(name, states, now, memory_days=memory_days, forget_days=forget_days)
    return Standing(
        first_seen=state.first_seen if first == 0 else _first_seen(state, first),
        last_seen=state.last_seen,
        effective_build=effective_build(state, now, memory_days),
        episode=None if episode is None else until(episode, now),
        mixed=mixed,
        confirmed=state.confirmed_at > 0.0,
    )


def effective_build(state: ServerState, now: float, memory_days: int = MEMORY_DAYS) -> Build | None:
    """The highest build sighted in the last ``memory_days`` days, None if there is none."""
    oldest = day_of(now) - memory_days - state.first_day
    for stamp in state.stamps:
        if stamp.build and stamp.seen.bit_length() > oldest:
            return stamp.build
    return None


def is_mixed(state: ServerState, now: float, memory_days: int = MEMORY_DAYS) -> bool:
    """Whether an excused non-compliant stamp goes on showing after a compliant one.

    That is, inside the memory window and on at least two days after the first compliant one there. (On one
    day alone it may be the queue of the day before.)
    """
    bad = _days(stamp.bad for stamp in state.stamps)
    good = _days(stamp.good for stamp in state.stamps)
    if not (bad and good):
        return False
    oldest = max(0, day_of(now) - memory_days - state.first_day)
    first_good = _next(good, oldest)
    if first_good is None:
        return False
    counted = _days(days for _, days in _counting(state.stamps, good, memory_days))
    beside = (bad & ~counted) >> (first_good + 1)
    return beside.bit_count() >= _MIXED_DAYS


def find_episode(
    state: ServerState,
    *,
    memory_days: int = MEMORY_DAYS,
    forget_days: int = FORGET_DAYS,
    ignore_good: bool = False,
) -> Episode | None:
    """The latest episode of a server, open or closed; None if it has not been out of compliance.

    A server that falls out of compliance again within ``memory_days`` days of its cure goes on where it
    was, unless it was the policy that moved; later it starts anew, as after ``forget_days`` days of silence.
    """
    bad = _days(stamp.bad for stamp in state.stamps)
    if not bad:
        return None
    good = 0 if ignore_good else _days(stamp.good for stamp in state.stamps)
    counting = _counting(state.stamps, good, memory_days)
    counted = _days(days for _, days in counting)
    day = _next(counted, _life(state, forget_days))
    started = 0.0
    intervals: list[tuple[float, float | None]] = []
    cured_on: int | None = None
    while day is not None:
        start = _started(counting, state.first_day, day)
        resumed = cured_on is not None and _is_relapse(
            state, day, cured_on, good=good, bad=bad, memory_days=memory_days
        )
        if not resumed:
            started = start
            intervals.clear()
        cured_on = _next(good, day)
        if cured_on is None:
            intervals.append((start, None))
            break
        intervals.append((start, max(start, _cured(state, cured_on))))
        day = _next(counted, cured_on)
    return Episode(started, tuple(intervals)) if intervals else None


def _is_relapse(
    state: ServerState, day: int, cured_on: int, *, good: int, bad: int, memory_days: int
) -> bool:
    """Whether what begins on ``day`` belongs to the episode cured on ``cured_on``."""
    since_cure = (1 << day) - (1 << cured_on)
    # A build that cured and is bad now did not change: the policy moved, and that gives a new notice period.
    if any(stamp.bad >> day & 1 and stamp.good & since_cure for stamp in state.stamps):
        return False
    last_good = (good & since_cure).bit_length() - 1
    fell = _next(bad, last_good + 1)
    return fell is not None and fell - cured_on <= memory_days


def _counting(stamps: tuple[Stamp, ...], good: int, memory_days: int) -> list[tuple[Stamp, int]]:
    """The non-compliant stamps, each with the days on which it counts."""
    found = []
    for stamp in stamps:
        if stamp.bad:
            better = (
                _days(other.good for other in stamps if _excuses(other.build, stamp.build)) if good else 0
            )
            found.append((stamp, stamp.bad & ~(spread(better, memory_days) | good)))
    return found


def _excuses(compliant: Build, other: Build) -> bool:
    """Whether having shown one build excuses another: a higher one, or one of another branch.

    Builds compare inside a branch only, so of two branches neither is the older stamp.
    """
    return compliant > other or compliant[:3] != other[:3]


def _life(state: ServerState, forget_days: int) -> int:
    """The first day after the last silence that wiped the slate clean; 0 if there was none."""
    if state.last_seen - state.first_seen < forget_days * DAY:
        return 0
    seen = _days(stamp.seen for stamp in state.stamps)
    return (seen & ~(spread(seen, forget_days - 2) << 1)).bit_length() - 1


def _first_seen(state: ServerState, life: int) -> float:
    known = [s.first_at for s in state.stamps if day_of(s.first_at) - state.first_day == life]
    return min(known, default=(state.first_day + life) * DAY)


def _started(counting: list[tuple[Stamp, int]], first_day: int, day: int) -> float:
    """When stamps began to count on a day: exact where known, else the end of the day."""
    known = [
        at
        for stamp, days in counting
        if days >> day & 1
        for at in stamp.starts
        if day_of(at) - first_day == day
    ]
    return min(known, default=(first_day + day + 1) * DAY)


def _cured(state: ServerState, day: int) -> float:
    """When the compliant stamps of a day began: exact if a build was new on it, else the start of the day."""
    new = [
        stamp.first_at
        for stamp in state.stamps
        if stamp.good >> day & 1 and day_of(stamp.first_at) - state.first_day == day
    ]
    return min(new, default=(state.first_day + day) * DAY)


def until(episode: Episode, now: float) -> Episode:
    """The episode with no time in the future, as the end of the present day is."""
    if episode.intervals[-1][0] <= now:
        return episode
    return Episode(
        min(episode.started, now),
        tuple((min(start, now), None if end is None else min(end, now)) for start, end in episode.intervals),
    )


def _days(sets: Iterable[int]) -> int:
    union = 0
    for days in sets:
        union |= days
    return union


def _next(days: int, first: int) -> int | None:
    """The first day of the set that is not before ``first``."""
    rest = days >> first
    return first + (rest & -rest).bit_length() - 1 if rest else None


def inherited(
    name: str,
    states: Mapping[str, ServerState],
    now: float,
    *,
    memory_days: int = MEMORY_DAYS,
    forget_days: int = FORGET_DAYS,
) -> Episode | None:
    """The episode of a server, with the clock of the name that it bore before.

    A server took over from another name of its tenant and network if both were last seen at the same
    address with the same software, the old name has been silent for ``memory_days`` days with its episode
    open, and the new name was the first to appear after it fell silent.

    Args:
        name: the server's present name.
        states: all servers of its tenant and network, by name.
        now: UTC seconds since 1970.
        memory_days: how long a name must be silent before it counts as given up.
        forget_days: how long a silence wipes the slate clean.
    """
    state = states[name]
    episode = find_episode(state, memory_days=memory_days, forget_days=forget_days)
    if len(states) > MAX_NAMES_FOR_RENAME:
        return episode
    for _ in range(_MAX_RENAMES):
        # A name that was compliant before stands for a server that was patched: it inherits nothing.
        if episode is None or _was_good_before(state, episode.started, forget_days):
            break
        before = _predecessor(state, states, now, memory_days, forget_days)
        if before is None:
            break
        old = find_episode(before, memory_days=memory_days, forget_days=forget_days)
        if old is None or old.intervals[-1][1] is not None:
            break
        resumed = (old.intervals[-1][0], episode.intervals[0][1])
        episode = Episode(old.started, (*old.intervals[:-1], resumed, *episode.intervals[1:]))
        state = before
    return episode


def _was_good_before(state: ServerState, at: float, forget_days: int) -> bool:
    good = _next(_days(stamp.good for stamp in state.stamps), _life(state, forget_days))
    return good is not None and (state.first_day + good) * DAY < at


def _predecessor(
    state: ServerState,
    states: Mapping[str, ServerState],
    now: float,
    memory_days: int,
    forget_days: int,
) -> ServerState | None:
    """The name that this one took over from: of several the one seen last."""
    if not state.client_ip:
        return None
    silent_since = min((day_of(now) - memory_days) * DAY, state.first_seen)
    forgotten = state.first_seen - forget_days * DAY
    older = [
        other
        for other in states.values()
        if other.client_ip == state.client_ip
        and other.software == state.software
        and forgotten < other.last_seen < silent_since
    ]
    if not older:
        return None
    before = max(older, key=lambda other: (other.last_seen, other.first_seen))
    came_first = min(
        (
            other.first_seen
            for other in states.values()
            if other.client_ip == state.client_ip and before.last_seen < other.first_seen
        ),
        default=state.first_seen,
    )
    return before if came_first == state.first_seen else None
