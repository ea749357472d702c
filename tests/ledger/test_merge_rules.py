"""The quick way of a sighting gives what the merge gives, whichever sighting it is."""

import itertools

import pytest
from ledger_stories import NEW, OLD, at, daily, seen, sighting

from wehr.evidence.types import Confidence, Relation
from wehr.ledger.episode import find_episode, is_mixed, standing, until
from wehr.ledger.state import DAY, merge, observe, pack_state, unpack_state
from wehr.policy.types import Episode

KINDS = list(
    itertools.product(
        (OLD, NEW, None),
        (True, False, None),
        (Confidence.CONFIRMED, Confidence.PLAUSIBLE),
        (Relation.DIRECT, Relation.BEHIND_RELAY),
    )
)


@pytest.mark.parametrize("first", KINDS[::5])
@pytest.mark.parametrize("second", KINDS)
def test_a_sighting_added_is_the_sighting_merged(first, second) -> None:
    """Later on the same day, on the next, or at the very same moment; from another address."""
    build, compliant, confidence, relation = first
    begun = observe(
        None,
        sighting(3, build, confidence=confidence, relation=relation, client_ip="192.0.2.1"),
        compliant,
    )
    build, compliant, confidence, relation = second
    for day in (3, 3.125, 4.25, 40):
        more = sighting(day, build, confidence=confidence, relation=relation, client_ip="192.0.2.9")
        alone = observe(None, more, compliant)

        added = observe(begun, more, compliant)

        assert added == merge(begun, alone) == merge(alone, begun)
        assert unpack_state(pack_state(added)) == added


def test_the_last_client_and_the_last_times_are_those_of_the_latest_sighting() -> None:
    """Same build, same judgement, same day: only these move."""
    state = seen((0, OLD, False))
    later = sighting(0.125, OLD, client_ip="192.0.2.99", confidence=Confidence.CONFIRMED)

    after = observe(state, later, False)

    assert (after.last_seen, after.client_ip, after.confirmed_at, after.direct_at) == (
        at(0.125),
        "192.0.2.99",
        at(0.125),
        at(0.125),
    )
    assert after.stamps is state.stamps
    relayed = observe(after, sighting(0.2, OLD, relation=Relation.BEHIND_RELAY), None)
    assert (relayed.confirmed_at, relayed.direct_at) == (at(0.125), at(0.125))


def test_behind_a_relay_no_clock_starts_but_a_cure_counts() -> None:
    """A non-compliant stamp from behind a relay cannot be told; a compliant one can."""
    relayed = sighting(0, OLD, relation=Relation.BEHIND_RELAY)
    assert find_episode(observe(None, relayed, False)) is None

    [stamp] = observe(None, relayed, False).stamps
    assert (stamp.good, stamp.bad, stamp.unjudged, stamp.starts) == (0, 0, 1, ())
    [stamp] = observe(None, relayed, True).stamps
    assert (stamp.good, stamp.bad, stamp.unjudged) == (1, 0, 0)


@pytest.mark.parametrize(("gap", "starts"), [(29, 1), (30, 2), (31, 2)])
def test_the_exact_time_of_a_start_is_kept_after_thirty_days_without_any(gap, starts) -> None:
    """Not after twenty-nine."""
    state = seen((0.25, OLD, False), (gap + 1.25, OLD, False))
    [stamp] = state.stamps

    assert stamp.starts == (at(0.25), at(gap + 1.25))[:starts]


def test_a_standing_says_when_it_was_seen_and_what_it_runs_on() -> None:
    """All of it, after a life of several months and one before it."""
    state = seen(*daily(0, 3, NEW, True), *daily(200, 240, OLD, False), (250.25, NEW, True))

    found = standing(state, at(251))

    assert found is not None
    assert (found.first_seen, found.last_seen) == (at(200), at(250.25))
    assert found.effective_build == NEW
    # The exact time of a build's first sighting is kept, and that was in the life before.
    assert found.episode == Episode(at(200), ((at(200), at(250) // DAY * DAY),))
    assert found.mixed is False
    assert found.confirmed is False
    assert standing(state, at(250.25 + 180)) is None


@pytest.mark.parametrize(("memory", "excused"), [(10, False), (30, True)])
def test_the_days_of_memory_are_the_operators(memory, excused) -> None:
    """Twenty days after the last compliant stamp an old one counts, or does not."""
    state = seen((0, OLD, False), (1, NEW, True), (22, OLD, False))

    found = standing(state, at(22), memory_days=memory)

    assert found is not None
    assert found.episode is not None
    assert (found.episode.intervals[-1][1] is not None) is excused
    assert (found.effective_build == NEW) is excused


@pytest.mark.parametrize(("forget", "episodes_start"), [(60, 100), (180, 0)])
def test_the_days_until_a_server_is_forgotten_are_the_operators(forget, episodes_start) -> None:
    """A silence of a hundred days wipes the slate clean, or does not."""
    state = seen((0, OLD, False), (100, OLD, False))

    found = standing(state, at(100), forget_days=forget)

    assert found is not None
    assert found.episode is not None
    assert found.episode.started == at(episodes_start)
    assert found.first_seen // DAY == at(episodes_start) // DAY


@pytest.mark.parametrize(("days", "mixed"), [((11,), False), ((11, 12), True), ((10, 11), False)])
def test_a_server_is_mixed_after_two_days_of_old_stamps_beside_a_compliant_one(days, mixed) -> None:
    """Not after one, and the day of the cure itself may be the queue of the day before."""
    state = seen((0, OLD, False), (10, NEW, True), *((day, OLD, False) for day in days))

    assert is_mixed(state, at(13)) is mixed


NEWER = (15, 1, 2507, 66)


@pytest.mark.parametrize(
    ("story", "started"),
    [
        # Back on the old build within thirty days of the cure, though excused at first.
        (((40, OLD, False), (41, OLD, False)), 0),
        (((11, OLD, False), (41, OLD, False)), 0),
        # First back on the thirty-first; what it showed up to the day of the cure is no relapse.
        (((9, OLD, False), (10, OLD, False), (41, OLD, False)), 41),
        # The build that cured is bad now, or one that was compliant after it: the policy moved.
        (((15, NEW, False),), 15),
        (((12, NEWER, True), (15, NEWER, False)), 15),
        # A build that was never compliant is the server's own fall.
        (((12, NEW, True), (43, OLD, False)), 43),
    ],
)
def test_a_relapse_is_told_from_a_policy_that_moved_and_from_a_later_fall(story, started) -> None:
    """Out of compliance from day 0, cured on day 10, and then."""
    state = seen((0, OLD, False), (10, NEW, True), *story)

    found = find_episode(state)

    assert found is not None
    assert found.started // DAY == at(started) // DAY


def test_an_episode_that_begins_with_the_end_of_the_day_holds_no_time_in_the_future() -> None:
    """Where only the day of its beginning is known, and it is not over yet."""
    later = Episode(at(0), ((at(0), at(10)), (at(20), None)))

    assert until(later, at(20)) is later
    assert until(later, at(19)) == Episode(at(0), ((at(0), at(10)), (at(19), None)))
    assert until(Episode(at(20), ((at(20), at(21)),)), at(19)) == Episode(at(19), ((at(19), at(19)),))


def test_two_nodes_days_are_joined_and_the_earliest_start_is_kept() -> None:
    """Whatever was judged, and when both saw the same day at different times."""
    [stamp] = merge(seen((0, OLD, None)), seen((3, OLD, None))).stamps
    assert stamp.unjudged == 0b1001

    early, late = seen((0.125, OLD, False)), seen((0.25, OLD, False))
    assert merge(early, late) == merge(late, early)
    assert merge(early, late).stamps[0].starts == (at(0.125),)

    first = seen((0, NEW, True), (5.5, OLD, False))
    second = seen((0.25, NEW, True), (5.25, OLD, False))
    assert merge(first, second) == merge(second, first)
    assert merge(first, second).stamps[1].starts == (at(5.25),)
