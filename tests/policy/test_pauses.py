"""Pauses: days used and given back, and a quota that nothing exceeds."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from policy_cases import DAY, SERVER

from wehr.policy import Holds
from wehr.policy.pauses import Pause, QuotaExceeded, cancel, extend, granted, request, used
from wehr.policy.types import Reason, ServerKey, Stop


def at(*when):
    """A moment in 2026 (month, day, hour...) in UTC seconds."""
    return datetime(2026, *when, tzinfo=UTC).timestamp()


def pause(start, days, name="p1", **changes):
    """A pause of the default tenant."""
    return Pause(name, "default", start, days, start, **changes)


NOON = at(3, 10, 12)


def test_a_pause_lasts_to_the_end_of_its_last_started_day():
    """Three days from noon of the 10th: until midnight after the 12th."""
    one = pause(NOON, 3)

    assert one.end == at(3, 13)
    assert used((one,), "default", 2026) == 3


def test_a_pause_stops_the_clock_of_all_the_tenants_servers():
    """And of nobody else's."""
    held = (pause(NOON, 3),)
    other = ServerKey("north", SERVER.name, SERVER.network)

    assert Holds(held).stops(SERVER) == (Stop(NOON, at(3, 13), Reason.PAUSED),)
    assert Holds(held).stops(other) == ()


def test_a_servers_pause_stops_its_clock_alone():
    """But the days are its tenant's."""
    other = ServerKey("default", "other.example", SERVER.network)
    held = (pause(NOON, 3, server=other),)

    assert Holds(held).stops(SERVER) == ()
    assert len(Holds(held).stops(other)) == 1
    assert used(held, "default", 2026) == 3


def test_a_day_is_used_once_however_many_pauses_hold_on_it():
    """Two servers paused over the same days cost the tenant these days."""
    one = pause(NOON, 10, "a", server=SERVER)
    two = pause(NOON, 5, "b", server=ServerKey("default", "other.example", SERVER.network))

    assert used((one, two), "default", 2026) == 10


def test_cancelling_gives_back_the_days_not_started():
    """Cancelled in the morning of the second day: two days used, and the clock runs again at once."""
    morning = at(3, 11, 8)
    held = cancel((pause(NOON, 30),), "p1", morning)

    assert used(held, "default", 2026) == 2
    assert Holds(held).stops(SERVER) == (Stop(NOON, morning, Reason.PAUSED),)


def test_a_pause_cancelled_before_it_begins_costs_nothing():
    """It never held."""
    held = cancel((pause(at(6, 1), 30),), "p1", NOON)

    assert used(held, "default", 2026) == 0
    assert Holds(held).stops(SERVER) == ()


def test_each_calendar_year_has_its_own_quota():
    """Ten days over New Year are five of each year, and nothing is carried over."""
    held = (pause(at(12, 27), 10),)

    assert used(held, "default", 2026) == 5
    assert used(held, "default", 2027) == 5


def test_the_quota_is_used_up_to_the_last_day_and_no_further():
    """90 days go, one more does not, and the error says how many are left."""
    held = request((), pause(at(1, 5), 90), at(1, 5))

    with pytest.raises(QuotaExceeded, match="needs 1 days of 2026, but 0 of 90 are left"):
        request(held, pause(at(8, 1), 1, "p2"), NOON)
    assert len(request(held, pause(at(2, 1), 9, "p2"), at(1, 6))) == 2  # inside days that are used already


def test_a_smaller_quota_leaves_other_years_and_used_days_alone():
    """What was granted before stands in no new pause's way, but where days of the same year are wanted."""
    held = request((), pause(at(1, 5), 60), at(1, 5))

    assert len(request(held, pause(at(12, 31) + DAY, 5, "p2"), NOON, quota=30)) == 2
    assert len(request(held, pause(at(2, 1), 5, "p2"), at(1, 6), quota=30)) == 2
    with pytest.raises(QuotaExceeded, match="needs 1 days of 2026, but 0 of 30 are left"):
        request(held, pause(at(8, 1), 1, "p2"), NOON, quota=30)


def test_a_pause_can_be_extended_within_the_quota():
    """By days of its own, and not after it has ended."""
    held = extend((pause(NOON, 3),), "p1", 4, NOON)

    assert held[0].end == at(3, 17)
    with pytest.raises(QuotaExceeded):
        extend(held, "p1", 84, NOON)
    with pytest.raises(ValueError, match="has ended"):
        extend(held, "p1", 1, at(3, 17))


@pytest.mark.parametrize("days", [0, -1, 364])
def test_a_pause_is_extended_by_days_and_not_beyond_a_year(days):
    """Whatever the quota is."""
    held = (pause(NOON, 3),)

    assert extend(held, "p1", 363, NOON, quota=366)[0].days == 366
    with pytest.raises(ValueError, match="lasts 1 to 366"):
        extend(held, "p1", days, NOON, quota=366)


def test_of_requests_that_crossed_the_later_is_cut_to_what_is_left():
    """60 and 60 days of 90: the second ends with its thirtieth day."""
    first, second = pause(at(1, 1), 60, "a"), pause(at(6, 1, 12), 60, "b")

    assert granted((second, first), "default") == [
        (first, at(1, 1), at(3, 2)),
        (second, at(6, 1, 12), at(7, 1)),
    ]


@pytest.mark.parametrize(
    ("new", "complaint"),
    [
        (pause(NOON - 1, 3, "p2"), "in the past"),
        (pause(NOON, 0, "p2"), "lasts 1 to"),
        (pause(NOON, 367, "p2"), "lasts 1 to"),
        (pause(NOON, 3, "p1"), "already"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(new, complaint):
    """With what is wrong about it."""
    with pytest.raises(ValueError, match=complaint):
        request((pause(NOON, 1),), new, NOON)


@pytest.mark.parametrize("name", ["p1", "p2"])
def test_what_has_ended_or_never_was_cannot_be_cancelled(name):
    """So that nobody gets days back twice."""
    held = cancel((pause(NOON, 3),), "p1", NOON + 60)

    with pytest.raises(ValueError, match=r"has ended|no pause"):
        cancel(held, name, NOON + 120)


moments = st.integers(0, 800 * 24).map(lambda hours: at(1, 1) + hours * 3600.0)
any_pauses = st.lists(
    st.builds(
        Pause,
        st.uuids().map(str),
        st.sampled_from(["default", "north"]),
        moments,
        st.integers(1, 120),
        moments,
        st.sampled_from([None, SERVER]),
        st.one_of(st.none(), moments),
    ),
    max_size=8,
    unique_by=lambda one: one.id,
)


def days_of(found, year):
    """The days of a year on which any of the granted pauses holds."""
    touched = {day for _, start, end in found for day in range(int(start // DAY), -int(-end // DAY))}
    return sum(datetime.fromtimestamp(day * DAY, UTC).year == year for day in touched)


@given(any_pauses, st.integers(0, 90))
def test_no_set_of_pauses_stops_the_clock_beyond_the_quota(held, quota):
    """Even of requests that crossed and were all taken."""
    found = granted(held, "default", quota)

    assert all(days_of(found, year) <= quota for year in (2026, 2027, 2028))


@given(any_pauses, st.randoms())
def test_what_is_granted_does_not_depend_on_the_order_of_arrival(held, random):
    """Every node cuts the same pauses."""
    shuffled = list(held)
    random.shuffle(shuffled)

    assert granted(held, "default") == granted(shuffled, "default")


class Pausing(RuleBasedStateMachine):
    """Any run of requests, extensions and cancellations, with the clock going on."""

    def __init__(self):
        super().__init__()
        self.held = ()
        self.now = at(1, 1)
        self.count = 0

    @rule(hours=st.integers(1, 24 * 60))
    def wait(self, hours):
        """Time passes."""
        self.now += hours * 3600.0

    @rule(ahead=st.integers(0, 300), days=st.integers(1, 100), server=st.sampled_from([None, SERVER]))
    def ask(self, ahead, days, server):
        """A pause is asked for; it is granted or changes nothing."""
        self.count += 1
        new = Pause(str(self.count), "default", self.now + ahead * DAY, days, self.now, server)
        self.held = self.attempt(request, new)

    @rule(which=st.integers(1, 10), days=st.integers(1, 60))
    def lengthen(self, which, days):
        """A pause is extended, if there is one."""
        self.held = self.attempt(extend, str(which), days)

    @rule(which=st.integers(1, 10))
    def end(self, which):
        """A pause is cancelled, if there is one."""
        before = used(self.held, "default", 2026)
        self.held = self.attempt(cancel, str(which))
        assert used(self.held, "default", 2026) <= before

    def attempt(self, change, *arguments):
        """The pauses after a change, or as they were if it is refused."""
        try:
            return change(self.held, *arguments, self.now)
        except ValueError:
            return self.held

    @invariant()
    def never_over_the_quota(self):
        """And what was granted one by one is granted in full."""
        assert all(used(self.held, "default", year) <= 90 for year in range(2026, 2032))
        whole = {
            it.id for it, start, end in granted(self.held, "default") if (start, end) == (it.start, it.end)
        }
        assert whole == {it.id for it in self.held if it.end > it.start}


TestPausing = Pausing.TestCase
