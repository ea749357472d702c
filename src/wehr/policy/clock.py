"""The clock of an episode: time out of compliance, without the time for which it was stopped."""

import math
from collections.abc import Iterable, Iterator, Sequence

from wehr.policy.types import Episode, Stop

_Span = tuple[float, float]


def elapsed(episode: Episode, stops: Sequence[Stop], now: float) -> float:
    """Seconds that count until ``now``: the episode's intervals less the union of the stops.

    Never negative, and never less at a later ``now``.
    """
    if not stops and len(episode.intervals) == 1:  # the hot path: most servers never pause or relapse
        start, end = episode.intervals[0]
        return max(0.0, (now if end is None or end > now else end) - start)
    return sum(max(0.0, min(end, now) - start) for start, end in _running(episode, stops))


def when(episode: Episode, stops: Sequence[Stop], seconds: float) -> float | None:
    """The moment at which the clock reaches ``seconds``, as far as stops are known; None if it never does."""
    if seconds <= 0:
        return episode.started
    for start, end in _running(episode, stops):
        if end - start >= seconds:
            return start + seconds
        seconds -= end - start
    return None


def stopped(stops: Iterable[Stop], now: float) -> Stop | None:
    """The stop that holds at ``now``, the first of them if there are several."""
    for stop in stops:
        if stop.start <= now and (stop.end is None or now < stop.end):
            return stop
    return None


def excusing(stops: Iterable[Stop], now: float) -> Stop | None:
    """The stop that has mail taken at ``now``: one without a reason does not."""
    return stopped((stop for stop in stops if stop.reason), now)


def _running(episode: Episode, stops: Sequence[Stop]) -> Iterator[_Span]:
    """The stretches in which the clock runs, in order and disjoint; an open one ends at infinity."""
    holes = merged((stop.start, math.inf if stop.end is None else stop.end) for stop in stops)
    for begin, end in merged((a, math.inf if b is None else b) for a, b in episode.intervals):
        start = begin
        for hole_start, hole_end in holes:
            if hole_start >= end:
                break
            if hole_start > start:
                yield start, hole_start
            start = max(start, hole_end)
        if start < end:
            yield start, end


def merged(spans: Iterable[_Span]) -> list[_Span]:
    """The union of the spans, in order and disjoint."""
    union: list[_Span] = []
    for start, end in sorted(spans):
        if end <= start:
            continue
        if union and start <= union[-1][1]:
            union[-1] = (union[-1][0], max(union[-1][1], end))
        else:
            union.append((start, end))
    return union
