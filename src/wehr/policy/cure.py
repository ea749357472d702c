"""What would bring a server back into compliance: the least build that the policy accepts today."""

from datetime import date
from functools import lru_cache

from wehr.catalogue import Catalogue
from wehr.catalogue.facts import DISPUTED
from wehr.evidence.build import Build
from wehr.policy.compliance import Rules, complies


@lru_cache(maxsize=4096)
def least_accepted(
    catalogue: Catalogue, software: str, build: Build, rules: Rules, day: date
) -> Build | None:
    """The least known build, above the one given, that the rules accept on the day; None if there is none.

    One of its own branch if any will do, for that is the smallest step; else one of its product. It is not
    what the catalogue recommends: the policy may accept what has known holes or is out of support.
    """
    product, branch = catalogue.branch_of(software, build)
    for branches in ((branch,) if branch else (), product.branches if product else ()):
        known = sorted(
            row.build
            for one in branches
            for row in one.builds
            if row.build > build and row.status != DISPUTED and row.released <= day
        )
        for candidate in known:
            if complies(catalogue.assess(candidate, day, software), rules, day).ok:
                return candidate
    return None
