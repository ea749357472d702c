"""Which notices are due: pure, and the one place that decides that somebody is written to.

An organisation is written to of all its servers together, at most once for each stage of an episode. Its
episode begins with the first server out of compliance. Servers found later join it until the first notice
that mail is refused; those found after that begin the next. So every server has been written about before its
mail is refused, and no flood of servers makes a flood of mail.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import Final

from msgspec import Struct

from wehr.notices.types import LADDER, Notice, Past, Place, Plan, Reason

_HOUR: Final = 3600.0
_DAY: Final = 86_400.0
_RANK: Final = {reason: rank for rank, reason in enumerate(LADDER)}
_REFUSING: Final = _RANK[Reason.THROTTLED]


class Manners(Struct, frozen=True):
    """How sparingly one writes."""

    gather: float = 24 * _HOUR
    """Seconds after the first detection before it is told: what else comes up meanwhile goes into it."""
    warning: float = 7 * _DAY
    """Seconds before throttling at which it is announced."""
    news: float = 30 * _DAY
    """Seconds for which it is news that a hole is exploited."""


def due(now: float, places: Iterable[Place], past: Iterable[Past], manners: Manners | None = None) -> Plan:
    """What is to be written at a moment.

    Only confirmed servers count: a stamp that nothing bears out may have been forged to have us write.

    Args:
        now: UTC seconds since 1970.
        places: where the servers stand.
        past: all notices there have been, sent or waiting.
        manners: how sparingly one writes.
    """
    manners = manners or Manners()
    standing: dict[tuple[str, str], list[Place]] = defaultdict(list)
    for place in places:
        if place.confirmed and not place.alone:
            standing[place.tenant, place.organisation].append(place)
    written: dict[tuple[str, str], list[Past]] = defaultdict(list)
    for notice in past:
        written[notice.tenant, notice.organisation].append(notice)
    out = {place.ref for some in standing.values() for place in some if place.detected and place.seen}
    withdrawn = {notice.id for some in written.values() for notice in some if _pointless(notice, out)}
    notices: list[Notice] = []
    for key in sorted(standing):
        one = _Organisation(key, standing[key], written[key], now, manners)
        notices += one.notices()
        withdrawn.update(one.overtaken)
    return Plan(tuple(notices), tuple(sorted(withdrawn)))


def _pointless(notice: Past, out: Set[str]) -> bool:
    """Whether it waits, and all its servers have been cured, exempted or fallen silent meanwhile."""
    return notice.waiting and notice.reason in _RANK and out.isdisjoint(notice.servers)


class _Episode:
    """One episode of an organisation, as far as it was written of, and who is in it now."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.told: list[Past] = []
        self.named: set[str] = set()
        self.members: list[Place] = []
        self.cured = False

    @property
    def closed(self) -> bool:
        """Whether it is over; so is one of which nothing was ever said."""
        return self.cured or all(notice.withdrawn for notice in self.told)

    @property
    def rank(self) -> int:
        """The highest stage written of, -1 if none."""
        return max((_RANK[notice.reason] for notice in self.told), default=-1)


class _Organisation:
    """What is due to one organisation."""

    def __init__(
        self,
        key: tuple[str, str],
        places: Sequence[Place],
        written: Sequence[Past],
        now: float,
        manners: Manners,
    ) -> None:
        self.overtaken: list[int] = []
        self._key = key
        self._places = sorted(places, key=lambda place: place.ref)
        self._written = written
        self._now = now
        self._manners = manners
        self._told_cves = {cve for notice in written for cve in notice.cves}

    def notices(self) -> Iterator[Notice]:
        """All that is due, most urgent first; the same hole is told of once."""
        yield from self._of_the_ladder()
        yield from self._of_floors()
        yield from self._of_holes()

    def _of_the_ladder(self) -> Iterator[Notice]:
        episodes = self._episodes()
        for episode in episodes.values():
            if episode.members:
                yield from self._next_stage(episode)
            elif not episode.closed:
                yield from self._cure(episode)

    def _episodes(self) -> dict[int, _Episode]:
        """The episodes written of, and perhaps a new one, with the servers that are out of compliance."""
        episodes: dict[int, _Episode] = {}
        for notice in self._written:
            if notice.reason in _RANK or notice.reason is Reason.CURED:
                number = int(notice.episode)
                episode = episodes.setdefault(number, _Episode(number))
                episode.named.update(notice.servers)
                if notice.reason is Reason.CURED:
                    episode.cured = True
                else:
                    episode.told.append(notice)
        newcomers: list[Place] = []
        for place in self._places:
            if place.detected is None or not place.seen:
                continue
            home = [it for it in episodes.values() if not it.closed and place.ref in it.named]
            (max(home, key=lambda it: it.number).members if home else newcomers).append(place)
        if newcomers:
            live = [it for it in episodes.values() if it.members and it.rank < _REFUSING]
            number = max((it.number for it in live), default=max(episodes, default=0) + 1)
            episodes.setdefault(number, _Episode(number)).members += newcomers
        return episodes

    def _next_stage(self, episode: _Episode) -> Iterator[Notice]:
        rank = max(self._reached(place) for place in episode.members)
        if rank <= episode.rank:
            return
        self.overtaken += [notice.id for notice in episode.told if notice.waiting]
        yield self._notice(LADDER[rank], str(episode.number), episode.members)

    def _reached(self, place: Place) -> int:
        """How far up the ladder a server has come, for notices; -1: it is too early to tell of it."""
        if place.detected is None:
            return -1
        if not place.paused:
            for reason, since in (
                (Reason.SHUT_OUT, place.shut_out),
                (Reason.BLOCKED, place.blocked),
                (Reason.THROTTLED, place.throttled),
            ):
                if since is not None and since <= self._now:
                    return _RANK[reason]
            first = min((it for it in (place.throttled, place.blocked, place.shut_out) if it), default=None)
            if first is not None and first - self._manners.warning <= self._now:
                return _RANK[Reason.WEEK_BEFORE]
        known = place.detected + self._manners.gather <= self._now
        return _RANK[Reason.DETECTED] if known else -1

    def _cure(self, episode: _Episode) -> Iterator[Notice]:
        """The episode is over if a server of it is in compliance and none is out of it."""
        cured = [place for place in self._places if place.ref in episode.named and place.detected is None]
        if cured and not all(notice.waiting or notice.withdrawn for notice in episode.told):
            yield self._notice(Reason.CURED, str(episode.number), cured)

    def _of_floors(self) -> Iterator[Notice]:
        """Servers out of compliance have heard already what they need; the others hear of each day once."""
        told = {notice.episode for notice in self._written if notice.reason is Reason.FLOOR}
        touched: dict[str, list[Place]] = defaultdict(list)
        for place in self._places:
            if place.detected is None and place.seen:
                for day in place.floors[:1]:
                    touched[day].append(place)
        for day in sorted(set(touched) - told):
            yield self._notice(Reason.FLOOR, day, touched[day])

    def _of_holes(self) -> Iterator[Notice]:
        found: dict[str, list[Place]] = defaultdict(list)
        for place in self._places:
            for cve, since in place.exploited if place.seen else ():
                if self._now - self._manners.news < since <= self._now and cve not in self._told_cves:
                    found[cve].append(place)
        if found:
            servers = {place.ref: place for places in found.values() for place in places}
            yield self._notice(Reason.EXPLOITED, " ".join(sorted(found)), list(servers.values()))

    def _notice(self, reason: Reason, episode: str, places: Iterable[Place]) -> Notice:
        members = sorted(places, key=lambda place: place.ref)
        cves: set[str] = set()
        if reason is Reason.EXPLOITED:
            cves.update(episode.split())
        elif reason in _RANK:
            cves.update(cve for place in members for cve, _ in place.exploited)
        self._told_cves |= cves
        return Notice(*self._key, reason, episode, tuple(place.ref for place in members), tuple(sorted(cves)))
