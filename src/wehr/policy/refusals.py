"""When the mail of a server out of compliance is refused: its stages, its stops and the windows together."""

from bisect import bisect_left
from itertools import groupby
from typing import Final

from msgspec import Struct

from wehr.catalogue.types import Assessment
from wehr.policy.clock import excusing
from wehr.policy.ladder import Ladder, Stage, stage_at
from wehr.policy.policy import Policy
from wehr.policy.types import Action, Episode, ServerKey, Stop
from wehr.policy.windows import HOUR, Window, window

AHEAD: Final = 6 * HOUR
"""How far is looked for the end of a refusal, in seconds: what waits for longer bounces or has been told."""
_MINUTE: Final = 60
_OPEN: Final = Stage()


class Refusals(Struct, frozen=True, gc=False):
    """What the gate does with a server's mail at any moment, as far as that is known now.

    ``shown`` is what its ladder goes by (`wehr.policy.decide.best_shown`), ``stops`` are all of its clock;
    ``key`` places the windows.
    """

    server: ServerKey
    policy: Policy
    shown: Assessment
    episode: Episode
    stops: tuple[Stop, ...]
    key: bytes

    def reached(self, at: float) -> tuple[Ladder, int]:
        """The ladder that it is on, and the stage (from 1)."""
        ladder, place = self.policy.course(self.shown, self.episode, self.stops, at)
        return ladder, stage_at(ladder, place)

    def met(self, now: float) -> tuple[Action, float | None]:
        """What a message meets, and from which minute on mail is taken again.

        None if it is taken now, or not within `AHEAD`. A stretch may run up to the end of its hour and the
        next one begin there, and another stage or a pause may begin before it ends: it is followed over all
        that.
        """
        action, at = Action.ACCEPT, now
        while at < now + AHEAD:
            stage = self._stage(at)
            stretch = self._window(int(at // HOUR), stage)
            said = stretch.at(at)
            if said is Action.ACCEPT:
                return action, None if action is Action.ACCEPT else at
            if action is Action.ACCEPT:
                action = said
            end = now + AHEAD if stage.minutes == 60 else stretch.end
            at = self._followed(stage, at, end)
        return action, None

    def hour(self, number: int) -> tuple[Window, ...]:
        """The stretches of a clock hour (hours since 1970) in which mail is refused, to the minute.

        There is one at most, unless another stage, a pause or an exemption begins or ends in that hour.
        """
        found = []
        minutes = range(number * HOUR, (number + 1) * HOUR, _MINUTE)
        for stage, run in groupby(minutes, self._stage):
            first, *others = run
            end = (others or [first])[-1] + _MINUTE
            stretch = self._window(number, stage)
            cut = Window(*(min(max(it, first), end) for it in (stretch.start, stretch.turn, stretch.end)))
            if cut.end > cut.start:
                found.append(cut)
        return tuple(found)

    def _stage(self, at: float) -> Stage:
        """The stage whose minutes hold: one without any while a stop has mail taken."""
        if excusing(self.stops, at):
            return _OPEN
        ladder, number = self.reached(at)
        return ladder.stages[number - 1]

    def _window(self, hour: int, stage: Stage) -> Window:
        return window(self.key, self.server, hour, stage.throttle, stage.block)

    def _followed(self, stage: Stage, at: float, end: float) -> float:
        """The first minute after ``at`` with another stage or a stop that begins, ``end`` at the latest."""
        opening = (stop.start for stop in self.stops if stop.reason and stop.start > at)
        last = -(-min((float(end), *opening)) // _MINUTE) * _MINUTE
        if self._stage(last) == stage:
            return last
        # Between two stops a stage that has been left does not come again.
        minutes = range(int(at // _MINUTE + 1) * _MINUTE, int(last) + 1, _MINUTE)
        return float(minutes[bisect_left(minutes, True, key=lambda minute: self._stage(minute) != stage)])
