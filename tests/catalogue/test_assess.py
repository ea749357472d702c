"""What the catalogue says of builds whose fate is known."""

import pickle
from datetime import date

import pytest

from wehr.catalogue import Catalogue, load
from wehr.catalogue.types import Assessment, Note, State
from wehr.evidence.build import format_build, parse_build

TODAY = date(2026, 11, 21)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """The built-in data."""
    return load()


def assess(
    catalogue: Catalogue, build: str, day: str = "2026-11-21", software: str = "exchange"
) -> Assessment:
    """One assessment, from texts."""
    return catalogue.assess(parse_build(build), date.fromisoformat(day), software)


def names(found: Assessment) -> list[str]:
    """The updates missing, with a question mark where it cannot be told."""
    return [one.name + ("" if one.certain else "?") for one in found.missing_updates]


@pytest.mark.parametrize(
    ("build", "day", "state"),
    [
        ("15.1.2507.61", "2025-10-14", State.CURRENT),  # the last public update, on the last day of support
        ("15.1.2507.61", "2025-10-15", State.UNSUPPORTED),
        ("15.1.2507.59", "2025-10-14", State.OUTDATED),
        ("15.1.2507.75", "2026-10-05", State.UNSUPPORTED),  # paid updates are no support
        ("15.2.1544.36", "2025-10-14", State.CURRENT),
        ("15.2.1544.36", "2025-10-15", State.UNSUPPORTED),
        ("15.2.1748.39", "2025-10-14", State.CURRENT),
        ("15.2.1258.39", "2025-02-09", State.CURRENT),
        ("15.2.1258.39", "2025-02-10", State.UNSUPPORTED),  # CU15 is out: CU13 is N-2
        ("15.0.1497.48", "2023-04-11", State.CURRENT),
        ("15.0.1497.48", "2023-04-12", State.UNSUPPORTED),
        ("15.0.1473.5", "2019-06-17", State.CURRENT),
        ("15.0.1473.5", "2019-06-18", State.UNSUPPORTED),  # CU23 only from then on
        ("15.1.2375.37", "2023-01-09", State.CURRENT),  # 2016 CU22 was patched beside CU23
        ("15.1.2375.37", "2023-01-10", State.UNSUPPORTED),  # until it was not
        ("15.1.2308.27", "2022-04-19", State.CURRENT),
        ("15.1.2308.27", "2022-04-20", State.UNSUPPORTED),
        ("15.2.2562.53", "2026-11-21", State.CURRENT),
        ("15.2.2562.49", "2026-11-21", State.OUTDATED),
        ("15.2.2562.17", "2025-07-01", State.CURRENT),
        ("14.3.513.0", "2020-10-13", State.CURRENT),
        ("14.3.513.0", "2021-03-02", State.UNSUPPORTED),
        ("14.2.390.3", "2014-04-08", State.CURRENT),
        ("14.2.390.3", "2014-04-09", State.UNSUPPORTED),
        ("8.3.517.0", "2017-04-11", State.CURRENT),
        ("8.3.83.6", "2026-11-21", State.UNSUPPORTED),
        ("6.5.7654.4", "2014-04-09", State.UNSUPPORTED),
        ("5.5.2653", "2006-01-11", State.UNSUPPORTED),
        ("4.0.996", "2026-11-21", State.UNSUPPORTED),
    ],
)
def test_the_state_changes_on_the_day_that_the_rules_say(
    catalogue: Catalogue, build: str, day: str, state: State
) -> None:
    """Product ends are inclusive, a branch falls out on the day that the CU after next appears."""
    found = assess(catalogue, build, day)
    assert found.state is state
    assert found.branch_supported is (state is not State.UNSUPPORTED)


def test_a_fully_described_assessment(catalogue: Catalogue) -> None:
    """2016 CU23 with the last public update, in the time of paid updates."""
    found = assess(catalogue, "15.01.2507.061", "2026-03-01")
    assert (found.product, found.branch, found.update) == ("Exchange Server 2016", "CU23", "Oct25SU")
    assert found.branch_key == (15, 1, 2507)
    assert found.released == date(2025, 10, 14)
    assert found.support_ends == date(2025, 10, 14)
    assert found.unsupported_since == date(2025, 10, 15)
    assert [(one.name, one.esu, one.kb) for one in found.missing_updates] == [
        ("Dec25SU", True, "KB5071873"),
        ("Feb26SU", True, "KB5074995"),
    ]
    assert found.missing_since is None, "nobody must buy updates"
    assert found.esu_available
    assert found.notes == ()
    assert {one.cve for one in found.vulnerabilities} == {
        "CVE-2025-64666",
        "CVE-2025-64667",
        "CVE-2026-21527",
    }
    assert [format_build(one) for one in found.recommended_builds] == ["15.2.2562.37"]


def test_a_server_with_paid_updates_is_held_to_the_later_ones(catalogue: Catalogue) -> None:
    """Whoever has bought them misses those that came after."""
    found = assess(catalogue, "15.1.2507.63", "2026-03-01")
    assert Note.ESU in found.notes
    assert found.missing_since == date(2026, 2, 10)
    assert [format_build(one) for one in found.recommended_builds] == ["15.2.2562.37", "15.1.2507.66"]


def test_between_the_periods_nothing_is_on_sale(catalogue: Catalogue) -> None:
    """Period 1 ended on 2026-04-14, period 2 began on 2026-05-01."""
    assert not assess(catalogue, "15.1.2507.66", "2026-04-20").esu_available
    assert assess(catalogue, "15.1.2507.66", "2026-05-01").esu_available
    assert not assess(catalogue, "15.1.2507.66", "2026-11-01").esu_available


def test_before_may_2021_the_stamp_neither_convicts_nor_clears(catalogue: Catalogue) -> None:
    """A bare CU19 in March 2021 may or may not have been patched against ProxyLogon."""
    found = assess(catalogue, "15.1.2176.2", "2021-03-20")
    assert found.state is State.CURRENT
    assert found.notes == (Note.CANNOT_TELL,)
    assert names(found) == ["Feb21SU?", "Mar21SU?"]
    assert found.missing_since is None
    logon = next(one for one in found.vulnerabilities if one.cve == "CVE-2021-26855")
    assert not logon.certain
    assert logon.exploited is None, "CISA's list began in November 2021"


def test_from_may_2021_on_it_convicts(catalogue: Catalogue) -> None:
    """May21SU shows, so a bare CU19 misses it for certain; what came before stays open."""
    found = assess(catalogue, "15.1.2176.2", "2021-05-11")
    assert found.state is State.OUTDATED
    assert found.missing_since == date(2021, 5, 11)
    assert names(found)[-2:] == ["Apr21SU?", "May21SU"]
    assert Note.CANNOT_TELL not in found.notes, "there is nothing left to be told"


def test_a_branch_that_never_got_the_fix_lacks_it_for_certain(catalogue: Catalogue) -> None:
    """CU17 had no Apr21SU that could hide."""
    holes = {one.cve: one for one in assess(catalogue, "15.1.2044.4").vulnerabilities}
    assert not holes["CVE-2021-26855"].certain
    shell = holes["CVE-2021-34473"]
    assert shell.certain
    assert shell.fixed_in == (15, 1, 2176, 12), "the nearest newer branch that got it"
    assert shell.exploited == date(2021, 11, 3)
    assert shell.ransomware


def test_a_past_day_knows_only_what_was_out(catalogue: Catalogue) -> None:
    """ProxyShell was fixed in April and told in July 2021, listed in November."""
    holes = {
        day: {one.cve: one for one in assess(catalogue, "15.1.2242.4", day).vulnerabilities}
        for day in ("2021-07-12", "2021-07-13", "2021-11-02", "2021-11-03")
    }
    assert "CVE-2021-34473" not in holes["2021-07-12"]
    assert holes["2021-07-13"]["CVE-2021-34473"].exploited is None
    assert holes["2021-11-02"]["CVE-2021-34473"].exploited is None
    assert holes["2021-11-03"]["CVE-2021-34473"].exploited == date(2021, 11, 3)


def test_a_branch_end_that_lies_ahead_is_not_foretold(catalogue: Catalogue) -> None:
    """In January 2021 nobody knew when CU19 would be displaced."""
    assert assess(catalogue, "15.1.2176.2", "2021-01-10").support_ends == date(2025, 10, 14)
    assert assess(catalogue, "15.1.2176.2", "2021-07-01").support_ends == date(2021, 6, 29)


def test_a_build_between_two_known_ones_counts_as_the_lower(catalogue: Catalogue) -> None:
    """Builds that no table has are seen in real mail."""
    found = assess(catalogue, "15.1.2375.34", "2022-12-01")
    assert found.notes == (Note.IN_BETWEEN,)
    assert (found.update, names(found)) == ("Oct22SU", ["Nov22SU"])
    rollup = assess(catalogue, "14.3.498.0")
    assert (rollup.branch, rollup.update, names(rollup)) == ("SP3", "RU30", ["RU31", "RU32"])
    assert [(one.cve, one.certain) for one in rollup.vulnerabilities] == [("CVE-2020-17144", True)]


def test_a_build_below_the_first_counts_as_the_first(catalogue: Catalogue) -> None:
    """15.1.2507.1 is no worse than CU23 as it was released."""
    low, first = assess(catalogue, "15.1.2507.1"), assess(catalogue, "15.1.2507.6")
    assert low.notes == (Note.BELOW_FIRST,)
    assert low.missing_updates == first.missing_updates
    assert low.vulnerabilities == first.vulnerabilities


def test_a_disputed_build_counts_for_nothing(catalogue: Catalogue) -> None:
    """One source alone calls 15.1.1415.8 Mar21SU."""
    found = assess(catalogue, "15.1.1415.8")
    assert found.notes == (Note.IN_BETWEEN,)
    assert found.update == "May18SU"
    assert [one.build for one in found.missing_updates] == [(15, 1, 1415, 10)]


def test_a_second_number_of_one_rollup_is_not_demanded(catalogue: Catalogue) -> None:
    """Two tables number RU16 of 2010 SP3 differently: neither number convicts the other."""
    found = assess(catalogue, "14.3.336.0")
    assert "RU16" not in names(found)
    assert assess(catalogue, "14.3.339.0").update == "RU16"


def test_a_newer_build_than_the_catalogue_knows(catalogue: Catalogue) -> None:
    """It is current where its branch is supported; an end of support stays an end."""
    newer = assess(catalogue, "15.2.2562.99")
    assert (newer.state, newer.notes) == (State.CURRENT, (Note.NEWER_THAN_CATALOGUE,))
    ended = assess(catalogue, "15.1.2507.99")
    assert ended.state is State.UNSUPPORTED
    assert ended.notes == (Note.NEWER_THAN_CATALOGUE, Note.ESU)
    assert ended.missing_since is None
    early = assess(catalogue, "15.1.2507.61", "2023-01-01")
    assert (early.state, early.notes) == (State.CURRENT, (Note.NEWER_THAN_CATALOGUE,))


def test_a_branch_above_all_is_a_newer_release(catalogue: Catalogue) -> None:
    """CU1 of SE, whenever it comes."""
    found = assess(catalogue, "15.2.9999.1")
    assert (found.product, found.branch, found.state) == ("Exchange Server SE", None, State.CURRENT)
    assert found.notes == (Note.NEWER_THAN_CATALOGUE,)
    assert found.branch_supported
    assert found.recommended_builds == ((15, 2, 2562, 53),)


@pytest.mark.parametrize(
    ("build", "product", "note"),
    [
        ("15.1.9999.1", "Exchange Server 2016", Note.UNKNOWN_BRANCH),
        ("15.2.1500.1", "Exchange Server 2019", Note.UNKNOWN_BRANCH),
        ("15.0.100.1", None, Note.UNKNOWN_PRODUCT),
        ("15.20.7000.12", None, Note.UNKNOWN_PRODUCT),
        ("14.4.1.1", "Exchange Server 2010", Note.UNKNOWN_BRANCH),
        ("9.0.1.1", None, Note.UNKNOWN_PRODUCT),
        ("99.99", None, Note.UNKNOWN_PRODUCT),
    ],
)
def test_what_is_unknown_is_called_unknown(
    catalogue: Catalogue, build: str, product: str | None, note: Note
) -> None:
    """Exchange Online, old clouds and invented numbers."""
    found = assess(catalogue, build)
    assert (found.state, found.product, found.notes) == (State.UNKNOWN, product, (note,))
    assert not found.missing_updates
    assert catalogue.product_of("exchange", parse_build(build)) == product


def test_other_software_is_marked_where_distributions_backport(catalogue: Catalogue) -> None:
    """A version of Exim or Sendmail convicts nobody by itself."""
    old = assess(catalogue, "4.91", "2019-06-10", "exim")
    assert old.backported
    assert old.state is State.UNSUPPORTED
    assert [one.cve for one in old.vulnerabilities] == ["CVE-2019-10149"]
    older = assess(catalogue, "4.86.2", "2019-06-10", "exim")
    assert [one.cve for one in older.vulnerabilities] == ["CVE-2018-6789"], "4.87 brought the other"
    assert assess(catalogue, "8.17.1", software="sendmail").backported
    assert not assess(catalogue, "24.5.0", software="mdaemon").backported
    assert [one.cve for one in assess(catalogue, "24.5.0", software="mdaemon").vulnerabilities] == [
        "CVE-2024-11182"
    ]


def test_a_bare_zimbra_version_does_not_say_which_patch_it_has(catalogue: Catalogue) -> None:
    """Up to 9.0.0 only support is certain, and a named patch clears; from 10 on the third number tells."""
    bare = assess(catalogue, "9.0.0", "2024-11-01", "zimbra")
    assert (bare.state, bare.notes) == (State.CURRENT, (Note.CANNOT_TELL,))
    assert {one.cve: one.certain for one in bare.vulnerabilities}["CVE-2024-45519"] is False
    assert not assess(catalogue, "9.0.0.41", "2024-11-01", "zimbra").vulnerabilities
    assert assess(catalogue, "9.0.0.44", "2025-04-01", "zimbra").state is State.UNSUPPORTED
    old = assess(catalogue, "8.8.15", "2024-01-01", "zimbra")
    assert (old.state, any(one.certain for one in old.vulnerabilities)) == (State.UNSUPPORTED, False)
    numbered = assess(catalogue, "10.1.0", "2024-11-01", "zimbra")
    assert (numbered.state, numbered.backported) == (State.OUTDATED, False)
    assert [(one.cve, one.certain) for one in numbered.vulnerabilities] == [("CVE-2024-45519", True)]


def test_exim_versions_are_ordered_by_number(catalogue: Catalogue) -> None:
    """4.100 comes after 4.99.5."""
    assert assess(catalogue, "4.99.5", software="exim").state is State.UNSUPPORTED
    assert assess(catalogue, "4.100", software="exim").state is State.OUTDATED
    assert assess(catalogue, "4.100.1", software="exim").state is State.CURRENT
    assert assess(catalogue, "4.101", software="exim").notes == (Note.NEWER_THAN_CATALOGUE,)


def test_software_nobody_knows(catalogue: Catalogue) -> None:
    """It is unknown, and nothing throws."""
    assert assess(catalogue, "3.1", software="nosuch").notes == (Note.UNKNOWN_PRODUCT,)


def test_the_age_is_told_and_grows_stale_after_sixty_days(catalogue: Catalogue) -> None:
    """The built-in data is of 2026-10-08."""
    assert catalogue.date == date(2026, 10, 8)
    assert catalogue.age(date(2026, 10, 1)).days == 0
    assert not catalogue.stale(date(2026, 12, 7))
    assert catalogue.stale(date(2026, 12, 8))


def test_a_catalogue_can_be_sent_to_another_process(catalogue: Catalogue) -> None:
    """Surveys run over many processes."""
    copy = pickle.loads(pickle.dumps(catalogue))  # noqa: S301 - its own bytes
    assert copy.assess((15, 1, 2507, 61), TODAY) == catalogue.assess((15, 1, 2507, 61), TODAY)


@pytest.mark.parametrize(
    ("build", "esu", "asked"),
    [
        ("15.1.2507.58", False, ["Oct25SU"]),  # what costs money is asked for of nobody,
        ("15.1.2507.58", True, ["Oct25SU", "Dec25SU"]),  # unless somebody demands it,
        ("15.1.2507.63", False, ["Feb26SU", "Jun26SU"]),  # or who has paid lacks what came since
        ("15.1.2507.61", False, []),
    ],
)
def test_paid_updates_are_asked_for_of_those_who_have_some(
    build: str, esu: bool, asked: list[str], catalogue: Catalogue
) -> None:
    """And of all where that is said."""
    found = assess(catalogue, build).asked(esu=esu)

    assert [it.name for it in found][:2] == asked


def test_holes_that_are_attacked_are_those_that_it_has_for_certain(catalogue: Catalogue) -> None:
    """Of those that it may have, nobody can tell."""
    found = assess(catalogue, "15.1.2176.2")
    attacked = {it.cve for it in found.attacked}

    assert "CVE-2021-26855" in {it.cve for it in found.vulnerabilities if it.exploited} - attacked
    assert "CVE-2022-41040" in attacked
    assert "CVE-2021-24085" not in attacked  # nobody is known to use it


def test_a_release_is_called_as_its_vendor_does(catalogue: Catalogue) -> None:
    """Its product, its branch, and the update in it."""
    found = catalogue.release_of("exchange", parse_build("15.1.2507.61"))

    assert found is not None
    assert (found.product, found.name) == ("Exchange Server 2016", "CU23 Oct25SU")
    assert (found.build, found.kb, found.released) == ("15.1.2507.61", "KB5066369", date(2025, 10, 14))
    assert catalogue.release_of("exchange", parse_build("15.1.9999.7")) is None
