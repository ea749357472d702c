"""Changes of ladder: what was in force is remembered, and a server's place is carried over."""

from datetime import date

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import DAY, START, assessment, day_after

from wehr.catalogue import load
from wehr.catalogue.types import State, Vulnerability
from wehr.policy import Policy
from wehr.policy.clock import elapsed
from wehr.policy.ladder import PRESETS, Stage, notice, stage_at
from wehr.policy.laddering import Era, Laddering, Past, course, facts
from wehr.policy.selection import LadderRule, midnight
from wehr.policy.types import Episode, Stop

OPEN = Episode(START, ((START, None),))
USUAL, URGENT, GENTLE = (Laddering(name) for name in ("exchange-online", "urgent", "gentle"))


def changed(*changes):
    """What was in force: the usual ladder, then others from so many days after the detection."""
    past = Past().noting(USUAL, (), 0.0)
    for day, laddering in changes:
        past = past.noting(laddering, (), START + day * DAY)
    return past


def place(past, day, known=None, stops=()):
    """The ladder's name, the stage and its minutes, so many days after the detection."""
    ladder, seconds = course(past, known, OPEN, stops, START + day * DAY)
    stage = stage_at(ladder, seconds)
    return ladder.name, stage, (ladder.stages[stage - 1].throttle, ladder.stages[stage - 1].block)


def test_another_ladder_does_not_put_a_reported_server_into_its_last_stage():
    """On day 25 of 30 the urgent ladder comes: the five days that were promised are kept."""
    past = changed((25, URGENT))

    assert place(past, 24.9) == ("exchange-online", 1, (0, 0))
    assert place(past, 29.9) == ("urgent", 1, (0, 0))
    assert place(past, 30.1) == ("urgent", 2, (10, 0))
    assert place(past, 33.1) == ("urgent", 3, (20, 0))


def test_a_refused_server_enters_the_new_ladder_at_the_start_of_a_stage_that_is_no_milder():
    """Ten minutes before, ten after, and each later stage in its whole length."""
    past = changed((45, URGENT))

    assert place(past, 44.9)[2] == (10, 0)
    assert place(past, 45.1) == ("urgent", 2, (10, 0))
    assert place(past, 48.1) == ("urgent", 3, (20, 0))


def test_the_way_over_a_milder_ladder_does_not_lead_back():
    """A day on the gentle ladder, which never goes so far, and the server is in stage 7 as before."""
    past = changed((85, GENTLE), (86, USUAL))

    assert place(past, 84.9) == ("exchange-online", 7, (30, 20))
    assert place(past, 85.5)[0] == "gentle"
    assert place(past, 86.1) == ("exchange-online", 7, (30, 20))


def test_a_server_that_is_seen_after_the_change_walks_the_new_ladder_from_its_start():
    """As if there had never been another."""
    assert place(changed((-10, URGENT)), 7.1) == ("urgent", 2, (10, 0))
    assert place(changed((-20, GENTLE), (-10, URGENT)), 6.9) == ("urgent", 1, (0, 0))


def test_the_same_ladder_again_changes_nothing():
    """A reload for another reason, or a ladder of one's own with the same stages."""
    copy = Laddering("mine", ladders={"mine": PRESETS["exchange-online"].stages})

    assert changed((10, USUAL)) == changed()
    assert place(changed((35, copy)), 40.1)[1:] == place(changed(), 40.1)[1:] == (3, (10, 0))


def test_other_minutes_under_the_same_name_are_another_ladder():
    """An edited ladder of one's own is carried over like any other."""
    first = Laddering("mine", ladders={"mine": (Stage(60), Stage(None, 10))})
    second = Laddering("mine", ladders={"mine": (Stage(5), Stage(5, 10), Stage(None, 0, 60))})
    past = Past().noting(first, (), 0.0).noting(second, (), START + 61 * DAY)

    assert place(past, 61.5) == ("mine", 2, (10, 0))
    assert place(past, 66.5) == ("mine", 3, (0, 60))


def test_an_added_rule_without_a_day_applies_from_when_it_was_loaded():
    """Not from the detection on, which would skip the notice."""
    rule = Laddering("exchange-online", rules=(LadderRule(use="urgent", builds=("15.1",)),))

    assert place(changed((25, rule)), 25.1, assessment()) == ("urgent", 1, (0, 0))
    assert place(changed((25, rule)), 30.1, assessment()) == ("urgent", 2, (10, 0))


def test_a_hole_that_the_catalogue_learns_of_late_is_not_held_against_a_server_before():
    """Listed on day 3, imported on day 25: the five days of notice that are left are kept."""
    rule = Laddering("exchange-online", rules=(LadderRule(use="urgent", exploited=True),))
    hole = Vulnerability("CVE-2026-0001", None, day_after(3), certain=True)
    known = assessment(vulnerabilities=(hole,))
    past = Past().noting(rule, (), 0.0)
    late = past.noting(rule, ("CVE-2026-0001", "CVE-2026-0001 exploited"), START + 25 * DAY)

    assert place(past, 25.1, known) == ("urgent", 6, (0, 60))
    assert place(late, 25.1, known) == ("urgent", 1, (0, 0))
    assert place(late, 30.1, known) == ("urgent", 2, (10, 0))


def test_a_hole_listed_before_the_detection_and_learned_of_after_it_begins_with_the_learning():
    """The server was on the usual ladder until then, whatever the list said elsewhere."""
    rule = Laddering("exchange-online", rules=(LadderRule(use="urgent", exploited=True),))
    hole = Vulnerability("CVE-2026-0001", None, day_after(-100), certain=True)
    known = assessment(vulnerabilities=(hole,))
    late = Past().noting(rule, (), 0.0).noting(rule, ("CVE-2026-0001 exploited",), START + 25 * DAY)

    assert place(late, 24.9, known) == ("exchange-online", 1, (0, 0))
    assert place(late, 29.9, known) == ("urgent", 1, (0, 0))
    assert place(late, 30.1, known) == ("urgent", 2, (10, 0))


def test_an_uncertain_hole_before_a_certain_one_hides_it_from_no_rule():
    """All holes are looked at."""
    holes = tuple(
        Vulnerability(f"CVE-2026-000{number}", None, date(2026, 1, number), certain=number > 1)
        for number in (1, 2)
    )

    assert LadderRule(use="urgent", exploited=True).starts(assessment(vulnerabilities=holes)) == midnight(
        date(2026, 1, 2)
    )


def test_before_the_detection_a_server_stands_at_the_start():
    """A clock that was set back finds an answer too."""
    rule = Laddering("gentle", rules=(LadderRule(use="urgent", builds=("15.1",)),))

    assert place(changed((5, rule)), -3, assessment())[1:] == (1, (0, 0))
    assert course(changed((5, rule)), None, OPEN, (), -1.0)[0].name == "exchange-online"


def test_a_rule_over_cves_applies_once_the_catalogue_knows_the_hole():
    """The rule may be written before."""
    rule = LadderRule(use="urgent", cves=("CVE-2026-0001",))
    hole = Vulnerability("CVE-2026-0001", None, None, certain=True)

    assert rule.starts(assessment(vulnerabilities=(hole,))) == 0.0
    assert rule.starts(assessment(vulnerabilities=(hole,)), {"CVE-2026-0001": START}) == START
    assert rule.starts(assessment()) is None


def test_a_rule_over_states_applies_from_the_day_of_the_state():
    """The end of support begins a ladder of its own; it did not hold all along."""
    ended = date(2025, 10, 15)
    known = assessment(state=State.UNSUPPORTED, unsupported_since=ended, missing_since=date(2024, 1, 1))

    assert LadderRule(use="urgent", states=(State.UNSUPPORTED,)).starts(known) == midnight(ended)
    both = (State.OUTDATED, State.UNSUPPORTED)
    assert LadderRule(use="urgent", states=both).starts(known) == midnight(date(2024, 1, 1))


def test_what_is_noted_first_has_been_so_always():
    """An installation has no past when it begins; what comes later has a time."""
    first = Past().noting(USUAL, ("CVE-1",), START)
    second = first.noting(URGENT, ("CVE-1", "CVE-2"), START + 1)

    assert first == Past((Era(0.0, USUAL),), {"CVE-1": 0.0})
    assert second.eras[1] == Era(START + 1, URGENT)
    assert second.learned == {"CVE-1": 0.0, "CVE-2": START + 1}
    assert second.noting(URGENT, ("CVE-2",), START + 9) is second


def test_only_so_many_changes_are_remembered():
    """The latest; the oldest of them counts as always."""
    past = Past()
    for number in range(100):
        past = past.noting((USUAL, URGENT)[number % 2], (), START + number)

    assert len(past.eras) == 32
    assert past.eras[0].since == 0.0
    assert past.eras[-1] == Era(START + 99, URGENT)


def test_the_past_can_be_kept_as_json():
    """As the store does."""
    rule = LadderRule(use="mine", since=date(2026, 12, 1), states=(State.UNSUPPORTED,))
    laddering = Laddering("gentle", (rule,), {"mine": (Stage(3), Stage(None, 1, 2))})
    past = Past().noting(laddering, ("CVE-1",), START)

    assert msgspec.json.decode(msgspec.json.encode(past), type=Past) == past


def test_a_policy_goes_by_its_past():
    """The last era is in force, whatever the node's own file says; by itself a policy has no past."""
    policy = Policy()

    assert policy.course(None, OPEN, (), START + 25.1 * DAY)[0].name == "exchange-online"
    after = policy.after(changed((25, URGENT)))
    ladder, seconds = after.course(None, OPEN, (), START + 29 * DAY)
    assert (ladder.name, stage_at(ladder, seconds)) == ("urgent", 1)
    assert after == policy
    assert policy.past == changed()


def test_the_facts_of_a_catalogue_are_its_holes_and_which_are_exploited():
    """One of each."""
    found = set(facts(load()))

    assert {"CVE-2021-26855", "CVE-2021-26855 exploited"} <= found
    assert any(f"{fact} exploited" not in found for fact in found if " " not in fact)


stories = st.lists(st.tuples(st.floats(-5, 130), st.sampled_from([USUAL, URGENT, GENTLE])), max_size=5).map(
    lambda changes: sorted(changes, key=lambda change: change[0])
)
pauses = st.lists(st.tuples(st.floats(0, 120), st.floats(0, 20)), max_size=2).map(
    lambda spans: tuple(Stop(START + at * DAY, START + (at + more) * DAY) for at, more in spans)
)


@given(stories, st.floats(0, 200), st.floats(0, 200), pauses)
def test_over_any_changes_no_server_becomes_milder(changes, one, other, stops):
    """Unless the ladder in force has no stage as hard."""
    past = changed(*changes)
    early, late = (course(past, None, OPEN, stops, START + day * DAY) for day in sorted((one, other)))
    before, after = (ladder.stages[stage_at(ladder, at) - 1] for ladder, at in (early, late))
    hardest = min(
        (
            PRESETS[era.laddering.ladder].stages[-1].severity
            for era in past.eras
            if START + min(one, other) * DAY <= era.since <= START + max(one, other) * DAY
        ),
        default=before.severity,
    )

    assert after.severity >= min(before.severity, hardest)


@given(stories, st.floats(0, 200), pauses)
def test_over_any_changes_nobody_is_refused_before_a_notice_has_passed(changes, day, stops):
    """At least that of the shortest ladder there was, on the clock."""
    past = changed(*changes)
    ladder, at = course(past, None, OPEN, stops, START + day * DAY)
    shortest = min(notice(PRESETS[era.laddering.ladder]) for era in past.eras)

    if ladder.stages[stage_at(ladder, at) - 1].minutes:
        assert elapsed(OPEN, stops, START + day * DAY) >= shortest


@given(stories, st.floats(0, 129), pauses)
def test_the_moment_of_a_change_is_no_harder_than_it_must_be(changes, day, stops):
    """A reported server stays reported; a refused one meets the least that is no milder than it has known."""
    # Of two changes at one moment the first was never in force.
    past = changed(*(change for change in changes if change[0] != day))
    now = START + day * DAY
    moments = [now, *(START + at * DAY - 1 for at, _ in changes if 0 < at <= day)]
    hardest = max(_stage(past, stops, moment).severity for moment in moments)
    for new in (USUAL, URGENT, GENTLE):
        ladder, there = course(past.noting(new, (), now), None, OPEN, stops, now)
        entered = ladder.stages[stage_at(ladder, there) - 1]
        if not any(hardest):
            assert not entered.minutes
        else:
            harder = [one.severity for one in ladder.stages if one.severity >= hardest]
            assert entered.severity == (harder[0] if harder else ladder.stages[-1].severity)


def _stage(past, stops, at):
    """The stage at a moment."""
    ladder, seconds = course(past, None, OPEN, stops, at)
    return ladder.stages[stage_at(ladder, seconds) - 1]
