"""The catalogue: products, builds and holes, and what it says of a build on a day."""

from datetime import date, timedelta
from http import HTTPStatus
from typing import Annotated, Final

from msgspec import Meta, Struct

from wehr.catalogue import links
from wehr.catalogue.facts import Flaw, Known
from wehr.catalogue.types import Assessment, State
from wehr.evidence import format_build, parse_build
from wehr.evidence.build import Build
from wehr.web.api.operation import Call, Found, Limit, Nothing, Operation, Place, part, problem, today
from wehr.web.pages import catalogue as page
from wehr.web.visit import Need

BuildText = Annotated[
    str, Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9}){1,5}$", description="Such as 15.1.2507.61.")
]
Software = Annotated[str, Meta(max_length=50, description="Such as exchange, exim.")]


class Hole(Struct, frozen=True):
    """A hole that a build has, or (``certain`` false) may have."""

    cve: str
    fixed_in: str | None
    fixed_released: date | None
    exploited: bool
    exploited_since: date | None
    ransomware: bool
    certain: bool


class Missing(Struct, frozen=True):
    """A security update that a build lacks."""

    name: str
    build: str
    released: date
    kb: str
    esu: bool
    certain: bool


class AssessmentShown(Struct, frozen=True):
    """What the catalogue says of a build on a day, as ``wehr catalogue assess --json`` does."""

    product: str | None
    branch: str | None
    update: str | None
    build: str
    released: date | None
    state: State
    branch_supported: bool
    support_ends: date | None
    missing_updates: tuple[Missing, ...]
    vulnerabilities: tuple[Hole, ...]
    recommended_builds: tuple[str, ...]
    software: str
    notes: tuple[str, ...]
    missing_since: date | None
    unsupported_since: date | None
    esu_available: bool
    backported: bool
    at: date
    catalogue_date: date


class BuildAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """Which build, and on which day; without one, today."""

    build: BuildText
    software: Software = "exchange"
    at: date | None = None


class BranchShown(Struct, frozen=True):
    """A branch and the newest that is known of it."""

    branch: str | None
    supported: bool
    support_ends: date | None
    builds: int
    newest: str
    update: str | None
    released: date


class ProductShown(Struct, frozen=True):
    """A product with its branches, the latest first."""

    product: str
    software: str
    released: date | None
    supported: bool
    support_ends: date | None
    backported: bool
    branches: tuple[BranchShown, ...]


class CatalogueShown(Struct, frozen=True):
    """What is known, and of when."""

    date: date
    age_days: int
    stale: bool
    products: tuple[ProductShown, ...]


class BuildsAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """Which builds, and which page of them. What is not given lets all through."""

    software: Annotated[str, Meta(max_length=50, description="Such as exchange, exim.")] = ""
    product: Annotated[str, Meta(max_length=200, description="Such as Exchange Server 2016.")] = ""
    branch: Annotated[str, Meta(max_length=50, description="Such as CU23.")] = ""
    after: Place = ""
    limit: Limit = 100


class BuildListed(Struct, frozen=True):
    """A build that was released."""

    product: str
    software: str
    branch: str
    build: str
    update: str
    """The update, or the branch for its first build."""
    released: date
    security: bool
    esu: bool
    kb: str
    article: str
    """The vendor's page of it; empty if there is none."""


class HolesAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """Which holes, and which page of them."""

    software: Annotated[str, Meta(max_length=50, description="Such as exchange, exim.")] = ""
    exploited: Annotated[bool | None, Meta(description="Whether it is known to be exploited.")] = None
    after: Place = ""
    limit: Limit = 100


class HoleListed(Struct, frozen=True):
    """A hole, with the builds that fix it."""

    cve: str
    software: str
    exploited_since: date | None
    ransomware: bool
    update: str
    """The update that fixes it."""
    fixed_in: dict[str, tuple[str, ...]]
    """By product: the build of each branch that got a fix. Others lack the hole."""
    record: str
    """The page of it at the CVE programme."""


async def _catalogue(call: Call[Nothing, None]) -> CatalogueShown:
    present, day = call.visit.house.present, today(call.visit)
    catalogue = present.catalogue
    return CatalogueShown(
        catalogue.date,
        catalogue.age(day).days,
        catalogue.stale(day, timedelta(days=present.facts.stale_after)),
        tuple(map(_product, page.products_of(catalogue, day))),
    )


def _product(it: page.ProductShown) -> ProductShown:
    branches = tuple(_branch(branch) for branch in it.branches if branch.builds)
    return ProductShown(
        it.name, it.software, it.released, it.supported, it.support_ends, it.backported, branches
    )


def _branch(it: page.Shown) -> BranchShown:
    newest = max(it.builds, key=lambda row: (row.released, row.build))
    return BranchShown(
        it.label,
        it.supported,
        it.support_ends,
        len(it.builds),
        format_build(newest.build),
        newest.update,
        newest.released,
    )


async def _builds(call: Call[BuildsAsked, None]) -> Found[BuildListed]:
    asked = call.query
    products = page.products_of(call.visit.house.present.catalogue, today(call.visit))
    found = [
        (product, branch, row)
        for product in products
        if asked.software in ("", product.software) and asked.product in ("", product.name)
        for branch in product.branches
        if asked.branch in ("", branch.label)
        for row in branch.builds
    ]
    return part(found, asked.after, asked.limit, _build)


def _build(it: tuple[page.ProductShown, page.Shown, Known]) -> BuildListed:
    product, branch, row = it
    return BuildListed(
        product.name,
        product.software,
        branch.label,
        format_build(row.build),
        row.name,
        row.released,
        row.security,
        row.esu,
        row.kb,
        links.article(row.kb),
    )


async def _holes(call: Call[HolesAsked, None]) -> Found[HoleListed]:
    asked = call.query
    found = [
        it
        for it in page.holes_of(call.visit.house.present.catalogue)
        if asked.software in ("", it.software) and asked.exploited in (None, it.exploited is not None)
    ]
    return part(found, asked.after, asked.limit, _hole)


def _hole(it: Flaw) -> HoleListed:
    fixed = {name: tuple(format_build(row.build) for row in rows) for name, rows in it.fixed.items()}
    return HoleListed(
        it.cve, it.software, it.exploited, it.ransomware, it.update, fixed, links.vulnerability(it.cve)
    )


async def _assess(call: Call[BuildAsked, None]) -> AssessmentShown:
    catalogue, asked = call.visit.house.present.catalogue, call.query
    day = asked.at or today(call.visit)
    found = catalogue.assess(numbers(asked.build), day, asked.software)
    return assessment_shown(found, day, catalogue.date)


def numbers(build: str) -> Build:
    """The numbers of a build.

    Raises:
        HTTPException: it is none (400).
    """
    try:
        return parse_build(build)
    except ValueError as error:
        raise problem(HTTPStatus.BAD_REQUEST, str(error)) from None


def assessment_shown(found: Assessment, day: date, of: date) -> AssessmentShown:
    """What the catalogue of a date says of a build on a day."""
    return AssessmentShown(
        product=found.product,
        branch=found.branch,
        update=found.update,
        build=format_build(found.build),
        released=found.released,
        state=found.state,
        branch_supported=found.branch_supported,
        support_ends=found.support_ends,
        missing_updates=tuple(
            Missing(it.name, format_build(it.build), it.released, it.kb, it.esu, it.certain)
            for it in found.missing_updates
        ),
        vulnerabilities=tuple(
            Hole(
                it.cve,
                format_build(it.fixed_in) if it.fixed_in else None,
                it.fixed_released,
                it.exploited is not None,
                it.exploited,
                it.ransomware,
                it.certain,
            )
            for it in found.vulnerabilities
        ),
        recommended_builds=tuple(map(format_build, found.recommended_builds)),
        software=found.software,
        notes=tuple(map(str, found.notes)),
        missing_since=found.missing_since,
        unsupported_since=found.unsupported_since,
        esu_available=found.esu_available,
        backported=found.backported,
        at=day,
        catalogue_date=of,
    )


OPERATIONS: Final = (
    Operation(
        "GET", "/catalogue", "get-catalogue", "What is known, and of when: products and branches.",
        "catalogue", Need.READ, _catalogue, CatalogueShown,
    ),
    Operation(
        "GET", "/catalogue/builds", "list-builds", "The builds with their updates and articles.",
        "catalogue", Need.READ, _builds, Found[BuildListed], BuildsAsked, paged=True,
    ),
    Operation(
        "GET", "/catalogue/holes", "list-holes", "The holes, those that are exploited first.",
        "catalogue", Need.READ, _holes, Found[HoleListed], HolesAsked, paged=True,
    ),
    Operation(
        "GET", "/catalogue/assessment", "assess-build", "What is known of a build, on any day.",
        "catalogue", Need.READ, _assess, AssessmentShown, BuildAsked,
    ),
)  # fmt: skip
