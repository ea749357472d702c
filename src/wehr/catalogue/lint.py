"""What is wrong with catalogue files, beyond what keeps them from being read. Pure."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import pairwise

from msgspec import Struct

from wehr.catalogue import assemble
from wehr.catalogue.catalogue import Catalogue
from wehr.catalogue.document import (
    BuildRow,
    CatalogueError,
    Document,
    ProductEntry,
    build_rows,
    exploit_rows,
    fix_rows,
)
from wehr.catalogue.facts import DISPUTED, VARIANT, Branch, Flaw, Known, Product
from wehr.evidence.build import format_build

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHLY = re.compile(rf"({'|'.join(_MONTHS)})(\d\d)(?:SU|HU)(?:v\d)?")
_OTHER = re.compile(r"RU\d+(?:v\d)?|post-SP\d|SU-\d{4}-\d\d-\d\d")


class Finding(Struct, frozen=True, order=True):
    """One thing that is wrong, where, and with what."""

    file: str
    subject: str
    text: str


def lint(documents: Sequence[Document]) -> tuple[Finding, ...]:
    """Everything found in files that belong together, in the order of the files and subjects."""
    found = [finding for document in documents for finding in _document(document, documents)]
    try:
        catalogue = Catalogue.of(documents)
    except CatalogueError as error:
        return (*sorted(found), Finding("", "", str(error)))
    entries = {entry.name: entry for document in reversed(documents) for entry in document.product}
    for product in catalogue.products:
        found += _product(product, entries[product.name], catalogue)
        for branch in product.branches:
            found += _branch(product, branch, entries[product.name])
    for flaw in catalogue.flaws:
        found += _flaw(flaw)
    found += _strays(documents, catalogue)
    return tuple(sorted(found))


def _document(document: Document, documents: Sequence[Document]) -> Iterator[Finding]:
    try:
        builds = [(entry, list(build_rows(document, entry))) for entry in document.product]
        fixes = list(fix_rows(document))
        exploits = list(exploit_rows(document))
    except CatalogueError as error:
        yield Finding(document.name, "", str(error))
        return
    for entry, rows in builds:
        yield from _table(document, entry, rows)
    for table, cves in (("fixes", [row.cve for row in fixes]), ("exploited", [row.cve for row in exploits])):
        for cve, count in Counter(cves).items():
            if count > 1:
                yield Finding(document.name, cve, f"stands {count} times in {table}")
    if fixes and not document.software:
        yield Finding(document.name, "software", "is missing; without it the fixes are nobody's")
    used = {tag for row in fixes for tag in row.sources} | {tag for row in exploits for tag in row.sources}
    used |= {tag for _, rows in builds for row in rows for tag in row.sources}
    used |= {tag for entry in document.product for tag in _entry_sources(entry) if tag}
    for tag in sorted(used - assemble.sources(documents).keys()):
        yield Finding(document.name, tag, "is no known source; add it to [sources]")


def _table(document: Document, entry: ProductEntry, rows: Sequence[BuildRow]) -> Iterator[Finding]:
    for build, count in Counter(row.build for row in rows).items():
        if count > 1:
            yield Finding(document.name, format_build(build), f"stands {count} times in {entry.name}")
    for before, after in pairwise(rows):
        if after.build < before.build:
            text = f"stands below {format_build(before.build)}; order by build"
            yield Finding(document.name, format_build(after.build), text)
    for row in rows:
        if document.date and row.released > document.date:
            text = f"released {row.released}, after the file's own date"
            yield Finding(document.name, format_build(row.build), text)


def _entry_sources(entry: ProductEntry) -> tuple[str, ...]:
    return entry.source, entry.branch_ends_source, entry.security_source


def _product(product: Product, entry: ProductEntry, catalogue: Catalogue) -> Iterator[Finding]:
    def finding(text: str) -> Finding:
        return Finding("", product.name, text)

    if not product.branches:
        yield finding("has no builds")
    if product.successor and product.successor not in {one.name for one in catalogue.products}:
        yield finding(f"has an unknown successor, {product.successor!r}")
    ends = [day for day in (product.mainstream_ends, product.support_ends) if day]
    ends += [day for period in product.esu for day in period]
    if [product.released, *ends] != sorted([product.released, *ends]):
        yield finding("its dates are out of order: released, mainstream_ends, support_ends, esu")
    labels = {branch.label for branch in product.branches}
    for label in sorted(entry.branch_ends.keys() - labels):
        yield finding(f"branch_ends names {label!r}, which is no branch")
    names = {
        name
        for branch in product.branches
        for row in branch.builds
        for name in (row.name, f"{row.label} {row.name}")
    }
    for name in sorted({*entry.security, *entry.after_end} - names):
        yield finding(f"names the update {name!r}, which is in no table")
    for label, count in Counter(branch.label for branch in product.branches).items():
        if count > 1 and label != "Preview":
            yield finding(f"{count} branches are called {label!r}")


def _branch(product: Product, branch: Branch, entry: ProductEntry) -> Iterator[Finding]:
    rows = [row for row in branch.builds if row.status != DISPUTED]
    if not rows:
        yield Finding("", f"{product.name} {branch.label}", "has disputed builds only")
    if product.branch_numbers == 3 and sum(row.update is None for row in rows if row.label != "Preview") > 1:
        yield Finding("", f"{product.name} {branch.label}", "begins twice: one branch number, one CU")
    for before, after in pairwise(rows):
        if after.released < before.released and not (before.note or after.note):
            yield _about(
                after, f"is dated before {format_build(before.build)}; correct it, or say why in [notes]"
            )
    for row in rows:
        yield from _row(product, branch, row, entry)
    for name, count in Counter(row.name for row in rows if row.status != VARIANT).items():
        twins = [row for row in rows if row.name == name]
        if count > 1 and not name.startswith("post-") and not any(row.note for row in twins):
            yield _about(twins[-1], f"is a second {name} of {branch.label}; say why in [notes]")


def _row(product: Product, branch: Branch, row: Known, entry: ProductEntry) -> Iterator[Finding]:
    if row.released < product.released and row.label != "Preview" and not row.note:
        yield _about(row, f"is dated before {product.name} was released, {product.released}")
    if row.update is None:
        return
    named = _MONTHLY.fullmatch(row.update)
    if named:
        month = date(2000 + int(named[2]), _MONTHS.index(named[1]) + 1, 1)
        if row.released.replace(day=1) not in {month, (month + timedelta(days=31)).replace(day=1)}:
            yield _about(row, f"is called {row.update} but dated {row.released}")
    elif not _OTHER.fullmatch(row.update) and row.update != format_build(row.build):
        yield _about(row, f"has a name that is none of SU, HU, RU: {row.update!r}")
    last = max((period[1] for period in product.esu), default=product.support_ends)
    late = (last and row.released > last) or (
        branch.unsupported_from and row.released >= branch.unsupported_from
    )
    bound = any(tag.endswith("bound") for tag in row.sources)  # the day is the latest that it can be
    if late and not bound and {row.update, f"{row.label} {row.update}"}.isdisjoint(entry.after_end):
        yield _about(row, "came out after the end of support; correct a date, or name it in after_end")


def _flaw(flaw: Flaw) -> Iterator[Finding]:
    first = min((row.released for rows in flaw.fixed.values() for row in rows), default=None)
    if not flaw.fixed and not flaw.configuration:
        yield Finding("", flaw.cve, "is fixed by nothing")
    if first and flaw.cve.startswith("CVE-") and first.year < int(flaw.cve[4:8]) - 1:
        yield Finding("", flaw.cve, f"is fixed in {first.year}, long before it got its number")


def _strays(documents: Sequence[Document], catalogue: Catalogue) -> Iterator[Finding]:
    """What is said of builds and holes that stand nowhere."""
    builds = {
        format_build(row.build)
        for product in catalogue.products
        for branch in product.branches
        for row in branch.builds
    }
    cves = {flaw.cve for flaw in catalogue.flaws}
    for document in documents:
        for build, status in document.status.items():
            if build not in builds or status not in {DISPUTED, VARIANT}:
                yield Finding(
                    document.name, build, f"has status {status!r}: no such build, or no such status"
                )
        for subject in document.notes.keys() - builds - cves:
            yield Finding(document.name, subject, "has a note but stands in no table")
        for cve in {*document.published, *document.introduced} - cves:
            yield Finding(document.name, cve, "has a date or version but no fix")
        for row in exploit_rows(document):
            if row.cve not in cves:
                yield Finding(document.name, row.cve, "is exploited, but no table says what fixes it")


def _about(row: Known, text: str) -> Finding:
    return Finding("", format_build(row.build), text)
