"""Windows: one stretch an hour, its place the same on every node and foreseeable by nobody else."""

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from policy_cases import KEY, SERVER, servers

from wehr.policy.types import Action, ServerKey
from wehr.policy.windows import HOUR, window

rates = st.integers(0, 60).flatmap(lambda b: st.tuples(st.integers(0, 60 - b), st.just(b)))
hours = st.integers(0, 10**6)


@given(servers, hours, rates)
def test_a_stretch_has_the_stages_minutes_inside_its_hour(server, hour, minutes):
    """Block first, then throttle, in whole minutes, neither more nor less than the stage says."""
    throttle, block = minutes
    found = window(KEY, server, hour, throttle, block)

    assert hour * HOUR <= found.start <= found.turn <= found.end <= (hour + 1) * HOUR
    assert (found.turn - found.start, found.end - found.turn) == (block * 60, throttle * 60)
    assert found.start % 60 == 0


@given(servers, hours, rates)
def test_each_minute_of_the_hour_is_answered_as_the_stretch_says(server, hour, minutes):
    """Counted minute by minute, the hour holds the stage's minutes of each answer."""
    throttle, block = minutes
    found = window(KEY, server, hour, throttle, block)
    answers = Counter(found.at(hour * HOUR + minute * 60 + 59.9) for minute in range(60))

    assert answers[Action.THROTTLE] == throttle
    assert answers[Action.BLOCK] == block


def test_a_stretch_begins_on_its_first_second_and_is_over_on_its_end():
    """So that the minute a reply names is one in which mail is taken."""
    found = window(KEY, SERVER, 480_000, 10, 5)
    edges = [found.start - 1, found.start, found.turn - 1, found.turn, found.end - 1, found.end]

    assert [found.at(now) for now in edges] == [
        Action.ACCEPT,
        Action.BLOCK,
        Action.BLOCK,
        Action.THROTTLE,
        Action.THROTTLE,
        Action.ACCEPT,
    ]


@given(servers, hours)
def test_sixty_minutes_are_the_whole_hour(server, hour):
    """A stage that blocks fully leaves no minute."""
    found = window(KEY, server, hour, 0, 60)

    assert (found.start, found.end) == (hour * HOUR, (hour + 1) * HOUR)


def chi_square(places, cells):
    """How far counts are from even."""
    counts = Counter(places)
    expected = len(places) / cells
    return sum((counts[cell] - expected) ** 2 / expected for cell in range(cells))


def test_the_places_are_even_over_servers():
    """At one hour, 20,000 servers are spread evenly over the 56 places of a 5-minute stretch."""
    places = [
        window(KEY, ServerKey("default", f"mail{i}.example", "192.0.2.0/24"), 480_000, 5, 0).start // 60 % 60
        for i in range(20_000)
    ]

    # 55 degrees of freedom: the 99.99th percentile is 101. The hash is fixed, so this never flickers.
    assert chi_square(places, 56) < 101


def test_the_places_are_even_over_hours_and_independent_of_the_hour_before():
    """For one server the place of an hour says nothing of the next."""
    places = [window(KEY, SERVER, 480_000 + i, 30, 10).start // 60 % 60 for i in range(20_001)]
    pairs = [(a // 7) * 3 + b // 7 for a, b in pairwise(places)]

    assert chi_square(places, 21) < 55  # 20 degrees of freedom, 99.99th percentile 52.4
    assert chi_square(pairs, 9) < 32  # 8 degrees of freedom, 99.99th percentile 31.8


def test_another_key_gives_other_places():
    """Without the key nobody can tell them: two keys agree no more often than chance."""
    same = sum(
        window(KEY, SERVER, hour, 5, 0) == window(KEY[::-1], SERVER, hour, 5, 0) for hour in range(2000)
    )

    assert same < 2000 / 56 * 2


@given(st.text(max_size=6), st.text(max_size=6), st.text(max_size=6))
def test_servers_with_shifted_names_are_different_servers(tenant, name, network):
    """Moving a character from one part to the next does not give the same text to the hash."""
    one = ServerKey(tenant, f"x{name}", network)
    other = ServerKey(f"{tenant}x", name, network)
    hundred = range(1000, 1100)

    assert one == other or [window(KEY, one, h, 5, 0) for h in hundred] != [
        window(KEY, other, h, 5, 0) for h in hundred
    ]
