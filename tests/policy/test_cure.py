"""What would do: the least build that the policy accepts, which is not what the catalogue recommends."""

from datetime import date

import pytest

from wehr.catalogue import load
from wehr.evidence.build import parse_build
from wehr.policy import Rules, complies
from wehr.policy.compliance import EXCHANGE_ONLINE, Floor
from wehr.policy.cure import least_accepted

CATALOGUE = load()
DAY = date(2026, 11, 21)


def least(build, rules=None, day=DAY, software="exchange"):
    """As text, None if there is none."""
    found = least_accepted(CATALOGUE, software, parse_build(build), rules or Rules(), day)
    return ".".join(map(str, found)) if found else None


@pytest.mark.parametrize(
    ("build", "accepted"),
    [
        ("15.1.2507.17", "15.1.2507.61"),
        ("15.1.2507.18", "15.1.2507.61"),
        ("15.2.1748.30", "15.2.1748.39"),
        ("15.2.1118.7", "15.2.1544.36"),
        ("15.0.1497.48", None),
        ("8.3.83.6", None),
        ("99.1.1.1", None),
    ],
)
def test_the_smallest_step_that_will_do_is_named(build, accepted):
    """In the server's own branch, else in its product; where none of that is accepted, none."""
    assert least(build) == accepted


def test_it_follows_the_day():
    """In May 2024 the update of August 2023 was enough; on New Year 2023 nothing newer was out."""
    assert least("15.1.2507.17", EXCHANGE_ONLINE, date(2024, 5, 28)) == "15.1.2507.31"
    assert least("15.1.2507.17", EXCHANGE_ONLINE, date(2023, 1, 1)) is None


def test_what_is_not_out_yet_does_not_help():
    """Nor does a floor that only an unreleased build could meet."""
    floor = Floor("15.1", date(2026, 1, 1), "15.1.2507.9999")

    assert least("15.1.2507.17", Rules(require=("floor",), preset="none", floors=(floor,))) is None


@pytest.mark.parametrize("rules", [Rules(), EXCHANGE_ONLINE, Rules(require=("supported",))])
def test_of_every_known_build_the_answer_is_higher_and_accepted(rules):
    """And no known build of its branch between the two is."""
    for product in CATALOGUE.products:
        for branch in product.branches:
            for row in branch.builds:
                found = least_accepted(CATALOGUE, product.software, row.build, rules, DAY)
                if found is None:
                    continue
                assert found > row.build
                assert complies(CATALOGUE.assess(found, DAY, product.software), rules, DAY).ok
                between = [other.build for other in branch.builds if row.build < other.build < found]
                assert not any(
                    complies(CATALOGUE.assess(one, DAY, product.software), rules, DAY).ok
                    and CATALOGUE.row_of(product.software, one).build == one
                    for one in between
                )
