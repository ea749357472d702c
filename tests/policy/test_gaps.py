"""Single cases that a mutation run showed nobody had told apart (``make mutants``)."""

from datetime import UTC, date, datetime

import pytest
from policy_cases import DAY, KEY, SERVER, START, assessment, sighting, standing

from wehr.evidence.types import Session
from wehr.policy import Action, Decision, Holds, Policy, Scope, decide, mildest
from wehr.policy.clock import merged
from wehr.policy.ladder import PRESETS, Ladder, Stage, carry_over
from wehr.policy.pauses import Pause, cancel, extend, granted, request
from wehr.policy.scope import Connector, Exemption, Scoping, exemption_stops
from wehr.policy.selection import LadderRule
from wehr.policy.timeline import dates, timeline
from wehr.policy.types import Episode, Mode, Reason, ServerKey, Stop
from wehr.policy.windows import window

SINCE = datetime(2026, 10, 1, tzinfo=UTC)
OPEN = Episode(START, ((START, None),))
REPORT_ONLY = Ladder("report only", (Stage(),))


def resolved(*connectors, own=(), mode=Mode.ENFORCE, **facts):
    """The one scope of a session with these facts."""
    [scope] = Scoping(mode, (), connectors, own).resolve(Session(**facts))
    return scope


def test_a_connector_makes_no_case_of_what_is_none():
    """One's own networks, users and what is off stay out whatever connector fits."""
    any_client = Connector("any", mode=Mode.ENFORCE)

    assert resolved(any_client, own=("10.0.0.0/8",), client_ip="10.1.1.1").skip is Reason.OWN_NETWORK
    assert resolved(any_client, authenticated=True).skip is Reason.AUTHENTICATED
    assert resolved(Connector("any"), mode=Mode.OFF).skip is Reason.OFF
    assert resolved(any_client, mode=Mode.OFF).skip is None


@pytest.mark.parametrize(
    ("connector", "facts", "names"),
    [
        (Connector("a", client_names=("mx.example",)), {"client_name": "mx.example"}, True),
        (Connector("a", tls_names=("mx.example",)), {"tls_name": "mx.example"}, True),
        (Connector("a", networks=("192.0.2.1",)), {"client_ip": "192.0.2.1"}, True),
        (Connector("a", listeners=("in",)), {"listener": "in"}, False),
        (Connector("a"), {}, False),
    ],
)
def test_a_connector_confirms_a_client_by_network_name_or_certificate(connector, facts, names):
    """Any one of them; a listener tells nothing of who connects."""
    assert resolved(connector, **facts).names_client is names


def test_a_verified_name_fits_whole_or_below_a_dot():
    """``evil-mx.example`` is not ``mx.example``."""
    exact, below = Connector("a", client_names=("mx.example",)), Connector("b", client_names=(".mx.example",))

    assert resolved(exact, client_name="evil-mx.example").connector == ""
    assert resolved(exact, client_name="a.mx.example").connector == ""
    assert resolved(below, client_name="a.MX.example.").connector == "b"
    assert resolved(below, client_name="mx.example").connector == ""


def test_an_exemption_that_does_not_fit_hides_none_that_does():
    """Whichever of its conditions fails."""
    fits = Exemption(SINCE, "asked", server=SERVER.name)
    others = (
        Exemption(SINCE, "no", server="other.example"),
        Exemption(SINCE, "no", server=SERVER.name, tenant="other"),
        Exemption(SINCE, "no", domain="other.example"),
        Exemption(SINCE, "no", network="198.51.100.0/24"),
        Exemption(SINCE, "no", network="2001:db8::/48"),
    )

    assert exemption_stops((*others, fits), SERVER) == (Stop(SINCE.timestamp(), None, Reason.EXEMPT),)


@pytest.mark.parametrize("domain", ["corp.example", ".corp.example", "CORP.example"])
def test_an_exempt_domain_may_be_written_with_a_leading_dot(domain):
    """It means the domain and all below it."""
    assert exemption_stops((Exemption(SINCE, "asked", domain=domain),), SERVER)


def test_one_pause_of_several_is_changed_and_the_others_stay():
    """Extended by a day, the least there is; cancelled."""
    first, second = Pause("a", "default", START, 3, START), Pause("b", "default", START, 4, START)

    assert [one.days for one in extend((first, second), "a", 1, START)] == [4, 4]
    assert [one.cancelled for one in cancel((first, second), "b", START + 1)] == [None, START + 1]


def test_a_pause_may_last_a_leap_year_where_the_quota_allows():
    """366 days, asked for at once or by extension; 367 never."""
    whole = Pause("a", "default", START, 366, START)

    assert request((), whole, START, 366) == (whole,)
    assert extend((Pause("a", "default", START, 365, START),), "a", 1, START, 366)[0].days == 366
    with pytest.raises(ValueError, match="1 to 366 days"):
        extend((whole,), "a", 1, START, 400)


def test_another_tenants_pause_before_ones_own_hides_it_not():
    """Each tenant has its quota, and its own length of it."""
    theirs, ours = Pause("a", "other", START, 3, START - 1), Pause("b", "default", START, 30, START)

    assert [pause.id for pause, _, _ in granted((theirs, ours), "default")] == ["b"]
    [stop] = Holds((theirs, ours), quota=5).stops(SERVER)
    assert stop == Stop(START, (START // DAY + 5) * DAY, Reason.PAUSED)


def test_a_pause_cancelled_before_it_began_uses_nothing():
    """Not even the day on which it would have begun."""
    pause = Pause("a", "default", START + DAY, 3, START)

    assert list(cancel((pause,), "a", START)[0].touched) == []


def test_pauses_and_exemptions_together_are_the_holds():
    """Those asked for at run time, and those of the configuration, by the policy's quota."""
    configured = Exemption(SINCE, "configured", server=SERVER.name)
    added = Exemption(SINCE, "added", network="192.0.2.7")
    pause = Pause("a", "default", START, 30, START)
    holds = Holds.of(Policy(exemptions=(configured,), pause_days=5), (pause,), (added,))

    assert holds == Holds((pause,), (configured, added), 5)
    found = holds.stops(SERVER, "192.0.2.7", "")
    assert [stop.reason for stop in found] == [Reason.PAUSED, Reason.EXEMPT, Reason.EXEMPT]
    assert [stop.reason for stop in holds.stops(SERVER, "192.0.2.8", "")][2] is None
    assert found[0].end == (START // DAY + 5) * DAY
    by_name = Holds(exemptions=(Exemption(SINCE, "asked", domain="partner.example"),))
    assert by_name.stops(SERVER, "", "mx.partner.example")
    assert not by_name.stops(ServerKey("default", "a.example", "192.0.2.0/24"), "", "mx.other.example")


def test_from_a_ladder_that_never_refuses_the_whole_notice_is_given():
    """Nothing was promised, so all of it is still to come."""
    assert carry_over(REPORT_ONLY, PRESETS["urgent"], 100 * DAY) == 0.0
    assert carry_over(PRESETS["urgent"], REPORT_ONLY, 3 * DAY) == 3 * DAY


def test_a_timeline_tells_the_minutes_of_each_stage():
    """As the ladder has them; a pause moves the present one."""
    entries = timeline(PRESETS["exchange-online"], OPEN, (), START + 65 * DAY)
    paused = timeline(PRESETS["exchange-online"], OPEN, (Stop(START, START + 40 * DAY),), START + 65 * DAY)

    assert [(it.throttle, it.block) for it in entries][3:6] == [(20, 0), (30, 5), (30, 10)]
    assert [it.stage for it in entries if it.current] == [5]
    assert [it.stage for it in paused if it.current] == [1]


def test_the_dates_of_a_ladder_that_never_blocks_or_never_refuses():
    """No day is made up."""
    throttling = Ladder("throttling", (Stage(10), Stage(None, 5)))

    found = dates(throttling, OPEN, (), START + DAY)
    assert (found.first_detected_date, found.throttle_enabled_date, found.blocking_enabled_date) == (
        START,
        START + 10 * DAY,
        None,
    )
    found = dates(REPORT_ONLY, OPEN, (), START + DAY)
    assert (found.throttle_enabled_date, found.blocking_enabled_date) == (None, None)
    assert (found.next_stage_throttle_rate, found.next_stage_start_date) == (None, None)


def test_the_next_stage_comes_by_the_place_that_was_carried_over():
    """A server that stands at 28 days after only two has two to go."""
    found = dates(PRESETS["exchange-online"], OPEN, (), START + 2 * DAY, place=28 * DAY)

    assert found.next_stage_start_date == START + 4 * DAY
    assert found.next_stage_throttle_rate == 5


def test_a_policy_gives_its_mode_and_networks_to_its_scopes():
    """As it was written."""
    scoping = Policy(mode=Mode.ENFORCE).scoping(("10.0.0.0/8",))

    assert scoping.resolve(Session(client_ip="192.0.2.1"))[0].mode is Mode.ENFORCE
    assert scoping.resolve(Session(client_ip="10.0.0.1"))[0].skip is Reason.OWN_NETWORK


def test_what_came_before_the_policy_stops_the_clock_from_the_beginning():
    """From 1970 on, so that no clock has a first second."""
    policy = Policy(clock_from=date(2026, 12, 1))

    assert policy.stops(assessment()) == (Stop(0.0, datetime(2026, 12, 1, tzinfo=UTC).timestamp(), None),)


def test_the_windows_are_the_same_in_every_version():
    """Nodes of a fleet are updated one by one, and must agree meanwhile."""
    places = [window(KEY, SERVER, hour, 30, 5).start // 60 % 60 for hour in range(490_000, 490_006)]

    assert places == [20, 14, 20, 9, 16, 19]


def test_a_span_that_is_empty_hides_none_after_it():
    """A stop that ends before it begins, as after a broken clock."""
    assert merged([(5.0, 3.0), (6.0, 9.0), (8.0, 10.0)]) == [(6.0, 10.0)]


def test_a_name_that_is_no_text_has_its_windows_too():
    """Stamped names are bytes from strangers."""
    assert window(KEY, ServerKey("default", "\udc80.example", "192.0.2.0/24"), 490_000, 30, 5)


def test_who_is_no_case_is_accepted_by_that_name():
    """The action is told, not only that nothing is enforced."""
    off = Scope(skip=Reason.OFF)
    plain = {"policy": Policy(), "key": KEY, "now": START}

    assert decide(sighting(), None, None, None, scope=off, **plain).action is Action.ACCEPT
    known = assessment("15.1.2507.61")
    assert decide(sighting(), known, None, known, scope=Scope(), **plain).action is Action.ACCEPT


def test_a_server_of_which_nothing_is_remembered_begins_its_clock_now():
    """On whichever ladder a rule puts it."""
    policy = Policy(ladder_rules=(LadderRule(use="urgent"),))
    known = assessment()

    found = decide(sighting(), known, None, known, scope=Scope(), policy=policy, key=KEY, now=START)

    assert (found.ladder, found.stage) == ("urgent", 1)


def test_a_mixed_server_that_is_enforced_is_on_the_ladder_of_its_old_build():
    """Its compliant build is on none."""
    policy = Policy(mixed="enforce", ladder_rules=(LadderRule(use="urgent", builds=("15.1.2507.17",)),))
    case = {"scope": Scope(), "policy": policy, "key": KEY, "now": START}

    found = decide(sighting(), assessment(), standing(mixed=True), assessment("15.1.2507.61"), **case)

    assert found.ladder == "urgent"


def test_of_two_throttled_tenants_the_earlier_end_is_the_true_one():
    """As soon as one of them takes the message it is taken; a full block has no end."""
    early, late, never = (
        Decision(Action.THROTTLE, Reason.THROTTLED, True, until=until) for until in (60.0, 120.0, None)
    )

    assert mildest([never, late, early]) is early


def test_a_server_may_be_forgotten_as_soon_as_it_is_silent():
    """But not before."""
    assert Policy(forget_days=30).forget_days == 30
    with pytest.raises(ValueError, match="forget_days must not be less"):
        Policy(forget_days=29)


def test_a_ladder_without_notice_throttles_from_the_detection():
    """That is its date."""
    found = dates(Ladder("at once", (Stage(None, 5),)), OPEN, (), START + DAY)

    assert found.throttle_enabled_date == START


def test_without_an_assessment_no_rule_applies():
    """The usual ladder does."""
    policy = Policy(ladder_rules=(LadderRule(use="urgent"),))

    assert policy.course(None, OPEN, (), START + DAY)[0].name == "exchange-online"
