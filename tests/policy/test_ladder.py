"""Ladders as data: what is allowed, which stage is reached when, and what a change of ladder does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wehr.policy.ladder import DAY, PRESETS, Ladder, Stage, carry_over, notice, stage_at, steps

EXCHANGE = PRESETS["exchange-online"]


@st.composite
def ladders(draw, first=None):
    """Any ladder that is allowed, with a first stage as given."""
    rates = st.integers(0, 60).flatmap(lambda b: st.tuples(st.just(b), st.integers(0, 60 - b)))
    severities = sorted(draw(st.lists(rates, min_size=1, max_size=8)))
    if first is not None:
        severities = [first, *(max(first, it) for it in severities), (60, 0)]
    days = [
        *draw(st.lists(st.integers(1, 60), min_size=len(severities), max_size=len(severities)))[:-1],
        None,
    ]
    return Ladder(
        "any", tuple(Stage(d, throttle, block) for d, (block, throttle) in zip(days, severities, strict=True))
    )


clocks = st.floats(0, 600 * DAY)


def test_the_default_ladder_is_exchange_onlines():
    """Eight stages in 90 days, with the minutes that Microsoft published as far as they are known."""
    shown = [(stage.days, stage.throttle, stage.block) for stage in EXCHANGE.stages]

    assert shown == [
        (30, 0, 0),
        (10, 5, 0),
        (10, 10, 0),
        (10, 20, 0),
        (10, 30, 5),
        (10, 30, 10),
        (10, 30, 20),
        (None, 0, 60),
    ]


@pytest.mark.parametrize(
    ("day", "stage"),
    [
        (0, 1),
        (29.999, 1),
        (30, 2),
        (39.999, 2),
        (40, 3),
        (50, 4),
        (60, 5),
        (70, 6),
        (80, 7),
        (89.999, 7),
        (90, 8),
    ],
)
def test_a_stage_begins_exactly_when_its_days_are_over(day, stage):
    """The first second of day 30 is stage 2, the one before still stage 1."""
    assert stage_at(EXCHANGE, day * DAY) == stage


def test_the_last_stage_lasts():
    """Years later it is still the last."""
    assert stage_at(EXCHANGE, 4000 * DAY) == 8


def test_the_gentle_ladder_never_closes_the_hour():
    """Every stage leaves minutes in which mail is taken."""
    assert max(stage.minutes for stage in PRESETS["gentle"].stages) < 60


def test_the_urgent_ladder_is_the_quickest_and_still_gives_notice():
    """A week of report before the first refusal."""
    urgent, usual = notice(PRESETS["urgent"]), notice(EXCHANGE)

    assert urgent == 7 * DAY
    assert usual == 30 * DAY
    assert steps(PRESETS["urgent"])[-1].start < steps(EXCHANGE)[-1].start


@pytest.mark.parametrize(
    ("stages", "complaint"),
    [
        ((), "no stages"),
        ((Stage(None, 31, 30),), "do not fit"),
        ((Stage(5, 10, 0), Stage(None, 5, 0)), "milder"),
        ((Stage(5, 0, 10), Stage(None, 20, 5)), "milder"),
        ((Stage(None), Stage(None, 5, 0)), "only the last stage is open"),
        ((Stage(0), Stage(None, 5, 0)), "1 or more"),
        ((Stage(5),), "must be open"),
    ],
)
def test_a_ladder_that_makes_no_sense_is_refused(stages, complaint):
    """The error says what is wrong."""
    with pytest.raises(ValueError, match=complaint):
        Ladder("bad", stages)


@given(ladders(), clocks, clocks)
def test_the_stage_never_falls_as_the_clock_runs(ladder, one, other):
    """More time out of compliance is never an earlier stage."""
    assert stage_at(ladder, min(one, other)) <= stage_at(ladder, max(one, other))


@given(ladders(), clocks)
def test_the_stage_is_the_step_that_holds_the_clock(ladder, clock):
    """`stage_at` and `steps` are two views of one thing."""
    step = steps(ladder)[stage_at(ladder, clock) - 1]

    assert step.number == stage_at(ladder, clock)
    assert step.start <= clock
    assert step.end is None or clock < step.end


@given(ladders(), ladders(), clocks)
def test_a_change_of_ladder_is_never_milder_while_the_new_one_can_match_it(old, new, clock):
    """A server that is refused already does not fall back to a milder stage."""
    before = old.stages[stage_at(old, clock) - 1]
    after = new.stages[stage_at(new, carry_over(old, new, clock)) - 1]

    assert after.severity >= min(before.severity, new.stages[-1].severity)


noticed = ladders(first=(0, 0))


@given(noticed, noticed, st.floats(0, 0.999))
def test_a_change_of_ladder_skips_no_notice(old, new, part):
    """Who is only reported keeps the notice promised, or the whole of the new ladder's if that is shorter."""
    promised, offered = notice(old), notice(new)
    clock = promised * part
    left = offered - carry_over(old, new, clock)

    assert left >= min(offered, promised - clock) - 1e-3
    assert carry_over(old, new, clock) <= clock


@given(ladders(first=(0, 1)), ladders(), clocks)
def test_a_change_of_ladder_enters_at_the_first_stage_that_is_no_milder(old, new, clock):
    """Whoever is refused goes through each harder stage of the new ladder from its start."""
    before = old.stages[stage_at(old, clock) - 1]
    place = carry_over(old, new, clock)
    entered = stage_at(new, place)

    assert before.minutes
    assert place == steps(new)[entered - 1].start
    assert all(stage.severity < before.severity for stage in new.stages[: entered - 1])


def test_a_ladder_with_the_same_stage_is_entered_at_that_stage():
    """Not at the next harder one."""
    assert carry_over(EXCHANGE, EXCHANGE, 45 * DAY) == 40 * DAY


def test_from_the_usual_ladder_to_the_urgent_one_on_the_last_day_of_notice():
    """Throttling starts tomorrow, as announced: not at once, and not a week later."""
    place = carry_over(EXCHANGE, PRESETS["urgent"], 29 * DAY)

    assert notice(PRESETS["urgent"]) - place == DAY


def test_from_the_usual_ladder_to_the_urgent_one_on_the_first_days():
    """The whole week's notice is given, for less than the month that was promised is left."""
    assert carry_over(EXCHANGE, PRESETS["urgent"], 5 * DAY) == 0
