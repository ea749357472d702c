"""Stories of servers, and the clock that each ends up with."""

import pytest
from ledger_stories import NEW, OLD, at, daily, seen, sighting

from wehr.evidence.types import Relation
from wehr.ledger.episode import effective_build, find_episode, inherited, is_mixed, standing
from wehr.ledger.state import DAY, ServerState, observe
from wehr.policy.types import Episode

NEWEST = (15, 1, 2507, 70)


def end_of_day(day: int) -> float:
    """The midnight that ends a day of the story."""
    return (at(day) // DAY + 1) * DAY


def test_first_detection_is_exact() -> None:
    """The clock starts with the very first non-compliant sighting and runs on."""
    state = seen((0.25, OLD, False), (0, OLD, False), *daily(1, 44, OLD, False))

    assert find_episode(state) == Episode(at(0), ((at(0), None),))


def test_a_compliant_server_has_no_episode() -> None:
    """Nothing is held against a server that was never out of compliance."""
    assert find_episode(seen(*daily(0, 100, NEW, True))) is None


def test_a_cure_closes_the_episode_to_the_second() -> None:
    """The first compliant stamp stops the clock, on the day of bad ones as well."""
    state = seen(*daily(0, 45, OLD, False), (45.125, NEW, True))

    assert find_episode(state) == Episode(at(0), ((at(0), at(45.125)),))


def test_a_lagging_stamp_does_not_reopen_it() -> None:
    """Old stamps within 30 days of a higher compliant one do not count."""
    state = seen(*daily(0, 45, OLD, False), (45.125, NEW, True), *daily(46, 75, OLD, False))

    assert find_episode(state) == Episode(at(0), ((at(0), at(45.125)),))


def test_a_relapse_inside_30_days_resumes_the_clock() -> None:
    """A server that falls back soon after its cure goes on where it was, once the memory has run out."""
    state = seen(*daily(0, 45, OLD, False), (45.125, NEW, True), *daily(50, 80, OLD, False))

    assert find_episode(state) == Episode(at(0), ((at(0), at(45.125)), (end_of_day(76), None)))


def test_a_later_relapse_starts_anew() -> None:
    """A server that was well for more than 30 days gets the whole notice period again."""
    state = seen(*daily(0, 45, OLD, False), *daily(46, 90, NEW, True), *daily(91, 140, OLD, False))

    assert find_episode(state) == Episode(end_of_day(121), ((end_of_day(121), None),))


def test_a_return_of_the_old_build_after_a_long_quiet_time_is_exact() -> None:
    """Where no bad day came in the 30 days before, the moment of a new start is remembered."""
    state = seen((0, OLD, False), *daily(1, 40, NEW, True), (75.5, OLD, False), (76, OLD, False))

    assert find_episode(state) == Episode(at(75.5), ((at(75.5), None),))


def test_when_the_policy_moves_the_clock_starts_at_once() -> None:
    """A build judged compliant yesterday does not excuse itself today."""
    state = seen(*daily(0, 60, OLD, True), (61.25, OLD, False), *daily(62, 70, OLD, False))

    assert find_episode(state) == Episode(at(61.25), ((at(61.25), None),))


def test_when_the_policy_moves_soon_after_a_cure_it_is_no_relapse() -> None:
    """A server that was patched in time and then overtaken by a new rule gets a new notice period."""
    state = seen(*daily(0, 50, OLD, False), *daily(51, 60, NEW, True), *daily(61, 70, NEW, False))

    episode = find_episode(state)

    assert episode is not None
    assert episode.started == at(61)
    assert len(episode.intervals) == 1


def test_an_older_build_is_excused_after_the_policy_moved_only_by_a_compliant_one() -> None:
    """A build that lost its compliance still excuses lower ones for its last 30 days, not itself."""
    lagging = seen(*daily(0, 60, NEW, True), *daily(61, 80, OLD, False))

    assert find_episode(lagging) is None


def test_a_lower_build_of_another_branch_excuses_too() -> None:
    """Builds compare inside a branch only: of two branches neither is the older stamp."""
    state = seen((0, (15, 1, 2507, 61), True), *daily(1, 20, (15, 2, 986, 5), False))

    assert find_episode(state) is None


def test_silence_does_not_stop_the_clock() -> None:
    """A server that comes back before 180 days goes on."""
    state = seen((0, OLD, False), (179, OLD, False))

    assert find_episode(state) == Episode(at(0), ((at(0), None),))


def test_after_180_days_of_silence_all_is_forgotten() -> None:
    """A server that comes back later is a new one, detected at its first sighting."""
    state = seen((0, OLD, False), (180, OLD, False))

    assert find_episode(state) == Episode(at(180), ((at(180), None),))
    found = standing(state, at(181))
    assert found is not None
    assert found.first_seen // DAY == at(180) // DAY


def test_a_server_silent_for_180_days_has_no_standing() -> None:
    """What is forgotten plays no part, even before it is removed."""
    state = seen((0, OLD, False))

    assert standing(state, at(179)) is not None
    assert standing(state, at(180)) is None


def test_behind_a_relay_no_clock_starts() -> None:
    """A server that does not hand over itself is reported, never enforced."""
    state = observe(None, sighting(0, relation=Relation.BEHIND_RELAY), False)

    assert find_episode(state) is None
    assert state.direct_at == 0.0
    assert find_episode(observe(state, sighting(40), False)) == Episode(at(40), ((at(40), None),))


def test_what_cannot_be_told_starts_no_clock() -> None:
    """Nothing is held against a server on ignorance."""
    assert find_episode(seen(*daily(0, 50, OLD, None))) is None


def test_a_build_that_is_judged_better_now_cures() -> None:
    """When the policy is loosened the same build's next sighting closes the episode."""
    state = seen(*daily(0, 20, OLD, False), *daily(21, 25, OLD, True))

    episode = find_episode(state)

    assert episode is not None
    assert episode.intervals == ((at(0), end_of_day(20)),)


@pytest.mark.parametrize(("day", "build"), [(45, NEW), (75, NEW), (76, OLD)])
def test_the_effective_build_is_the_highest_of_30_days(day: int, build: tuple[int, ...]) -> None:
    """An old stamp beside a newer one does not lower it until the memory has run out."""
    state = seen((45, NEW, True), *daily(46, day, OLD, False))

    assert effective_build(state, at(day)) == build


def test_mixed_is_an_old_build_that_goes_on_beside_a_compliant_one() -> None:
    """Two machines under one name: seen on two days after the compliant stamp."""
    patched = seen(*daily(0, 45, OLD, False), (45.125, NEW, True), (46, OLD, False))
    mixed = seen(*daily(0, 45, OLD, False), *daily(45, 60, NEW, True), *daily(46, 60, OLD, False))

    assert not is_mixed(patched, at(46))
    assert is_mixed(mixed, at(60))


def test_mixed_servers_are_left_alone_unless_the_operator_says_otherwise() -> None:
    """With the operator's word the compliant stamps of a mixed server do not stop its clock."""
    state = seen(*daily(0, 45, OLD, False), *daily(45, 60, NEW, True), *daily(46, 60, OLD, False))

    usual = standing(state, at(60))
    enforced = standing(state, at(60), mixed_enforced=True)

    assert usual is not None
    assert usual.mixed
    assert usual.episode is not None
    assert usual.episode.intervals[-1][1] is not None
    assert enforced is not None
    assert enforced.episode == Episode(at(0), ((at(0), None),))


def test_no_standing_lies_in_the_future() -> None:
    """On the day of a relapse, of which only the day is remembered, its start is not after now."""
    state = seen(*daily(0, 45, OLD, False), (45, NEW, True), *daily(46, 76, OLD, False))

    found = standing(state, at(76))

    assert found is not None
    assert found.episode is not None
    assert found.episode.intervals[-1] == (at(76), None)


def renamed(old: ServerState, day: float, until: int) -> dict[str, ServerState]:
    """A network in which a new name appears on a day and is seen daily until another."""
    state = None
    for step in range(until - int(day) + 1):
        state = observe(state, sighting(day + step, name="new.example.org"), False)
    assert state is not None
    return {"mail.example.org": old, "new.example.org": state}


def test_a_renamed_server_inherits_the_clock() -> None:
    """Once the old name has been silent for 30 days its clock goes on under the new one."""
    states = renamed(seen(*daily(0, 50, OLD, False)), 51, 81)

    early = inherited("new.example.org", states, at(80))
    late = inherited("new.example.org", states, at(81))

    assert early == Episode(at(51), ((at(51), None),))
    assert late == Episode(at(0), ((at(0), None),))


def test_a_server_renamed_twice_inherits_the_first_clock() -> None:
    """The chain of names is followed."""
    states = renamed(seen(*daily(0, 50, OLD, False)), 51, 90)
    third = observe(None, sighting(91, name="third.example.org"), False)

    assert inherited("third.example.org", {**states, "third.example.org": third}, at(130)) == Episode(
        at(0), ((at(0), None),)
    )


def test_a_patched_server_under_a_new_name_inherits_nothing() -> None:
    """A new name that begins compliant is a patched server: what comes later is its own."""
    states = renamed(seen(*daily(0, 50, OLD, False)), 55, 60)
    states["new.example.org"] = observe(None, sighting(51, NEW, name="new.example.org"), True)
    for day in range(90, 99):
        states["new.example.org"] = observe(states["new.example.org"], sighting(day), False)

    episode = inherited("new.example.org", states, at(98))

    assert episode == Episode(at(90), ((at(90), None),))


def test_a_cured_server_leaves_nothing_to_inherit() -> None:
    """Only an open episode passes on."""
    states = renamed(seen(*daily(0, 50, OLD, False), (51, NEW, True)), 52, 90)

    assert inherited("new.example.org", states, at(90)) == Episode(at(52), ((at(52), None),))


def test_only_the_first_new_name_inherits() -> None:
    """The second name to appear after the old one fell silent is another server."""
    states = renamed(seen(*daily(0, 50, OLD, False)), 51, 90)
    states["other.example.org"] = observe(None, sighting(60, name="other.example.org"), False)

    assert inherited("other.example.org", states, at(90)) == Episode(at(60), ((at(60), None),))


def test_another_address_inherits_nothing() -> None:
    """Two organisations in one network are not one server renamed."""
    states = {
        "ex.corp.internal": seen(*daily(0, 50, OLD, False)),
        "ex2.corp.internal": observe(None, sighting(51, client_ip="192.0.2.77"), False),
    }

    assert inherited("ex2.corp.internal", states, at(90)) == Episode(at(51), ((at(51), None),))


def test_a_name_seen_beside_the_old_one_inherits_nothing() -> None:
    """Two servers behind one address, one of which is switched off later, stay two."""
    states = renamed(seen(*daily(0, 50, OLD, False)), 40, 90)

    assert inherited("new.example.org", states, at(90)) == Episode(at(40), ((at(40), None),))


def test_in_a_crowd_of_names_none_is_taken_for_renamed() -> None:
    """With more names than can be told apart each keeps its own clock, and the search stays bounded."""
    states = renamed(seen(*daily(0, 50, OLD, False)), 51, 90)
    for number in range(70):
        states[f"{number}.example.org"] = seen((200, OLD, False))

    assert inherited("new.example.org", states, at(90)) == Episode(at(51), ((at(51), None),))
