"""The clock of an episode: intervals that count, less the union of the stops."""

from hypothesis import given
from hypothesis import strategies as st

from wehr.policy.clock import elapsed, stopped, when
from wehr.policy.types import Episode, Reason, Stop

whole = st.integers(0, 1000)


@st.composite
def episodes(draw):
    """Disjoint intervals in order, the last one open or closed."""
    edges = sorted(draw(st.sets(whole, min_size=1, max_size=8)))
    if len(edges) % 2:
        edges.append(None)
    spans = tuple(zip(edges[::2], edges[1::2], strict=True))
    return Episode(edges[0], spans)


stops = st.lists(
    st.tuples(whole, st.one_of(st.none(), whole)).map(lambda pair: Stop(pair[0], pair[1])), max_size=5
).map(tuple)


def counted(episode, stopped_by, now):
    """The slow truth: second by second."""
    return sum(
        any(start <= second and (end is None or second < end) for start, end in episode.intervals)
        and not any(stop.start <= second and (stop.end is None or second < stop.end) for stop in stopped_by)
        for second in range(now)
    )


@given(episodes(), stops, whole)
def test_the_clock_counts_each_second_out_of_compliance_and_not_stopped(episode, stopped_by, now):
    """Equal to counting every second by itself."""
    assert elapsed(episode, stopped_by, now) == counted(episode, stopped_by, now)


@given(episodes(), stops, whole, whole)
def test_the_clock_never_runs_backwards(episode, stopped_by, one, other):
    """Monotone in now, and never negative."""
    early, late = sorted((one, other))

    assert 0 <= elapsed(episode, stopped_by, early) <= elapsed(episode, stopped_by, late)


@given(episodes(), stops, st.integers(0, 500))
def test_when_is_the_inverse_of_elapsed(episode, stopped_by, seconds):
    """At the moment it names the clock shows the seconds; where it names none, it never does."""
    at = when(episode, stopped_by, seconds)

    if at is None:
        assert elapsed(episode, stopped_by, 10_000) < seconds
    else:
        assert elapsed(episode, stopped_by, at) == seconds


def test_the_clock_reaches_nought_at_the_first_detection():
    """Stage 1 begins there, even where the clock stands from the start; anything more takes its time."""
    episode, held = Episode(5, ((5, None),)), (Stop(0, 20),)

    assert [when(episode, held, seconds) for seconds in (0, 0.5, 1)] == [5, 20.5, 21]


def test_overlapping_stops_count_once():
    """Two pauses over the same days stop the clock for those days, not for twice as many."""
    episode = Episode(0, ((0, None),))

    assert elapsed(episode, (Stop(10, 30), Stop(20, 40)), 100) == 70


def test_the_compliant_time_between_a_cure_and_a_relapse_does_not_count():
    """The old clock goes on from where it stood."""
    assert elapsed(Episode(0, ((0, 50), (70, None))), (), 100) == 80


def test_a_stop_without_an_end_stands_still_for_good():
    """The clock stays, and no later stage has a date."""
    episode, stops_ = Episode(0, ((0, None),)), (Stop(40, None),)

    assert elapsed(episode, stops_, 1e9) == 40
    assert when(episode, stops_, 40) == 40
    assert when(episode, stops_, 41) is None


def test_a_stop_holds_from_its_start_to_before_its_end():
    """So that one that ends as another begins leaves no gap and no overlap."""
    first, second = Stop(10, 20, Reason.PAUSED), Stop(20, None, Reason.EXEMPT)

    assert [stopped((first, second), at) for at in (9, 10, 19.9, 20, 1e9)] == [
        None,
        first,
        first,
        second,
        second,
    ]
