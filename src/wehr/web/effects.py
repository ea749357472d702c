"""What holding a clock, or letting it go on, means for one server, in words. Pure."""

import math
from datetime import UTC, date, datetime

from wehr.ledger.report import Basis
from wehr.ledger.rows import ServerRow
from wehr.ledger.story import Story, story
from wehr.policy.clock import merged
from wehr.policy.phrases import Phrase, Value
from wehr.policy.timeline import Entry
from wehr.policy.types import Stop
from wehr.web.languages import N_


def effect(row: ServerRow, basis: Basis, secret: bytes) -> list[Phrase]:
    """What becomes of a server from ``basis.now`` on, with the holds of ``basis``."""
    told = story(row, (), basis, secret)
    current = told.current
    if current is None:
        return [Phrase(N_("It is on no ladder, so nothing of it is refused either way."))]
    holds = told.holder is not None
    found = _held(told, current, resumed_at(told.stops, basis.now)) if holds else _going_on(told, current)
    following = next((it for it in told.stages if it.stage == current.stage + 1), None)
    if following and following.start is not None:
        values: dict[str, Value] = {"stage": following.stage, "day": _day(following.start)}
        found.append(Phrase(N_("Stage %(stage)s begins on %(day)s, if it is not updated before."), values))
    return found


def _held(told: Story, current: Entry, until: float | None) -> list[Phrase]:
    stage = {"stage": current.stage}
    found = [
        Phrase(N_("It stays in stage %(stage)s, and meanwhile nothing of it is delayed or refused."), stage)
    ]
    if until is None:
        found.append(Phrase(N_("As things stand, that has no end.")))
    elif not told.enforced:
        found.append(Phrase(N_("Afterwards it is only reported, as the policy has it.")))
    elif current.throttle or current.block:
        values: dict[str, Value] = {"at": moment(until), "throttle": current.throttle, "block": current.block}
        text = N_("From %(at)s on all of its mail is refused again.")
        if current.block < 60:
            text = N_(
                "From %(at)s on its mail is delayed for %(throttle)s and refused for %(block)s "
                "minutes of each hour again."
            )
        found.append(Phrase(text, values))
    return [*found, *_first_refused(told, current)]


def _going_on(told: Story, current: Entry) -> list[Phrase]:
    values = {"stage": current.stage, "throttle": current.throttle, "block": current.block}
    if not told.enforced:
        text = N_("Its clock goes on at once, in stage %(stage)s; it is only reported, as the policy has it.")
    elif current.block == 60:
        text = N_("Its clock goes on at once, in stage %(stage)s: all of its mail is refused.")
    elif current.throttle or current.block:
        text = N_(
            "Its clock goes on at once, in stage %(stage)s: its mail is delayed for %(throttle)s and refused "
            "for %(block)s minutes of each hour."
        )
    else:
        text = N_("Its clock goes on at once, in stage %(stage)s, in which nothing is refused.")
    return [Phrase(text, values), *_first_refused(told, current)]


def _first_refused(told: Story, current: Entry) -> list[Phrase]:
    """When mail is refused first, where it is not yet."""
    if not told.enforced or current.throttle or current.block:
        return []
    later = (it for it in told.stages if it.stage > current.stage and (it.throttle or it.block))
    first = next(later, None)
    if first is None or first.start is None:
        return []
    day = {"day": _day(first.start)}
    return [Phrase(N_("The first day on which some of its mail is delayed or refused is %(day)s."), day)]


def resumed_at(stops: tuple[Stop, ...], now: float) -> float | None:
    """When a clock that stands goes on, as far as is known; None: never."""
    for start, end in merged((it.start, math.inf if it.end is None else it.end) for it in stops):
        if start <= now < end:
            return None if end == math.inf else end
    return now


def moment(at: float) -> datetime:
    """UTC seconds since 1970 as a time."""
    return datetime.fromtimestamp(at, UTC)


def _day(at: float) -> date:
    return moment(at).date()
