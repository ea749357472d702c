"""The policy as it is written: defaults, TOML, and which ladder a server is on."""

import pickle
import re
import tomllib
from datetime import date
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import DAY, OLD, START, assessment, day_after

from wehr.catalogue.types import State, Vulnerability
from wehr.policy import Policy
from wehr.policy.ladder import PRESETS, Stage, stage_at
from wehr.policy.selection import LadderRule, midnight
from wehr.policy.types import Episode, Mode, Stop

OPEN = Episode(START, ((START, None),))
USUAL, URGENT = PRESETS["exchange-online"], PRESETS["urgent"]


def read(text):
    """A policy from its TOML table."""
    return msgspec.convert(tomllib.loads(text), Policy)


def test_an_empty_table_is_the_default_policy():
    """Which refuses nobody."""
    policy = read("")

    assert policy == Policy()
    assert policy.mode is Mode.REPORT
    assert policy.named_ladder(policy.ladder) == USUAL


def test_everything_can_be_written_in_toml():
    """One example of each part."""
    policy = read(
        """
        mode = "enforce"
        ladder = "mine"
        clock_from = 2026-12-01
        enforce_software = ["exchange", "exim"]
        [compliance]
        require = ["supported", "not-exploited"]
        trust_versions = ["exim"]
        [[compliance.floors]]
        builds = "15.2"
        since = 2027-01-01
        least = "15.2.2562.17"
        [[ladders.mine]]
        days = 14
        [[ladders.mine]]
        throttle = 10
        [[ladder_rules]]
        use = "urgent"
        exploited = true
        [[waves]]
        builds = ["8"]
        since = 2026-12-01
        [[tenants]]
        name = "north"
        domains = ["north.example"]
        mode = "off"
        [[connectors]]
        name = "partner"
        tenant = "north"
        networks = ["192.0.2.0/24"]
        [[exemptions]]
        server = "ex01.corp.example"
        since = 2026-11-01T00:00:00Z
        reason = "migration"
        [texts]
        block = "Update {software} at {host}.{see}"
        """
    )

    assert [stage.throttle for stage in policy.named_ladder("mine").stages] == [0, 10]
    assert policy.connectors[0].tenant == "north"


PAGE = Path(__file__).resolve().parents[2] / "docs" / "policy.md"
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_examples_of_the_documentation_are_right(text):
    """Each can be used as it stands."""
    document = tomllib.loads(text)

    assert list(document) == ["policy"]
    assert msgspec.convert(document["policy"], Policy) != Policy()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('mode = "on"', r"Invalid enum value 'on' - at `\$.mode`"),
        ("modes = 1", "unknown field `modes`"),
        ('ladder = "steep"', "no ladder is called 'steep'; there are exchange-online, gentle, urgent"),
        ('[[ladder_rules]]\nuse = "steep"', "no ladder is called 'steep'"),
        ("[[ladders.mine]]\ndays = 5", "last stage must be open"),
        ("[[ladders.mine]]\ndays = 0", r"at `\$.ladders"),
        ("[[ladders.urgent]]\nblock = 60", "built in"),
        ('[[connectors]]\nname = "a"\ntenant = "west"', "west"),
        ('[[connectors]]\nname = "a"\nnetworks = ["192.0.2.0/40"]', "192.0.2.0/40"),
        ("memory_days = 0", ">= 1"),
        ("forget_days = 10", "forget_days must not be less"),
        ('[compliance]\nrequire = ["floors"]', "Invalid enum value 'floors'"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(text, complaint):
    """With what is wrong, and where."""
    with pytest.raises(msgspec.ValidationError, match=complaint):
        read(text)


def exploited(day: date):
    """An old Exchange with a hole that is known to be exploited from a day on."""
    return assessment(OLD, vulnerabilities=(Vulnerability("CVE-2026-0001", None, day, True),))


RULED = Policy(ladder_rules=(LadderRule(use="urgent", exploited=True),))


def course(days, policy=RULED, known=None, stops=()):
    """The ladder and the days on it, so many days after detection."""
    known = known or exploited(date(2026, 10, 21))  # day 19.6 of the episode
    ladder, place = policy.course(known, OPEN, stops, START + days * DAY)
    return ladder.name, place / DAY


def test_a_policy_can_be_compared_and_sent_to_another_process():
    """Whatever it has worked out for itself meanwhile."""
    policy = read("[[ladders.mine]]\nthrottle = 10")

    assert policy.named_ladder("mine").stages[0].throttle == 10
    assert pickle.loads(pickle.dumps(policy)) == policy  # noqa: S301
    assert msgspec.convert(msgspec.to_builtins(policy), Policy) == policy


def test_without_rules_every_server_is_on_the_usual_ladder():
    """Its place is its clock."""
    assert course(12, Policy()) == ("exchange-online", pytest.approx(12))


def test_a_hole_that_comes_to_be_exploited_puts_the_server_on_the_urgent_ladder():
    """From that day, with a whole week's notice: day 19.6 is followed by throttling on day 26.6."""
    change = (midnight(date(2026, 10, 21)) - START) / DAY

    assert course(19) == ("exchange-online", pytest.approx(19))
    assert course(change) == ("urgent", pytest.approx(0))
    assert course(25) == ("urgent", pytest.approx(25 - change))


def test_over_two_changes_of_ladder_the_clock_goes_on():
    """On gentler ladders from day 10 and day 20: each is entered at the place reached on the one before."""
    rules = (LadderRule(use="slow", since=day_after(20)), LadderRule(use="gentle", since=day_after(10)))
    policy = Policy(ladder_rules=rules, ladders={"slow": (Stage(200), Stage(None, 5))})

    assert course(15, policy) == ("gentle", pytest.approx(15))
    assert course(24, policy) == ("slow", pytest.approx(24))


def test_a_server_that_is_throttled_already_goes_on_from_there():
    """The first stage of the urgent ladder that is no milder than 5 minutes: its second, with 10."""
    at = exploited(date(2026, 11, 5))  # day 34.6, stage 2

    assert course(36, known=at)[0] == "urgent"
    assert stage_at(URGENT, course(36, known=at)[1] * DAY) == 2


def test_a_hole_exploited_before_the_first_detection_gives_the_urgent_ladder_from_its_start():
    """A new server has its own notice."""
    assert course(3, known=exploited(date(2026, 1, 1))) == ("urgent", pytest.approx(3))


def test_a_pause_stops_the_clock_on_every_ladder():
    """Also across the change."""
    stops = (Stop(START + 15 * DAY, START + 25 * DAY),)

    assert course(27, stops=stops) == ("urgent", pytest.approx(2))


@pytest.mark.parametrize(
    ("rule", "applies"),
    [
        ({"builds": ("15.1",)}, True),
        ({"builds": ("15.2",)}, False),
        ({"products": ("Exchange Server 2016",)}, True),
        ({"products": ("Exchange Server 2019",)}, False),
        ({"software": "exim"}, False),
        ({"states": (State.OUTDATED,)}, True),
        ({"states": (State.UNSUPPORTED,)}, False),
        ({"cves": ("CVE-2026-0001",)}, True),
        ({"cves": ("CVE-2026-0002",)}, False),
        ({"since": date(2027, 1, 1)}, False),
    ],
)
def test_a_rule_applies_where_all_its_conditions_hold(rule, applies):
    """Over product, build, state, hole and day."""
    policy = Policy(ladder_rules=(LadderRule(use="urgent", **rule),))

    assert (course(25, policy)[0] == "urgent") is applies


def test_the_first_rule_that_fits_decides():
    """The order is the operator's."""
    rules = (LadderRule(use="gentle", builds=("15.1",)), LadderRule(use="urgent", exploited=True))

    assert course(50, Policy(ladder_rules=rules))[0] == "gentle"


@given(
    st.integers(0, 120),
    st.sampled_from(["gentle", "urgent"]),
    st.floats(0, 200),
    st.floats(0, 200),
)
def test_over_a_change_of_ladder_no_server_becomes_milder(change, to, one, other):
    """Unless the new ladder has no stage as hard."""
    since = day_after(change)
    policy = Policy(ladder_rules=(LadderRule(use=to, since=since),))
    early, late = (policy.course(assessment(), OPEN, (), START + day * DAY) for day in sorted((one, other)))
    before, after = (ladder.stages[stage_at(ladder, place) - 1] for ladder, place in (early, late))

    assert after.severity >= min(before.severity, late[0].stages[-1].severity)
