"""Compliance: each rule by itself, all of them together, and nothing on ignorance."""

from datetime import date, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import assessment, missing

from wehr.catalogue import load
from wehr.catalogue.types import Note, State, Vulnerability
from wehr.evidence.build import parse_build
from wehr.policy.compliance import EXCHANGE_ONLINE, MICROSOFT_FLOORS, Floor, Rules, complies, floor_for
from wehr.policy.selection import Wave

TODAY = date(2026, 11, 21)


def judged(rules: Rules, day: date = TODAY, **changes):
    """The answer for an assessment with these changes."""
    return complies(assessment(**changes), rules, day)


@pytest.mark.parametrize(
    ("build", "day", "ok"),
    [
        ("8.3.517.0", date(2023, 7, 31), True),
        ("8.3.517.0", date(2023, 8, 1), False),
        ("6.5.7654.4", TODAY, False),
        ("14.3.513.0", date(2023, 8, 31), True),
        ("14.3.513.0", date(2023, 9, 1), False),
        ("15.0.1497.48", date(2023, 11, 30), True),
        ("15.0.1497.48", date(2023, 12, 1), False),
        ("15.1.2507.16", date(2024, 2, 29), True),
        ("15.1.2507.16", date(2024, 3, 1), False),
        ("15.1.2507.31", date(2026, 9, 7), True),
        ("15.1.2507.31", date(2026, 9, 8), False),
        ("15.1.2375.37", date(2024, 3, 1), False),
        ("15.1.2507.61", TODAY, True),
        ("15.2.1748.38", date(2026, 9, 7), True),
        ("15.2.1748.38", TODAY, False),
        ("15.2.1748.39", TODAY, True),
        ("15.2.1544.35", TODAY, False),
        ("15.2.1544.36", TODAY, True),
        ("15.2.1258.39", TODAY, False),
        ("15.2.2562.17", TODAY, True),
    ],
)
def test_exchange_onlines_floors_hold_from_their_days(build, day, ok):
    """What Microsoft accepts on a day, as far as it is known."""
    assert judged(EXCHANGE_ONLINE, day, build=build).ok is ok


def test_every_floor_says_where_it_comes_from():
    """A figure without a source is a rumour."""
    assert all(floor.source for floor in MICROSOFT_FLOORS)


def test_a_floor_names_itself_in_the_answer():
    """The administrator is told the least build, and since when."""
    answer = judged(EXCHANGE_ONLINE, build="15.1.2507.58")

    assert answer.rule == "floor"
    assert "15.1.2507.61" in answer.why
    assert answer.since == date(2026, 9, 8)


def test_ones_own_later_floor_goes_before_microsofts():
    """The latest that fits decides; from one day, the narrowest."""
    own = Floor("15.2", date(2027, 1, 1), "15.2.2562.17")
    rules = Rules(require=("floor",), floors=(own,))

    assert floor_for("exchange", (15, 2, 1544, 36), rules, date(2026, 12, 31)).builds == "15.2.1544"
    assert floor_for("exchange", (15, 2, 1544, 36), rules, date(2027, 1, 1)) is own


def test_ones_own_floor_of_the_same_day_goes_before_microsofts():
    """It is the operator's house."""
    own = Floor("15.1", date(2026, 9, 8), "15.1.2507.31")

    assert floor_for("exchange", (15, 1, 2507, 40), Rules(floors=(own,)), TODAY) is own


def test_without_the_preset_only_ones_own_floors_hold():
    """`preset = "none"` leaves Microsoft's out."""
    rules = Rules(require=("floor",), preset="none")

    assert judged(rules, build="8.3.517.0").ok is True


def test_floors_are_for_one_software():
    """An Exim 4.96 is not an Exchange 4."""
    answer = judged(EXCHANGE_ONLINE, build="4.96", software="exim")

    assert answer.ok is True


@pytest.mark.parametrize(("text", "field"), [("x", "builds"), ("", "builds"), ("1.2.3.4.5.6", "least")])
def test_a_floor_that_cannot_be_read_is_refused(text, field):
    """A wrong figure in the configuration is an error, not a floor that never fits."""
    values = {"builds": "15.2", "least": "15.2.1.1", "since": TODAY} | {field: text + ".y"}

    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(values, Floor)


def test_a_security_update_may_be_missing_for_the_grace_days_and_not_longer():
    """Released on 8 August with 30 days of grace: fine until 7 September, not on the 8th."""
    rules = Rules(require=("current",), grace_days=30)

    assert judged(rules, date(2023, 9, 7)).ok is True
    answer = judged(rules, date(2023, 9, 8))
    assert (answer.ok, answer.rule, answer.since) == (False, "current", date(2023, 9, 8))
    assert "Aug23SU" in answer.why


def test_the_oldest_missing_update_is_the_one_that_convicts():
    """It tells since when the server is out of compliance."""
    both = (missing("Nov23SU", date(2023, 11, 14)), missing("Aug23SU", date(2023, 8, 8)))

    assert judged(Rules(require=("current",)), missing_updates=both).since == date(2023, 9, 8)


def test_paid_updates_are_demanded_only_where_the_policy_says_so():
    """A server without ESU is current with the last public update."""
    paid = (missing("Dec25SU", date(2025, 12, 9), esu=True),)

    assert judged(Rules(require=("current",)), missing_updates=paid).ok is True
    assert judged(Rules(require=("current",), demand_esu=True), missing_updates=paid).ok is False


def test_an_update_that_the_stamp_does_not_show_neither_clears_nor_convicts():
    """Until April 2021 the stamp shows the cumulative update only."""
    unsure = (missing("Mar21SU", date(2021, 3, 2), certain=False),)

    answer = judged(Rules(require=("current",)), missing_updates=unsure, notes=(Note.CANNOT_TELL,))
    assert answer.ok is None
    assert "Mar21SU" in answer.why


def test_a_sure_no_goes_before_a_cannot_tell():
    """One rule that is broken is enough, whatever the others cannot see."""
    unsure = (missing(certain=False),)

    assert judged(Rules(require=("current", "floor")), missing_updates=unsure).ok is False


def test_a_branch_that_gets_no_updates_while_its_product_does_is_not_current():
    """An abandoned cumulative update lacks what its successor gets, though no update is missing inside it."""
    values = {
        "build": "15.2.2562.61",
        "state": State.UNSUPPORTED,
        "branch_supported": False,
        "unsupported_since": date(2026, 10, 1),
        "missing_updates": (),
    }

    assert judged(Rules(require=("current",)), date(2026, 10, 30), **values).ok is True
    assert judged(Rules(require=("current",)), date(2026, 11, 30), **values).ok is False


def test_unsupported_is_out_of_compliance_only_where_support_is_required():
    """The last public update of 2016 meets Microsoft's floor; a stricter operator may require support."""
    values = {
        "build": "15.1.2507.61",
        "state": State.UNSUPPORTED,
        "branch_supported": False,
        "product_supported": False,
        "unsupported_since": date(2025, 10, 15),
    }

    assert judged(Rules(), **values).ok is True
    answer = judged(Rules(require=("supported",)), **values)
    assert (answer.ok, answer.rule, answer.since) == (False, "supported", date(2025, 10, 15))


def test_a_server_with_paid_updates_counts_as_supported_while_they_are_made():
    """ESU updates count where a server has them, and no longer than the programme runs."""
    values = {"build": "15.1.2507.63", "state": State.UNSUPPORTED, "notes": (Note.ESU,)}

    assert judged(Rules(require=("supported",)), esu_available=True, **values).ok is True
    assert judged(Rules(require=("supported",)), esu_available=False, **values).ok is False


def hole(cve="CVE-2021-26855", exploited=date(2021, 11, 3), certain=True):
    """A vulnerability of the build."""
    return Vulnerability(cve, (15, 1, 2176, 9), exploited, certain)


@pytest.mark.parametrize(
    ("holes", "ok"),
    [
        ((), True),
        ((hole(exploited=None),), True),
        ((hole(exploited=TODAY + timedelta(days=1)),), True),
        ((hole(exploited=TODAY),), False),
        ((hole(),), False),
        ((hole(certain=False),), None),
        ((hole(certain=False), hole("CVE-2023-21529", date(2026, 4, 13))), False),
    ],
)
def test_a_hole_known_to_be_exploited_convicts_if_it_is_certain(holes, ok):
    """Known on the day, and certainly there."""
    assert judged(Rules(require=("not-exploited",)), vulnerabilities=holes).ok is ok


def test_unknown_builds_cannot_be_told():
    """Nothing is refused on ignorance."""
    assert judged(Rules(), state=State.UNKNOWN).ok is None


def test_a_build_newer_than_the_catalogue_is_fine():
    """An old catalogue can only be too mild."""
    assert judged(Rules(), build="15.0.1497.99", notes=(Note.NEWER_THAN_CATALOGUE,)).ok is True


def test_a_version_under_which_distributions_backport_convicts_nobody():
    """Unless the operator believes that software's versions."""
    values = {"software": "exim", "build": "4.92", "backported": True}

    assert judged(Rules(), **values).ok is None
    assert judged(Rules(trust_versions=("exim",)), **values).ok is False


def test_no_rule_at_all_finds_no_fault():
    """An empty list requires nothing."""
    assert judged(Rules(require=())).ok is True


@pytest.mark.parametrize(
    ("build", "day", "rule"),
    [
        ("15.1.2507.61", TODAY, None),
        ("15.2.1748.39", TODAY, None),
        ("15.2.1544.36", TODAY, None),
        ("15.1.2507.58", TODAY, "floor"),
        ("15.0.1497.48", TODAY, "floor"),
        ("15.2.2562.17", TODAY, "current"),
        ("15.2.2562.17", date(2025, 8, 1), None),
        ("15.2.1118.40", date(2024, 3, 1), None),
        ("15.2.1118.40", date(2024, 6, 1), "current"),
    ],
)
def test_the_default_rules_on_the_built_in_catalogue(build, day, rule):
    """Last public updates are let in; SE without its updates and abandoned cumulative updates are not."""
    answer = complies(load().assess(parse_build(build), day), Rules(), day)

    assert (None if answer.ok else answer.rule) == rule


@given(
    st.lists(st.sampled_from(["supported", "current", "floor", "not-exploited"]), unique=True),
    st.sampled_from(["supported", "current", "floor", "not-exploited"]),
    st.sampled_from(list(State)),
    st.booleans(),
)
def test_one_more_rule_never_makes_a_policy_milder(required, more, state, certain):
    """All rules must hold, so that a no stays a no."""
    build = assessment(state=state, vulnerabilities=(hole(certain=certain),))
    before = complies(build, Rules(require=tuple(required)), TODAY)
    after = complies(build, Rules(require=(*required, more)), TODAY)

    assert before.ok is not False or after.ok is False


@pytest.mark.parametrize("wrong", ["abc", "15.", "15.1.2507.61.0.0.0", ""])
def test_what_is_no_build_is_refused_where_it_is_written(wrong):
    """Not with the first message, where it would be an error on every one."""
    with pytest.raises(msgspec.ValidationError, match="not the first numbers of a build"):
        msgspec.convert({"since": "2026-01-01", "builds": [wrong]}, Wave)
    with pytest.raises(msgspec.ValidationError, match=r"build number|first numbers|length"):
        msgspec.convert({"since": "2026-01-01", "builds": wrong}, Floor)
