"""The ledger in memory: what it answers, what it forgets, and what bounds it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_stories import NEW, OLD, at, key_of, sighting

from wehr.evidence.types import Confidence, Sighting
from wehr.ledger.episode import standing
from wehr.ledger.memory import Ledger, Limits, reference
from wehr.ledger.state import DAY
from wehr.policy.types import Episode, ServerKey


def tell(ledger: Ledger, *sightings: Sighting, compliant: bool | None = False) -> ServerKey:
    """Have the ledger observe; gives the last one's key."""
    for one in sightings:
        ledger.observe(key_of(one), one, compliant)
    return key_of(sightings[-1])


def test_a_standing_is_what_the_state_gives() -> None:
    """The ledger answers with the server's clock, build and confidence."""
    ledger = Ledger()
    key = tell(ledger, sighting(0), sighting(5, confidence=Confidence.CONFIRMED))

    found = ledger.standing(key, at(6))

    assert found is not None
    assert found.episode == Episode(at(0), ((at(0), None),))
    assert found.effective_build == OLD
    assert (found.first_seen, found.last_seen, found.confirmed) == (at(0), at(5), True)
    assert ledger.standing(ServerKey("default", "unknown", "192.0.2.0/24"), at(6)) is None


story = st.lists(
    st.tuples(
        st.floats(0, 80),
        st.sampled_from(["a.example.org", "b.example.org", "c.example.org"]),
        st.sampled_from([OLD, NEW]),
        st.booleans(),
        st.sampled_from(["192.0.2.1", "192.0.2.2"]),
    ),
    min_size=1,
    max_size=25,
)


@given(story)
def test_what_is_kept_for_speed_never_changes_an_answer(
    steps: list[tuple[float, str, tuple[int, ...], bool, str]],
) -> None:
    """Asked in the middle or not, told in any way, a ledger answers as one that was told all at once."""
    asked, told = Ledger(), Ledger()
    now = at(0)
    for day, name, build, compliant, ip in sorted(steps):
        one = sighting(day, build, name=name, client_ip=ip)
        asked.observe(key_of(one), one, compliant)
        now = at(day)
        for key, _ in asked:
            asked.standing(key, now)
    for day, name, build, compliant, ip in reversed(steps):
        one = sighting(day, build, name=name, client_ip=ip)
        other = Ledger()
        other.observe(key_of(one), one, compliant)
        told.merge(key_of(one), other.get(key_of(one)))  # type: ignore[arg-type]

    assert dict(asked) == dict(told)
    for key, _ in told:
        assert asked.standing(key, now) == told.standing(key, now)
        assert asked.standing(key, at(95)) == told.standing(key, at(95))


@given(story, st.floats(80, 300))
def test_the_ledger_agrees_with_the_plain_function(
    steps: list[tuple[float, str, tuple[int, ...], bool, str]], later: float
) -> None:
    """A ledger with one name per network answers as `standing` does; forgetting may come hours early."""
    ledger = Ledger()
    for day, _, build, compliant, ip in steps:
        one = sighting(day, build, client_ip=ip)
        key = key_of(one)
        ledger.observe(key, one, compliant)
    state = ledger.get(key)
    assert state is not None

    found = ledger.standing(key, at(later))

    assert found in (standing(state, at(later)), None)
    assert found is not None or at(later) - state.last_seen > 179 * 86_400


@pytest.mark.parametrize(
    ("day", "open_then"),
    [(0, True), (9, True), (10.5, False), (45, False), (80, True), (100, True)],
)
def test_a_standing_of_the_past_knows_nothing_of_what_came_later(day: float, open_then: bool) -> None:
    """Out of compliance, cured on day 10, quiet, and back on the old build on day 75: as it was on a day."""
    ledger = Ledger()
    key = tell(ledger, *(sighting(day) for day in range(10)))
    tell(ledger, sighting(10, NEW), compliant=True)
    tell(ledger, *(sighting(75.5 + more) for more in range(30)))

    found = ledger.standing(key, at(day))

    assert found is not None
    assert found.episode is not None
    assert (found.episode.intervals[-1][1] is None) is open_then
    assert all(start <= at(day) for start, _ in found.episode.intervals)


@given(story, st.integers(0, 79))
def test_the_past_is_as_it_was_then(
    steps: list[tuple[float, str, tuple[int, ...], bool, str]], day: int
) -> None:
    """Asked for the end of a day, a ledger that has seen more answers as it did that night."""
    then, now = Ledger(), Ledger()
    night = (at(day) // DAY + 1) * DAY - 1
    keys = set()
    for seen_on, _, build, compliant, _ in sorted(steps):
        one = sighting(seen_on, build)
        now.observe(key_of(one), one, compliant)
        if one.at <= night:
            then.observe(key_of(one), one, compliant)
            keys.add(key_of(one))

    for key in keys:
        before, after = then.standing(key, night), now.standing(key, night)
        assert before is not None
        assert after is not None
        assert (after.episode, after.mixed, after.effective_build) == (
            before.episode,
            before.mixed,
            before.effective_build,
        )


def test_a_renamed_server_is_known_by_its_ledger() -> None:
    """The clock goes over to the new name when the old one has been silent for 30 days."""
    ledger = Ledger()
    tell(ledger, *(sighting(day) for day in range(50)))
    key = tell(ledger, *(sighting(day, name="new.example.org") for day in range(50, 81)))

    early, late = ledger.standing(key, at(79)), ledger.standing(key, at(80))

    assert early is not None
    assert early.episode is not None
    assert early.episode.started == at(50)
    assert late is not None
    assert late.episode is not None
    assert late.episode.started == at(0)


def test_a_new_address_within_the_day_is_not_missed() -> None:
    """What is kept for speed is found anew when a server's address changes, even on a day already seen."""
    ledger = Ledger()
    tell(ledger, *(sighting(day) for day in range(50)))
    away = [sighting(day, name="new.example.org", client_ip="192.0.2.99") for day in range(50, 81)]
    key = tell(ledger, *away)
    before = ledger.standing(key, at(80))
    tell(ledger, sighting(80.01, name="new.example.org"))
    after = ledger.standing(key, at(80.01))

    assert before is not None
    assert before.episode is not None
    assert before.episode.started == at(50)
    assert after is not None
    assert after.episode is not None
    assert after.episode.started == at(0)


def test_the_same_internal_name_in_two_networks_is_two_servers() -> None:
    """Two organisations that both stamp an internal name do not share a clock."""
    ledger = Ledger()
    here = tell(ledger, sighting(0, name="ex01.corp.local"))
    there = tell(ledger, sighting(20, name="ex01.corp.local", network="198.51.100.0/24"))
    tell(ledger, sighting(21, NEW, name="ex01.corp.local"), compliant=True)

    first, second = ledger.standing(here, at(22)), ledger.standing(there, at(22))

    assert first is not None
    assert first.episode == Episode(at(0), ((at(0), at(21)),))
    assert second is not None
    assert second.episode == Episode(at(20), ((at(20), None),))


def test_tenants_do_not_share_a_clock() -> None:
    """What one tenant has seen of a server is not held against it by another."""
    ledger = Ledger()
    one = sighting(0)
    ledger.observe(key_of(one, "a"), one, False)

    assert ledger.standing(key_of(one, "b"), at(1)) is None


def test_a_network_is_bounded() -> None:
    """Names forged from one network push out each other, the oldest first, and are counted."""
    ledger = Ledger(Limits(servers_per_network=10))
    keys = [tell(ledger, sighting(i / 1000, name=f"{i}.example.org")) for i in range(100)]

    assert len(ledger) == 10
    assert ledger.evicted == 90
    assert all(key in ledger for key in keys[-10:])


def test_the_whole_ledger_is_bounded_and_keeps_real_servers() -> None:
    """A flood of names from many networks leaves confirmed servers and those seen on several days."""
    ledger = Ledger(Limits(servers=500))
    sure = sighting(0, name="sure.example.org", network="198.51.0.0/24", confidence=Confidence.CONFIRMED)
    real = [tell(ledger, sure)]
    for i in range(1, 100):
        days = [sighting(day, name=f"real{i}.example.org", network=f"198.51.{i}.0/24") for day in (0, 1)]
        real.append(tell(ledger, *days))
    for i in range(20_000):
        tell(ledger, sighting(2 + i / 1e6, name=f"{i}.forged.test", network=f"203.0.{i % 250}.0/24"))

    assert len(ledger) == 500
    assert all(key in ledger for key in real)
    assert ledger.evicted > 19_000


def test_a_full_ledger_of_confirmed_servers_still_admits() -> None:
    """Even then the bound holds: the oldest goes."""
    ledger = Ledger(Limits(servers=50))
    for i in range(200):
        sure = Confidence.CONFIRMED
        tell(ledger, sighting(i, name=f"{i}.example.org", network=f"10.0.{i}.0/24", confidence=sure))

    assert len(ledger) == 50


def test_what_is_silent_is_forgotten() -> None:
    """After 180 days a server leaves the ledger."""
    ledger = Ledger()
    old, young = tell(ledger, sighting(0)), tell(ledger, sighting(100, name="young.example.org"))

    assert ledger.forget(at(180)) == 1
    assert old not in ledger
    assert young in ledger


def test_learning_what_is_known_changes_nothing() -> None:
    """A state that comes back from the store leaves state and answer as they were."""
    ledger = Ledger()
    key = tell(ledger, sighting(0), sighting(1))
    state = ledger.get(key)
    assert state is not None
    before = ledger.standing(key, at(2))

    ledger.merge(key, state)

    assert ledger.get(key) == state
    assert ledger.standing(key, at(2)) == before


def test_references_are_short_keyed_and_the_same_everywhere() -> None:
    """A reference fits a reply and a URL, depends on the secret, and tells servers apart."""
    key, other = ServerKey("t", "a.example.org", "n"), ServerKey("t", "a.example.or", "gn")
    secret = bytes(range(32))

    assert re.fullmatch("[a-z2-7]{16}", reference(key, secret))
    assert reference(key, secret) == reference(ServerKey("t", "a.example.org", "n"), secret)
    assert reference(key, secret) != reference(other, secret)
    assert reference(key, secret) != reference(key, bytes(32))
