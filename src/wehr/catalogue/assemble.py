"""From catalogue files to facts: overlays laid over the built-in data, branches told by the numbers.

The branch decides, never the product name that a feed gives.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta

from wehr.catalogue.document import (
    BuildRow,
    CatalogueError,
    Document,
    FixRow,
    ProductEntry,
    build_rows,
    exploit_rows,
    fix_rows,
)
from wehr.catalogue.facts import DISPUTED, Branch, Flaw, Known, Product
from wehr.evidence.build import Build, format_build

_BASE = re.compile(r"RTM|Preview|SP\d+|CU\d+")
_AFTER = re.compile(r"post-(SP\d+)")
_SECURITY = re.compile(r"SU(?:v\d+)?$|^SU\b")
CONFIGURATION = "configuration"


def products(documents: Sequence[Document]) -> tuple[Product, ...]:
    """All products, in the order of the files; a later file adds to or corrects an earlier one.

    Raises:
        CatalogueError: a product without software or release day, a build outside every product's numbers.
    """
    entries: dict[str, ProductEntry] = {}
    rows: dict[str, dict[Build, BuildRow]] = {}
    status: dict[str, str] = {}
    notes: dict[str, str] = {}
    for document in documents:
        status.update(document.status)
        notes.update(document.notes)
        for entry in document.product:
            first = entries.setdefault(entry.name, entry)
            if first is entry and (not entry.software or entry.released is None):
                raise CatalogueError(
                    f"{document.name}: product {entry.name!r} is new here, so it needs software and released"
                )
            table = rows.setdefault(entry.name, {})
            for row in build_rows(document, entry):
                table[row.build] = row
    return tuple(
        _product(entry, sorted(rows[name].values(), key=lambda row: row.build), status, notes)
        for name, entry in entries.items()
    )


def flaws(documents: Sequence[Document], known: Sequence[Product]) -> tuple[Flaw, ...]:
    """All vulnerabilities; a later file adds branches to, or corrects, an earlier one.

    Raises:
        CatalogueError: a fix names an update or product that no table has.
    """
    found: dict[tuple[str, str], Flaw] = {}
    exploited = {row.cve: row for document in documents for row in exploit_rows(document)}
    published = {cve: day for document in documents for cve, day in document.published.items()}
    notes = {key: note for document in documents for key, note in document.notes.items()}
    by_update, by_build = _indices(known)
    for document in documents:
        introduced = {cve: _numbers(text) for cve, text in document.introduced.items()}
        for row in fix_rows(document):
            fixed = dict(_fixed(document, row, known, by_update, by_build))
            old = found.get((document.software, row.cve))
            exploit = exploited.get(row.cve)
            found[document.software, row.cve] = Flaw(
                cve=row.cve,
                software=document.software,
                fixed=_joined(old, fixed, known),
                update=row.update or (old.update if old else ""),
                published=published.get(row.cve),
                introduced=introduced.get(row.cve, old.introduced if old else None),
                exploited=exploit.listed if exploit else None,
                ransomware=bool(exploit and exploit.ransomware),
                configuration=row.update == CONFIGURATION,
                sources=tuple(dict.fromkeys((*(old.sources if old else ()), *row.sources))),
                note=notes.get(row.cve, ""),
            )
    return tuple(found.values())


def _product(
    entry: ProductEntry, rows: list[BuildRow], status: dict[str, str], notes: dict[str, str]
) -> Product:
    assert entry.released is not None  # noqa: S101 - checked where the entry was taken in
    groups: dict[Build, list[Known]] = {}
    for row in rows:
        group = groups.setdefault(row.build[: entry.branch_numbers], [])
        group.append(_known(entry, row, group, status, notes))
    opened = {
        key: next((one.released for one in group if one.update is None and one.label != "Preview"), None)
        for key, group in groups.items()
    }
    return Product(
        name=entry.name,
        software=entry.software,
        branch_numbers=entry.branch_numbers,
        released=entry.released,
        branches=tuple(_branch(entry, key, group, opened) for key, group in groups.items()),
        mainstream_ends=entry.mainstream_ends,
        support_ends=entry.support_ends,
        esu=entry.esu,
        successor=entry.successor,
        stamped_from=entry.stamped_from,
        backported=entry.backported,
        source=entry.source,
    )


def _known(
    entry: ProductEntry, row: BuildRow, group: list[Known], status: dict[str, str], notes: dict[str, str]
) -> Known:
    text = format_build(row.build)
    key = row.build[: entry.branch_numbers]
    after = _AFTER.fullmatch(row.update)
    update: str | None = row.update
    if _BASE.fullmatch(row.update):
        label, update = row.update, None
    elif after:
        label = after[1]
    elif group:
        label = group[-1].label
    else:  # the first of a branch that has no name but its numbers
        label, update = format_build(key) if key else "", None
    security = bool(_SECURITY.search(row.update)) or not {row.update, f"{label} {row.update}"}.isdisjoint(
        entry.security
    )
    return Known(
        build=row.build,
        label=label,
        update=update,
        released=row.released,
        kb=row.kb,
        sources=row.sources,
        security=security,
        esu=bool(entry.esu and entry.support_ends and row.released > entry.support_ends),
        status=status.get(text, ""),
        note=notes.get(text, ""),
    )


def _branch(entry: ProductEntry, key: Build, group: list[Known], opened: dict[Build, date | None]) -> Branch:
    bases = [one for one in group if one.update is None]
    label = bases[-1].label if bases else format_build(key)
    released = opened[key] or group[0].released
    ends = entry.branch_ends.get(label)
    since = ends + timedelta(days=1) if ends else _displaced(entry, key, opened, released)
    return Branch(
        key=key,
        label=label,
        product=entry.name,
        released=released,
        builds=tuple(group),
        unsupported_from=since,
        support_ends=ends or since,
    )


def _displaced(
    entry: ProductEntry, key: Build, opened: dict[Build, date | None], released: date
) -> date | None:
    """The first day on which the branch is not among the newest that are serviced ("N and N-1")."""
    if not entry.serviced:
        return None
    newer = sorted(day for other, day in opened.items() if day and other > key)
    if opened[key] is None:  # a preview: until the first release
        return newer[0] if newer else None
    for day in sorted({*newer, *(start for start, _ in entry.serviced)}):
        count = max((one for one in entry.serviced if one[0] <= day), default=(day, 0))[1]
        if count and day > released and sum(one <= day for one in newer) >= count:
            return day
    return None


def _indices(
    known: Sequence[Product],
) -> tuple[dict[tuple[str, str], list[Known]], dict[tuple[str, Build], tuple[Product, Known]]]:
    by_update: dict[tuple[str, str], list[Known]] = {}
    by_build: dict[tuple[str, Build], tuple[Product, Known]] = {}
    for product in known:
        for branch in product.branches:
            for one in branch.builds:
                if one.status != DISPUTED:
                    by_build[product.software, one.build] = product, one
                    by_update.setdefault((product.name, one.name), []).append(one)
    return by_update, by_build


def _fixed(
    document: Document,
    row: FixRow,
    known: Sequence[Product],
    by_update: dict[tuple[str, str], list[Known]],
    by_build: dict[tuple[str, Build], tuple[Product, Known]],
) -> Iterator[tuple[str, tuple[Known, ...]]]:
    if row.update == CONFIGURATION:
        return
    found: dict[str, list[Known]] = {}
    for build in row.builds:
        if (document.software, build) not in by_build:
            raise CatalogueError(
                f"{document.name}: {row.cve} is fixed in {format_build(build)}, which no builds table has; "
                "add the build there or correct the number"
            )
        product, one = by_build[document.software, build]
        found.setdefault(product.name, []).append(one)
    for short in row.products if not row.builds else ():
        names = [p.name for p in known if p.software == document.software and short == p.name.split()[-1]]
        rows = [one for name in names for one in by_update.get((name, row.update), ())]
        if not rows:
            raise CatalogueError(
                f"{document.name}: {row.cve}: product {short!r} has no update {row.update!r}; correct it"
            )
        found[names[0]] = rows
    for name, rows in found.items():
        yield name, tuple(sorted(rows, key=lambda one: one.build))


def _joined(
    old: Flaw | None, fixed: dict[str, tuple[Known, ...]], known: Sequence[Product]
) -> dict[str, tuple[Known, ...]]:
    """What an overlay says replaces the old figure of the same branch and leaves the others."""
    if old is None:
        return fixed
    numbers = {product.name: product.branch_numbers for product in known}
    joined = dict(old.fixed)
    for name, rows in fixed.items():
        table = {one.build[: numbers[name]]: one for one in (*joined.get(name, ()), *rows)}
        joined[name] = tuple(sorted(table.values(), key=lambda one: one.build))
    return joined


def _numbers(text: str) -> Build:
    return tuple(int(part) for part in text.split("."))


def sources(documents: Iterable[Document]) -> dict[str, str]:
    """What the tags stand for."""
    return {tag: text for document in documents for tag, text in document.sources.items()}
