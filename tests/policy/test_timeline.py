"""The stages as dates, and the fields of Microsoft's report."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from policy_cases import DAY, assessment

from wehr.policy import Policy
from wehr.policy.ladder import PRESETS, Ladder, Stage, stage_at
from wehr.policy.selection import LadderRule
from wehr.policy.timeline import dates, timeline
from wehr.policy.types import Episode, Reason, Stop

EXCHANGE = PRESETS["exchange-online"]


def utc(*when):
    """A moment in UTC seconds."""
    return datetime(*when, tzinfo=UTC).timestamp()


DETECTED = utc(2024, 3, 28, 0, 15, 8)
OPEN = Episode(DETECTED, ((DETECTED, None),))


def test_the_fields_of_microsofts_report_agree_with_the_one_output_known():
    """First seen 28 March 2024, next stage 20/0 on 23 May: day 56 and not day 50, so six days were paused."""
    paused = (Stop(utc(2024, 5, 1), utc(2024, 5, 7)),)
    found = dates(EXCHANGE, OPEN, paused, utc(2024, 5, 20))

    assert found.throttle_enabled_date == utc(2024, 4, 27, 0, 15, 8)
    assert found.blocking_enabled_date == utc(2024, 5, 27, 0, 15, 8)
    assert (found.next_stage_throttle_rate, found.next_stage_block_rate) == (20, 0)
    assert found.next_stage_start_date == utc(2024, 5, 23, 0, 15, 8)


def test_without_a_pause_the_next_stage_comes_on_its_nominal_day():
    """Day 50."""
    found = dates(EXCHANGE, OPEN, (), utc(2024, 5, 16))

    assert found.next_stage_start_date == DETECTED + 50 * DAY


def test_the_nominal_days_wait_until_the_policy_applies():
    """A server that came into scope ten days after its detection has all its dates ten days later."""
    out_of_scope = (Stop(0.0, DETECTED + 10 * DAY, Reason.NOT_IN_SCOPE),)

    assert dates(EXCHANGE, OPEN, out_of_scope, DETECTED).throttle_enabled_date == DETECTED + 40 * DAY


def test_after_the_last_stage_nothing_comes():
    """No rates and no date."""
    found = dates(EXCHANGE, OPEN, (), DETECTED + 100 * DAY)

    assert (found.next_stage_throttle_rate, found.next_stage_block_rate, found.next_stage_start_date) == (
        None,
        None,
        None,
    )


def test_a_ladder_that_never_blocks_has_no_blocking_day():
    """Gentle throttles from day 90 and blocks from day 180."""
    gentle = dates(PRESETS["gentle"], OPEN, (), DETECTED)

    assert gentle.throttle_enabled_date == DETECTED + 90 * DAY
    assert gentle.blocking_enabled_date == DETECTED + 180 * DAY


def test_the_stages_follow_each_other_without_a_gap():
    """Each begins as the one before ends; one is the present."""
    entries = timeline(EXCHANGE, OPEN, (), DETECTED + 45 * DAY)

    assert [entry.start for entry in entries[1:]] == [entry.end for entry in entries[:-1]]
    assert [entry.stage for entry in entries if entry.current] == [3]
    assert entries[0].start == DETECTED
    assert entries[-1].end is None


def test_a_pause_moves_the_stages_after_it():
    """Those before stay, those after come later by its length."""
    plain = timeline(EXCHANGE, OPEN, (), DETECTED)
    paused = timeline(EXCHANGE, OPEN, (Stop(DETECTED + 45 * DAY, DETECTED + 55 * DAY),), DETECTED)

    moved = [late.start - nominal.start for late, nominal in zip(paused, plain, strict=True)]
    assert moved == [0, 0, 0, *[10 * DAY] * 5]


def test_before_the_first_detection_no_stage_is_the_present():
    """The dates are told all the same."""
    assert not any(entry.current for entry in timeline(EXCHANGE, OPEN, (), DETECTED - 1))
    assert timeline(EXCHANGE, OPEN, (), DETECTED)[0].current


LADDERS = {"mild": (Stage(20), Stage(None, 10)), "never": (Stage(None),)}
pauses = st.lists(
    st.tuples(st.integers(0, 130), st.integers(1, 40)).map(
        lambda span: Stop(DETECTED + span[0] * DAY, DETECTED + sum(span) * DAY)
    ),
    max_size=2,
).map(tuple)


def rule(use, day):
    """A rule that applies from so many days after the detection's on."""
    return LadderRule(use=use, since=date(2024, 3, 28) + timedelta(day))


rules = st.builds(
    rule, st.sampled_from(["urgent", "gentle", "exchange-online", "mild"]), st.integers(-5, 130)
)


@given(st.floats(0, 140), st.lists(rules, max_size=3), pauses)
@example(45.0, [rule("mild", 60), rule("urgent", 41)], ())
@example(35.0, [rule("urgent", 40)], (Stop(DETECTED + 38 * DAY, DETECTED + 48 * DAY),))
def test_the_stages_told_are_those_that_come(days, rules, stops):
    """Whichever ladder takes the place of another ahead: each second before and after one begins."""
    policy = Policy(ladder_rules=tuple(rules), ladders=LADDERS)
    bad, now = assessment(), DETECTED + days * DAY

    def rates(at):
        ladder, place = policy.course(bad, OPEN, stops, at)
        stage = ladder.stages[stage_at(ladder, place) - 1]
        return stage.throttle, stage.block

    ladder, place = policy.course(bad, OPEN, stops, now)
    turns = policy.turns(bad, OPEN, stops, now)
    entries = timeline(ladder, OPEN, stops, now, place, turns=turns)
    (number,) = (place for place, entry in enumerate(entries) if entry.current)
    ahead = entries[number:]

    assert [entry.stage for entry in entries] == list(range(1, len(entries) + 1))
    for before, after in pairwise(ahead):
        assert before.end == after.start
        assert rates(after.start - 1) == (before.throttle, before.block)
        assert rates(after.start + 1) == (after.throttle, after.block)
    assert rates(now + 1000 * DAY) == (entries[-1].throttle, entries[-1].block)
    found = dates(ladder, OPEN, stops, now, place, turns=turns)
    told = (found.next_stage_start_date, found.next_stage_throttle_rate, found.next_stage_block_rate)
    assert told == next(((it.start, it.throttle, it.block) for it in ahead[1:]), (None, None, None))


def test_a_ladder_that_takes_anothers_place_brings_its_days_of_throttling_and_blocking():
    """A server in its first month, and a week's notice from its tenth day on."""
    policy = Policy(ladder_rules=(rule("urgent", 10),))
    now, turn = DETECTED + DAY, utc(2024, 4, 7)
    turns = policy.turns(assessment(), OPEN, (), now)
    found = dates(EXCHANGE, OPEN, (), now, turns=turns)

    assert (found.throttle_enabled_date, found.blocking_enabled_date) == (turn + 7 * DAY, turn + 13 * DAY)
    assert policy.turns(assessment(), OPEN, (), turn) == ()


TURN = utc(2024, 4, 27)


@pytest.mark.parametrize(
    ("name", "throttled", "blocked"),
    [
        ("mild", DETECTED + 20 * DAY, TURN + 6 * DAY),  # never blocks; its throttling has begun
        ("never", TURN + 7 * DAY, TURN + 13 * DAY),  # never refuses
    ],
)
def test_what_a_ladder_never_comes_to_has_the_day_of_the_one_that_takes_its_place(name, throttled, blocked):
    """Throttling and blocking, each by itself."""
    policy = Policy(ladder=name, ladders=LADDERS, ladder_rules=(rule("urgent", 30),))
    now = DETECTED + 25 * DAY
    turns = policy.turns(assessment(), OPEN, (), now)
    found = dates(Ladder(name, LADDERS[name]), OPEN, (), now, turns=turns)

    assert turns[0].at == TURN
    assert (found.throttle_enabled_date, found.blocking_enabled_date) == (throttled, blocked)
