"""Which ladder a server is on and where it stands there, over every change of what decides that.

A ladder comes to replace another when a rule's day comes, when a hole begins to be exploited, when the
catalogue learns of one, or when the operator writes another configuration. The place is carried over each
time (`wehr.policy.ladder.carry_over`): so it must be remembered what was in force, and from when on.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from wehr.catalogue import Catalogue
from wehr.catalogue.types import Assessment
from wehr.policy.clock import elapsed
from wehr.policy.ladder import PRESETS, Ladder, Stage, carry_over, stage_at
from wehr.policy.selection import LadderRule
from wehr.policy.types import Episode, Stop

_MOST_ERAS: Final = 32


class Laddering(Struct, frozen=True):
    """Which ladder applies to which server, as one configuration says it."""

    ladder: str
    rules: tuple[LadderRule, ...] = ()
    ladders: dict[str, tuple[Stage, ...]] = {}

    def named(self, name: str) -> Ladder:
        """A ladder by its name.

        Raises:
            KeyError: there is none.
        """
        return PRESETS[name] if name in PRESETS else _own(name, self.ladders[name])

    def starts(self, assessment: Assessment, learned: dict[str, float]) -> list[float]:
        """When its rules came to apply to an assessment."""
        found = (rule.starts(assessment, learned) for rule in self.rules)
        return [start for start in found if start is not None]

    def at(self, moment: float, assessment: Assessment | None, learned: dict[str, float]) -> Ladder:
        """The ladder that applies to an assessment at a moment: by the first rule that fits."""
        if assessment is not None:
            for rule in self.rules:
                start = rule.starts(assessment, learned)
                if start is not None and start <= moment:
                    return self.named(rule.use)
        return self.named(self.ladder)


@lru_cache(maxsize=256)
def _own(name: str, stages: tuple[Stage, ...]) -> Ladder:
    return Ladder(name, stages)


class Era(Struct, frozen=True):
    """What was in force from a time on (UTC seconds since 1970), until the next era."""

    since: float
    laddering: Laddering


class Past(Struct, frozen=True):
    """What has been in force, and since when; the same on all nodes. The last era is in force now.

    ``learned`` is as `LadderRule.starts` takes it.
    """

    eras: tuple[Era, ...] = ()
    learned: dict[str, float] = {}

    def noting(self, laddering: Laddering, facts: Iterable[str], now: float) -> "Past":
        """With what is in force and known now; itself if that is nothing new.

        What is noted first counts as having been so always: there is nothing that it could have replaced.
        """
        at = now if self.eras else 0.0
        new = {fact: at for fact in facts if fact not in self.learned}
        past = replace(self, learned=self.learned | new) if new else self
        if past.eras and past.eras[-1].laddering == laddering:
            return past
        # Of more changes than that only the latest matter: a server passes through a ladder in months.
        kept = (*past.eras, Era(at, laddering))[-_MOST_ERAS:]
        return replace(past, eras=(replace(kept[0], since=0.0), *kept[1:]))

    def at(self, moment: float, assessment: Assessment | None) -> Ladder:
        """The ladder that applied, or applies, to an assessment at a moment."""
        era = next((era for era in reversed(self.eras) if era.since <= moment), self.eras[0])
        return era.laddering.at(moment, assessment, self.learned)


def facts(catalogue: Catalogue) -> Iterator[str]:
    """What a catalogue says that may put a server on another ladder, as `LadderRule.starts` takes it."""
    for flaw in catalogue.flaws:
        yield flaw.cve
        if flaw.exploited:
            yield f"{flaw.cve} exploited"


def course(
    past: Past, assessment: Assessment | None, episode: Episode, stops: Sequence[Stop], now: float
) -> tuple[Ladder, float]:
    """The ladder that a server is on, and where it stands there, in seconds.

    A change before the server was detected concerns it no more.
    """
    if len(past.eras) == 1 and not past.eras[0].laddering.rules:  # the usual installation
        return past.at(now, None), elapsed(episode, stops, now)
    first, *later = _changes(past, assessment, episode.started, now)
    ladder, place, clock = past.at(first, assessment), 0.0, 0.0
    hardest = (0, 0)
    for at in later:
        reached = elapsed(episode, stops, at)
        place, clock = place + reached - clock, reached
        new = past.at(at, assessment)
        if reached > 0 and new.stages != ladder.stages:
            hardest = max(hardest, ladder.stages[stage_at(ladder, place) - 1].severity)
            place = carry_over(ladder, new, place, hardest)
        ladder = new
    return ladder, place + elapsed(episode, stops, now) - clock


class Turn(Struct, frozen=True, gc=False):
    """Another ladder comes to apply to a server, which then stands at ``place`` on it, in seconds."""

    at: float
    """UTC seconds since 1970."""
    ladder: Ladder
    place: float


def turns(
    past: Past, assessment: Assessment, episode: Episode, stops: Sequence[Stop], now: float
) -> tuple[Turn, ...]:
    """The changes of ladder that are known to come, in order."""
    starts = past.eras[-1].laddering.starts(assessment, past.learned)
    ahead = sorted({start for start in starts if start > now})
    if not ahead:
        return ()
    ladder, found = past.at(now, assessment), []
    for at in ahead:
        new = past.at(at, assessment)
        if at > episode.started and new.stages != ladder.stages:
            found.append(Turn(at, *course(past, assessment, episode, stops, at)))
        ladder = new
    return tuple(found)


def _changes(past: Past, assessment: Assessment | None, started: float, now: float) -> list[float]:
    """When another ladder may have come to apply, in order: the start, then what came up to now."""
    times = {max(0.0, started)}
    for era in past.eras:
        times.add(era.since)
        if assessment is not None:
            times.update(era.laddering.starts(assessment, past.learned))
    return sorted(at for at in times if started <= at <= now) or [max(0.0, now)]
