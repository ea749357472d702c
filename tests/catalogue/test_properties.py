"""What must hold for every build and every day."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from wehr.catalogue import load
from wehr.catalogue.facts import DISPUTED
from wehr.catalogue.types import Note, State
from wehr.evidence.build import format_build, parse_build

CATALOGUE = load()
BRANCHES = [(product, branch) for product in CATALOGUE.products for branch in product.branches]

days = st.dates(date(1996, 1, 1), date(2030, 12, 31))
branches = st.sampled_from(BRANCHES)
tails = st.integers(0, 3000)
software = st.sampled_from([*CATALOGUE.software(), "exchange-online", "nosuch"])
wild = st.lists(st.integers(0, 10**9 - 1), max_size=6).map(tuple)


def inside(branch: tuple[int, ...], *rest: int) -> tuple[int, ...]:
    """A build of a branch."""
    return (*branch, *rest)


@given(wild, days, software)
def test_it_never_throws_and_convicts_only_what_it_knows(
    build: tuple[int, ...], day: date, family: str
) -> None:
    """Any numbers at all: an answer, and nothing held against what is unknown."""
    found = CATALOGUE.assess(build, day, family)
    if found.state is State.UNKNOWN:
        assert not found.missing_updates
        assert not found.vulnerabilities
    assert (found.state is State.OUTDATED) <= (found.missing_since is not None)
    assert (found.state is State.UNSUPPORTED) == (found.unsupported_since is not None)


@given(branches, st.lists(tails, min_size=2, max_size=2), st.lists(tails, min_size=2, max_size=2), days)
def test_a_higher_build_of_a_branch_never_misses_more(
    where: tuple[object, ...], one: list[int], other: list[int], day: date
) -> None:
    """The same day, the same branch: what the higher lacks, the lower lacks too."""
    product, branch = where
    low, high = sorted([inside(branch.key, *one), inside(branch.key, *other)])
    below = CATALOGUE.assess(low, day, product.software)
    above = CATALOGUE.assess(high, day, product.software)
    assert set(above.missing_updates) <= set(below.missing_updates)
    assert {hole.cve for hole in above.vulnerabilities} <= {hole.cve for hole in below.vulnerabilities}


@given(branches, tails, days, st.integers(0, 4000))
def test_what_was_once_out_of_date_stays_so(
    where: tuple[object, ...], tail: int, day: date, later: int
) -> None:
    """Time heals nothing: an old catalogue can only be too mild."""
    product, branch = where
    build = inside(branch.key, tail)
    bad = {State.OUTDATED, State.UNSUPPORTED}
    before = CATALOGUE.assess(build, day, product.software)
    after = CATALOGUE.assess(build, day + timedelta(days=later), product.software)
    assert (before.state in bad) <= (after.state in bad)
    assert set(before.missing_updates) <= set(after.missing_updates)
    assert {hole.cve for hole in before.vulnerabilities} <= {hole.cve for hole in after.vulnerabilities}


@given(branches, tails, st.integers(0, 60), days)
def test_between_two_known_builds_the_lower_counts(
    where: tuple[object, ...], tail: int, more: int, day: date
) -> None:
    """Whatever lies between misses exactly what the known build below it misses."""
    product, branch = where
    build = inside(branch.key, tail, more)
    rows = sorted(row.build for row in branch.builds if row.status != DISPUTED)
    counts_as = max((row for row in rows if row <= build), default=rows[0])
    found = CATALOGUE.assess(build, day, product.software)
    known = CATALOGUE.assess(counts_as, day, product.software)
    assert found.missing_updates == known.missing_updates
    assert found.vulnerabilities == known.vulnerabilities
    assert (found.state, found.branch, found.update) == (known.state, known.branch, known.update)


@given(branches, tails, days)
def test_padding_changes_nothing(where: tuple[object, ...], tail: int, day: date) -> None:
    """15.01.2507.061 is 15.1.2507.61."""
    product, branch = where
    build = inside(branch.key, tail, 7)
    padded = ".".join(f"{part:03}" for part in build)
    assert CATALOGUE.assess(parse_build(padded), day, product.software) == CATALOGUE.assess(
        parse_build(format_build(build)), day, product.software
    )


@given(branches, days)
def test_recommended_builds_are_fit_to_run(where: tuple[object, ...], day: date) -> None:
    """Newest first, each of them out by then and not itself out of date, but for paid updates."""
    product, branch = where
    found = CATALOGUE.assess(branch.builds[-1].build, day, product.software)
    assert list(found.recommended_builds) == sorted(found.recommended_builds, reverse=True)
    for build in found.recommended_builds:
        there = CATALOGUE.assess(build, day, product.software)
        assert there.released is not None
        assert there.released <= day
        assert there.missing_since is None
        assert there.state is State.CURRENT or Note.ESU in there.notes
