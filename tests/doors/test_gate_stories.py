"""What becomes of servers over months: one story a test, through the real gate, catalogue and ledger."""

from datetime import UTC, datetime

import msgspec
import pytest
from gates import CATALOGUE, DAY, START, Rig, client, trace

from wehr.catalogue import Catalogue
from wehr.policy import Holds, Reason
from wehr.policy.pauses import Pause
from wehr.policy.scope import Exemption

OLD, OLDER, NEW = "15.1.2507.35", "15.1.2507.16", "15.1.2507.61"


def codes(rig, days, build=OLD, host="ex01.example.com", session=None):
    """The reply codes of one message a day, at noon, 250 where it is taken."""
    return [(rig.on(day, build, host, session) or "250")[:3] for day in days]


def test_a_server_that_is_never_patched_walks_from_report_to_a_full_block():
    """Nothing refused for thirty days, everything from the ninetieth."""
    rig = Rig()

    assert set(codes(rig, range(30))) == {"250"}
    stages = []
    for day in range(30, 100):
        rig.on(day, OLD)
        stages.append(rig.entries[-1].decision.stage)
    assert stages == sorted(stages)
    assert [stages[offset] for offset in (0, 10, 20, 30, 40, 50, 60)] == [2, 3, 4, 5, 6, 7, 8]
    assert set(codes(rig, range(100, 110))) == {"550"}


def test_a_relapse_within_thirty_days_of_the_cure_goes_on_with_the_old_clock():
    """Blocked, patched, and twenty days later back to the old build: blocked again at once."""
    rig = Rig()
    codes(rig, range(0, 95, 5))
    codes(rig, [95], NEW)

    # The old stamp is excused for thirty days; the server goes on showing nothing but it.
    assert set(codes(rig, range(96, 125))) == {"250"}
    assert codes(rig, [127]) == ["550"]


def test_a_relapse_later_than_that_starts_a_clock_of_its_own():
    """Forty days of compliance, and then the whole notice again."""
    rig = Rig()
    codes(rig, range(0, 95, 5))
    codes(rig, range(95, 136, 5), NEW)

    assert set(codes(rig, range(170, 200))) == {"250"}
    assert rig.entries[-1].decision.stage == 1
    assert rig.entries[-1].decision.reason is Reason.REPORT_STAGE


def test_a_renamed_server_inherits_the_clock_of_the_name_that_fell_silent():
    """Same address, another name: it comes to no second notice period."""
    rig = Rig()
    codes(rig, range(0, 60, 5))

    codes(rig, range(60, 90, 5), host="mail.example.com")
    assert rig.entries[-1].decision.stage == 1  # nobody can tell yet that the old name is given up
    codes(rig, range(90, 110, 5), host="mail.example.com")

    assert rig.entries[-1].decision.stage == 8


def test_a_second_server_beside_the_first_inherits_nothing():
    """Both names go on: two servers behind one address, each with its own clock."""
    rig = Rig()
    for day in range(0, 100, 4):
        codes(rig, [day], host="ex01.example.com")
        if day >= 48:
            codes(rig, [day], host="ex02.example.com")

    stages = {entry.key.name: entry.decision.stage for entry in rig.entries}
    assert stages == {"ex01.example.com": 8, "ex02.example.com": 3}


def test_of_several_servers_behind_one_address_only_the_old_one_is_refused():
    """A shared way out costs the patched neighbour nothing, nor a Postfix beside it."""
    rig = Rig()
    for day in range(0, 100, 5):
        codes(rig, [day], host="ex01.example.com")
        codes(rig, [day], NEW, host="ex02.example.com")

    assert codes(rig, [101], host="ex01.example.com") == ["550"]
    assert codes(rig, [101], NEW, host="ex02.example.com") == ["250"]
    assert rig.postfix() is None


def test_one_server_with_several_addresses_in_a_network_is_one_server():
    """It cannot reset its clock by taking the address next to it; from another network it is another."""
    rig = Rig()
    for day in range(0, 95, 5):
        codes(rig, [day], session=client(f"203.0.113.{10 + day % 3}"))

    assert codes(rig, [96], session=client("203.0.113.200")) == ["550"]
    assert codes(rig, [96], session=client("198.51.100.200")) == ["250"]
    assert rig.entries[-1].decision.stage == 1


def test_ipv6_addresses_of_one_site_are_one_network():
    """A /48 is what one organisation gets."""
    rig = Rig()
    for day in range(0, 95, 5):
        codes(rig, [day], session=client(f"2001:db8:7:{day}::25"))

    assert codes(rig, [96], session=client("2001:db8:7:ffff::1")) == ["550"]
    assert codes(rig, [96], session=client("2001:db8:8::1")) == ["250"]


def test_two_organisations_with_the_same_internal_name_are_two_servers():
    """EX01.corp.local is everywhere: the one that is patched does not answer for the other."""
    rig = Rig()
    ours, theirs = client("203.0.113.10"), client("198.51.100.10")
    for day in range(0, 95, 5):
        codes(rig, [day], host="EX01.corp.local", session=ours)
        codes(rig, [day], NEW, host="EX01.corp.local", session=theirs)

    assert codes(rig, [96], host="EX01.corp.local", session=ours) == ["550"]
    assert codes(rig, [96], NEW, host="EX01.corp.local", session=theirs) == ["250"]
    assert {entry.key.network for entry in rig.entries} == {"203.0.113.0/24", "198.51.100.0/24"}


def test_a_silent_server_keeps_its_clock_and_is_reported_as_silent():
    """Sixty days without a message: the clock ran on."""
    rig = Rig()
    codes(rig, range(0, 36, 5))
    rig.clock.now = START + 70 * DAY
    [row] = rig.report()

    assert (row.silent, row.stage) == (True, 6)
    assert codes(rig, [95]) == ["550"]
    assert rig.report()[0].silent is False


def test_a_server_silent_for_half_a_year_is_forgotten():
    """It begins anew, with the whole notice."""
    rig = Rig()
    codes(rig, range(0, 100, 5))

    assert codes(rig, [96 + 180]) == ["250"]
    assert rig.entries[-1].decision.stage == 1


def test_a_pause_stops_the_clock_and_it_resumes_where_it_stood():
    """Paused in stage 4 for twenty days: stage 4 on resume, and the rest of it."""
    rig = Rig()
    codes(rig, range(0, 55, 5))
    rig.clock.now = START + 55 * DAY
    pause = Pause("p", "default", rig.clock.now, 20, rig.clock.now)
    rig.gate.holds = Holds(pauses=(pause,))

    assert set(codes(rig, range(56, 74))) == {"250"}
    assert rig.entries[-1].decision.reason is Reason.PAUSED
    codes(rig, [76])
    assert rig.entries[-1].decision.stage == 4
    codes(rig, [81])
    assert rig.entries[-1].decision.stage == 5


def test_an_exemption_that_ends_leaves_the_clock_where_it_stood():
    """And while it holds it lifts what was in force."""
    rig = Rig()
    codes(rig, range(0, 100, 5))
    since, until = (datetime.fromtimestamp(START + day * DAY, UTC) for day in (100, 160))
    rig.gate.holds = Holds(exemptions=(Exemption(since, "migration", until, server="ex01.example.com"),))

    assert set(codes(rig, range(101, 160, 10))) == {"250"}
    assert codes(rig, [161]) == ["550"]


def test_a_patched_server_is_not_blocked_for_one_stale_stamp():
    """The complaint about Exchange Online: one node of a group, or the pickup folder, stamps an old build.

    The server is current, the report says resolved, and still mail came back with 550. Here a compliant build
    within the last thirty days excuses every older stamp, and report and decision agree.
    """
    rig = Rig()
    codes(rig, range(0, 100, 5), OLDER)
    assert codes(rig, [100], OLDER) == ["550"]

    for day in range(101, 160):
        assert codes(rig, [day], NEW) == ["250"]
        assert codes(rig, [day], OLDER) == ["250"]
        assert rig.entries[-1].decision.reason in {Reason.COMPLIANT_LATELY, Reason.MIXED}
    [row] = rig.report()

    assert (row.out_of_date, row.stage, row.build) == (False, 0, NEW)
    assert row.mixed  # an operator is told to look: a node that was forgotten, or a stamp that lags


def test_a_mixed_server_is_refused_only_where_the_operator_says_so_and_the_report_agrees():
    """``mixed = "enforce"``, after looking: two machines under one name, one of them never patched."""
    rig = Rig({"mixed": "enforce"})
    for day in range(0, 100, 2):
        codes(rig, [day], NEW)
        codes(rig, [day], OLDER)

    assert codes(rig, [100], OLDER) == ["550"]
    assert codes(rig, [100], NEW) == ["250"]
    [row] = rig.report()
    assert (row.out_of_date, row.stage, row.build) == (True, 8, OLDER)


def test_the_cmdlets_output_has_the_dates_and_rates_of_the_one_example_known():
    """First detected 28 March 2024 00:15:08; throttled from 27 April, blocked from 27 May, same time of day.

    On 20 May the next stage throttles 20 minutes. Its day there (23 May) is six later than the nominal one,
    as after six days of pause.
    """
    first = datetime(2024, 3, 28, 0, 15, 8, tzinfo=UTC)
    rig = Rig({"compliance": {"require": ["floor"]}}, start=first.timestamp())
    rig.ask(trace("15.1.2507.16", "Exch1.bear.local"))
    rig.gate.holds = Holds(
        pauses=(Pause("p", "default", datetime(2024, 4, 9, tzinfo=UTC).timestamp(), 6, first.timestamp()),)
    )
    rig.clock.now = datetime(2024, 5, 20, tzinfo=UTC).timestamp()

    [row] = rig.report()
    shown = {name: getattr(row, name) for name in row.__struct_fields__[:10]}

    recommended = shown.pop("recommended_build_versions")
    assert shown == {
        "server_fqdn": "exch1.bear.local",
        "build": "15.1.2507.16",
        "exchange_server": "Exchange Server 2016",
        "first_detected_date": first,
        "throttle_enabled_date": datetime(2024, 4, 27, 0, 15, 8, tzinfo=UTC),
        "blocking_enabled_date": datetime(2024, 5, 27, 0, 15, 8, tzinfo=UTC),
        "next_stage_throttle_rate": 20,
        "next_stage_block_rate": 0,
        "next_stage_start_date": datetime(2024, 5, 23, 0, 15, 8, tzinfo=UTC),
    }
    assert "15.1.2507.39" in recommended
    assert row.least_accepted_build == "15.1.2507.31"


def test_the_ladder_goes_by_the_highest_build_that_the_server_has_shown():
    """An older stamp does not put it on a ladder of its own: report and reply would not agree."""
    rules = [{"use": "urgent", "builds": ["15.1.2507.16"]}]
    rig = Rig({"ladder_rules": rules})
    for day in range(0, 30, 3):
        codes(rig, [day], OLD)
        codes(rig, [day], OLDER)

    assert {entry.decision.ladder for entry in rig.entries} == {"exchange-online"}
    assert rig.report()[0].stage == 1


@pytest.mark.parametrize("ladder", ["urgent", "gentle"])
def test_another_ladder_after_a_reload_skips_no_notice(ladder):
    """Chosen on day 25: nobody is refused before the days that were promised are over."""
    rig = Rig()
    codes(rig, range(0, 26, 5))
    rig.reload({"ladder": ladder})

    assert set(codes(rig, range(26, 30))) == {"250"}
    assert rig.entries[-1].decision.ladder == ladder
    assert rig.entries[-1].decision.stage == 1


def test_a_catalogue_that_learns_late_of_an_exploited_hole_skips_no_notice():
    """The hole was listed years ago, and the urgent ladder is for such: it begins with the import."""
    ignorant = Catalogue(
        CATALOGUE.products,
        [msgspec.structs.replace(flaw, exploited=None) for flaw in CATALOGUE.flaws],
        CATALOGUE.sources,
        CATALOGUE.date,
    )
    policy = {"ladder_rules": [{"use": "urgent", "exploited": True}]}
    rig = Rig(policy, catalogue=ignorant)
    codes(rig, range(0, 26, 5), OLDER)
    assert rig.entries[-1].decision.ladder == "exchange-online"
    rig.reload(policy, CATALOGUE)

    assert set(codes(rig, range(26, 30), OLDER)) == {"250"}
    assert (rig.entries[-1].decision.ladder, rig.entries[-1].decision.stage) == ("urgent", 1)
    codes(rig, [31], OLDER)
    assert (rig.entries[-1].decision.ladder, rig.entries[-1].decision.stage) == ("urgent", 2)
