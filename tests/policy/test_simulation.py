"""A policy played over time: what would be done on which days."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from policy_cases import assessment

from wehr.catalogue import load
from wehr.evidence.build import parse_build
from wehr.policy import Policy, Reason, Rules, Stop
from wehr.policy.compliance import Floor
from wehr.policy.ladder import DAY
from wehr.policy.selection import Wave, midnight
from wehr.policy.simulation import simulate
from wehr.policy.types import Episode

FIRST = datetime(2026, 10, 1, 9, 17, tzinfo=UTC).timestamp()


def played(policy=None, *, build="15.1.2507.17", first=FIRST, start=date(2026, 10, 1), days=120, stops=()):
    """The spans for a build of the built-in catalogue, as (start, stage, minutes, reason)."""
    catalogue = load()
    spans = simulate(
        policy or Policy(),
        lambda day: catalogue.assess(parse_build(build), day),
        first,
        start=start,
        end=start + timedelta(days=days),
        stops=stops,
    )
    return [(it.start, it.stage, (it.throttle, it.block), it.reason) for it in spans]


def test_the_ladder_is_walked_day_by_day():
    """Eight spans in 120 days, each from its day."""
    assert played() == [
        (date(2026, 10, 1), 1, (0, 0), Reason.REPORT_STAGE),
        (date(2026, 10, 31), 2, (5, 0), None),
        (date(2026, 11, 10), 3, (10, 0), None),
        (date(2026, 11, 20), 4, (20, 0), None),
        (date(2026, 11, 30), 5, (30, 5), None),
        (date(2026, 12, 10), 6, (30, 10), None),
        (date(2026, 12, 20), 7, (30, 20), None),
        (date(2026, 12, 30), 8, (0, 60), None),
    ]


def test_a_floor_starts_the_clock_on_its_day():
    """The update of August 2025 was enough until the second week of September 2026."""
    policy = Policy(compliance=Rules(require=("floor",)))
    spans = played(policy, build="15.1.2507.58", first=midnight(date(2026, 8, 1)), start=date(2026, 8, 1))

    assert spans[:3] == [
        (date(2026, 8, 1), 0, (0, 0), Reason.COMPLIANT),
        (date(2026, 9, 8), 1, (0, 0), Reason.REPORT_STAGE),
        (date(2026, 10, 8), 2, (5, 0), None),
    ]


def test_only_the_days_asked_for_are_shown_but_all_are_played():
    """From the middle of the ladder."""
    assert played(start=date(2026, 12, 1), days=5) == [(date(2026, 12, 1), 5, (30, 5), None)]


def test_waves_and_pauses_are_played_too():
    """Out of scope, then the notice, paused for ten days, then the rest of it."""
    policy = Policy(waves=(Wave(since=date(2026, 10, 11)),))
    stops = (Stop(midnight(date(2026, 10, 21)), midnight(date(2026, 10, 31))),)

    assert played(policy, stops=stops, days=51) == [
        (date(2026, 10, 1), 1, (0, 0), Reason.NOT_IN_SCOPE),
        (date(2026, 10, 11), 1, (0, 0), Reason.REPORT_STAGE),
        (date(2026, 10, 21), 1, (0, 0), Reason.PAUSED),
        (date(2026, 10, 31), 1, (0, 0), Reason.REPORT_STAGE),
        (date(2026, 11, 20), 2, (5, 0), None),
    ]


def test_a_known_clock_is_taken_as_it_is_up_to_the_present():
    """Ten days of it did not count; today's rules say nothing about the days before today."""
    gap = Episode(FIRST, ((FIRST, FIRST + 10 * DAY), (FIRST + 20 * DAY, None)))
    now = midnight(date(2026, 11, 1))
    policy = Policy(compliance=Rules(require=("floor",), floors=(Floor("15.1", date(2026, 10, 21), "15.2"),)))
    start, end = date(2026, 11, 1), date(2026, 12, 1)

    def play(**known):
        known_builds = simulate(
            policy, lambda day: assessment("15.1.2507.61"), FIRST, start=start, end=end, **known
        )
        return [(it.start, it.stage) for it in known_builds]

    assert play() == [(date(2026, 11, 1), 1), (date(2026, 11, 20), 2), (date(2026, 11, 30), 3)]
    assert play(episode=gap, present=now) == [
        (date(2026, 11, 1), 1),
        (date(2026, 11, 10), 2),
        (date(2026, 11, 20), 3),
        (date(2026, 11, 30), 4),
    ]
    assert play(episode=gap) == play()


def test_the_spans_cover_the_days_without_a_gap():
    """Each ends as the next begins, and the last with the days."""
    end = date(2027, 1, 1)
    spans = simulate(Policy(), lambda day: assessment(), FIRST, start=date(2026, 10, 5), end=end)

    assert spans[0].start == date(2026, 10, 5)
    assert spans[-1].end == end
    assert all(one.end == other.start for one, other in pairwise(spans))
