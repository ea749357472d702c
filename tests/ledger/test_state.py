"""Merges of server states: exact laws, bounds, the stored form."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wehr.evidence.types import Confidence, Relation, Sighting
from wehr.ledger.episode import find_episode, standing
from wehr.ledger.state import (
    DAY,
    MAX_STAMPS,
    ServerState,
    merge,
    observe,
    pack_state,
    spread,
    unpack_state,
)

START = 1_790_000_000.0

builds = st.one_of(
    st.none(),
    st.tuples(st.just(15), st.integers(0, 2), st.sampled_from([1118, 1748, 2507]), st.integers(0, 40)),
)
times = st.one_of(
    st.floats(START, START + 90 * DAY),
    st.floats(START, START + 700 * DAY),
    st.sampled_from([START, START + 3 * DAY, START + 3 * DAY + 60]),
)
sightings = st.builds(
    Sighting,
    at=times,
    name=st.just("mail.example.org"),
    network=st.just("192.0.2.0/24"),
    software=st.sampled_from(["exchange", "kerio"]),
    build=builds,
    relation=st.sampled_from([Relation.DIRECT, Relation.DIRECT, Relation.BEHIND_RELAY]),
    confidence=st.sampled_from(Confidence),
    client_ip=st.sampled_from(["192.0.2.1", "192.0.2.2"]),
)
facts = st.lists(st.tuples(sightings, st.sampled_from([True, False, None])), min_size=1, max_size=40)


def remember(seen: Sequence[tuple[Sighting, bool | None]]) -> ServerState:
    """The state after these sightings, in this order."""
    state = None
    for sighting, compliant in seen:
        state = observe(state, sighting, compliant)
    assert state is not None
    return state


states = facts.map(remember)


@given(states, states)
def test_merging_commutes(a: ServerState, b: ServerState) -> None:
    """Two memories give the same one whichever comes first."""
    assert merge(a, b) == merge(b, a)


@given(states, states, states)
def test_merging_associates(a: ServerState, b: ServerState, c: ServerState) -> None:
    """Three memories give the same one however they are grouped."""
    assert merge(merge(a, b), c) == merge(a, merge(b, c))


@given(states, states)
def test_merging_is_idempotent(a: ServerState, b: ServerState) -> None:
    """Learning the same thing twice changes nothing."""
    both = merge(a, b)

    assert merge(a, a) == a
    assert merge(both, a) == both
    assert merge(both, b) == both


@given(facts, st.randoms(use_true_random=False), st.data())
def test_order_and_repetition_do_not_matter(
    seen: list[tuple[Sighting, bool | None]], dice: random.Random, data: st.DataObject
) -> None:
    """The same sightings in any order, any number of times, on any nodes give the same state and standing."""
    shuffled = seen + data.draw(st.lists(st.sampled_from(seen), max_size=10))
    dice.shuffle(shuffled)
    cut = data.draw(st.integers(1, len(shuffled)))
    elsewhere = remember(shuffled[:cut])
    if shuffled[cut:]:
        elsewhere = merge(remember(shuffled[cut:]), elsewhere)

    here = remember(seen)

    assert elsewhere == here
    now = here.last_seen + 60
    assert standing(elsewhere, now) == standing(here, now)


@given(facts)
def test_a_state_is_stored_losslessly(seen: list[tuple[Sighting, bool | None]]) -> None:
    """What is unpacked is what was packed."""
    state = remember(seen)

    assert unpack_state(pack_state(state)) == state


@given(facts)
def test_an_episode_makes_sense(seen: list[tuple[Sighting, bool | None]]) -> None:
    """Its intervals are in order, begin with its start, and only the last may be open."""
    episode = find_episode(remember(seen))

    if episode is not None:
        assert episode.intervals[0][0] == episode.started
        ends = [end for _, end in episode.intervals[:-1]]
        assert None not in ends
        flat = [time for interval in episode.intervals for time in interval if time is not None]
        assert flat == sorted(flat)


@given(facts)
def test_no_clock_starts_before_the_first_bad_sighting(seen: list[tuple[Sighting, bool | None]]) -> None:
    """An episode never starts before a non-compliant stamp was handed over directly."""
    episode = find_episode(remember(seen))
    bad = [s.at for s, compliant in seen if compliant is False and s.relation is Relation.DIRECT]

    if episode is None:
        return
    assert episode.started >= min(bad)


def test_stamps_are_bounded() -> None:
    """A thousand forged builds leave eight, and the lower ones' days are not lost."""
    seen = [
        (
            Sighting(START + i * 100, "n", "w", "exchange", (15, 2, i, 1), Relation.DIRECT, Confidence.NONE),
            False,
        )
        for i in range(1000)
    ]

    state = remember(seen)

    assert len(state.stamps) == MAX_STAMPS
    assert state.stamps[-1].first_at == START
    assert len(pack_state(state)) < 400


def test_only_times_that_begin_something_are_kept() -> None:
    """A server that is out of compliance for a year costs one exact time, not one a day."""
    days = [*range(365), *range(400, 410)]
    seen = [
        (Sighting(START + day * DAY, "n", "w", "exchange", (15, 2), Relation.DIRECT, Confidence.NONE), False)
        for day in days
    ]

    (stamp,) = remember(seen).stamps

    assert stamp.starts == (START, START + 400 * DAY)


@pytest.mark.parametrize("at", [-1e300, -1.0, 0.0, 1e12, 1e300, float("inf")])
def test_a_mad_clock_costs_bounded_memory(at: float) -> None:
    """A time far outside our era is clamped, so that no bitmap explodes."""
    mad = Sighting(at, "n", "w", "exchange", (15, 2), Relation.DIRECT, Confidence.NONE)
    good = Sighting(START, "n", "w", "exchange", (15, 2), Relation.DIRECT, Confidence.NONE)

    assert len(pack_state(remember([(good, True), (mad, False)]))) < 10_000


@given(st.integers(0, 2**40), st.integers(0, 400))
def test_spread_adds_each_days_followers(days: int, more: int) -> None:
    """Spreading is the union of all shifts up to the width."""
    expected = 0
    for step in range(more + 1):
        expected |= days << step

    assert spread(days, more) == expected


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x93\x01\x02\x03", b"\x99\x02" + b"\x00" * 8])
def test_what_is_no_state_is_refused(data: bytes) -> None:
    """Foreign or newer bytes are an error, never half a state."""
    with pytest.raises(ValueError, match=r".+"):
        unpack_state(data)


@given(facts)
def test_a_compliant_sighting_ends_every_episode(seen: list[tuple[Sighting, bool | None]]) -> None:
    """Whatever came before, after a compliant stamp no clock runs: a patched server is let in at once."""
    state = remember(seen)
    patched = Sighting(
        state.last_seen + 1, "n", "w", "exchange", (15, 2, 9999, 1), Relation.DIRECT, Confidence.NONE
    )

    episode = find_episode(observe(state, patched, compliant=True))

    assert episode is None or episode.intervals[-1][1] is not None


few = st.lists(
    st.tuples(st.floats(0, 120), st.sampled_from([(15, 1, 2507, 6), (15, 1, 2507, 61)]), st.booleans()),
    min_size=1,
    max_size=30,
)


@given(few, st.floats(1, 100))
def test_a_running_clock_is_not_moved_by_more_of_the_same(
    story: list[tuple[float, tuple[int, ...], bool]], later: float
) -> None:
    """A non-compliant sighting on a later day neither restarts nor shortens an open episode.

    On the day itself it may still tell that it was the policy that moved: then the clock starts anew.
    """
    state = remember(
        [
            (Sighting(START + day * DAY, "n", "w", "exchange", build, Relation.DIRECT, Confidence.NONE), ok)
            for day, build, ok in story
        ]
    )
    episode = find_episode(state)
    assume(episode is not None and episode.intervals[-1][1] is None)
    more = Sighting(
        state.last_seen + later * DAY + 1,
        "n",
        "w",
        "exchange",
        (15, 1, 2507, 6),
        Relation.DIRECT,
        Confidence.NONE,
    )

    assert find_episode(observe(state, more, compliant=False)) == episode
