"""A policy played over time for a server that does not change: what would be done on which days."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

from msgspec import Struct
from msgspec.structs import replace

from wehr.catalogue.types import Assessment
from wehr.evidence.types import Confidence, Relation, Sighting
from wehr.policy.compliance import complies
from wehr.policy.decide import decide
from wehr.policy.ladder import DAY
from wehr.policy.policy import Policy
from wehr.policy.scope import Scope
from wehr.policy.types import Episode, Reason, Standing, Stop

_BY_MINUTE = {Reason.OUTSIDE_WINDOW, Reason.THROTTLED, Reason.BLOCKED}
_KEY = b"no window is shown"


class Span(Struct, frozen=True):
    """Days (UTC) on which the same is done; ``end`` is the first day after them.

    ``ok`` and ``rule`` are the compliance; ``reason`` is why nothing is refused, None where some minutes of
    each hour are. ``stage`` 0: not on the ladder.
    """

    start: date
    end: date
    ok: bool | None
    rule: str
    why: str
    reason: Reason | None
    ladder: str
    stage: int
    throttle: int
    block: int


def simulate(
    policy: Policy,
    assess: Callable[[date], Assessment],
    first_seen: float,
    *,
    start: date,
    end: date,
    stops: tuple[Stop, ...] = (),
    episode: Episode | None = None,
    present: float = 0.0,
) -> tuple[Span, ...]:
    """What the policy does with a server seen since ``first_seen``, from ``start`` to before ``end``.

    ``assess`` gives the assessment of its build on a day. Each day is judged by the catalogue and the floors
    of that day, at the time of day of the first sighting, so that stages begin on their days. ``episode`` is
    the clock that the server has at ``present``; without one it starts on the first day out of compliance.
    """
    spans: list[Span] = []
    for day, span in _days(policy, assess, first_seen, end, stops=stops, episode=episode, present=present):
        if day < start:
            continue
        last = spans[-1] if spans else span
        if replace(span, start=last.start, end=last.end) == last:
            spans[-1:] = [replace(span, start=last.start)]
        else:
            spans.append(span)
    return tuple(spans)


def _days(
    policy: Policy,
    assess: Callable[[date], Assessment],
    first_seen: float,
    end: date,
    *,
    stops: tuple[Stop, ...],
    episode: Episode | None,
    present: float,
) -> Iterator[tuple[date, Span]]:
    """Each day from the first sighting by itself."""
    now = first_seen
    while (day := _day(now)) < end:
        assessment = assess(day)
        verdict = complies(assessment, policy.compliance, day)
        if verdict.ok is False:
            episode = episode or Episode(now, ((now, None),))
        elif verdict.ok and now >= present:
            episode = None
        decision = decide(
            _sighting(assessment, now),
            assessment,
            Standing(first_seen, now, assessment.build, episode),
            assessment,
            scope=Scope(),
            policy=policy,
            stops=stops,
            key=_KEY,
            now=now,
        )
        reason = None if decision.reason in _BY_MINUTE else decision.reason
        yield (
            day,
            Span(
                day,
                _day(now + DAY),
                verdict.ok,
                verdict.rule,
                verdict.why,
                reason,
                decision.ladder,
                decision.stage,
                decision.throttle,
                decision.block,
            ),
        )
        now += DAY


def _sighting(assessment: Assessment, now: float) -> Sighting:
    return Sighting(
        at=now,
        name="server.example",
        network="192.0.2.0/24",
        software=assessment.software,
        build=assessment.build,
        relation=Relation.DIRECT,
        confidence=Confidence.CONFIRMED,
    )


def _day(at: float) -> date:
    return datetime.fromtimestamp(at, UTC).date()
