"""How ``wehr catalogue`` shows what it found: tables for people, the documented JSON for programs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

import msgspec
import rich_click as click

from wehr.catalogue import Catalogue
from wehr.catalogue.changes import Change
from wehr.catalogue.facts import Product
from wehr.catalogue.types import Assessment, Note
from wehr.cli.output import print_table
from wehr.evidence.build import Build, format_build

NOTES = {
    Note.IN_BETWEEN: "between two known builds: counted as the lower",
    Note.BELOW_FIRST: "below the first known build of its branch: counted as that",
    Note.NEWER_THAN_CATALOGUE: "newer than the catalogue knows",
    Note.CANNOT_TELL: "this number does not show every update (Exchange: those from before May 2021)",
    Note.ESU: "a paid (ESU) update is installed",
    Note.UNKNOWN_BRANCH: "the catalogue knows no such branch",
    Note.UNKNOWN_PRODUCT: "the catalogue knows no such product",
}


def flaw_rows(
    catalogue: Catalogue, products: Sequence[Product], *, all_of_it: bool
) -> Iterator[dict[str, object]]:
    """The vulnerabilities of some products; with ``all_of_it`` also those that no build tells."""
    names = [product.name for product in products]
    families = {product.software for product in products}
    for flaw in catalogue.flaws:
        fixed = [row for name in names for row in flaw.fixed.get(name, ())]
        if fixed or (flaw.configuration and all_of_it and flaw.software in families):
            yield {
                "cve": flaw.cve,
                "fixed_by": flaw.update or None,
                "fixed_in": [format_build(row.build) for row in fixed],
                "exploited_since": flaw.exploited,
                "ransomware": flaw.ransomware,
                "note": flaw.note or None,
                "sources": flaw.sources,
            }


def build_rows(product: Product) -> Iterator[dict[str, object]]:
    """Every build of a product, disputed ones included."""
    for branch in product.branches:
        for row in branch.builds:
            yield {
                "product": product.name,
                "branch": row.label or None,
                "update": row.update,
                "build": format_build(row.build),
                "released": row.released,
                "kb": row.kb or None,
                "security": row.security,
                "esu": row.esu,
                "status": row.status or None,
                "note": row.note or None,
                "sources": row.sources,
            }


def product_row(product: Product) -> dict[str, object]:
    """A product and the newest that is known of it."""
    rows = [row for branch in product.branches for row in branch.builds if not row.status]
    newest = max(rows, key=lambda row: (row.released, row.build))
    return {
        "product": product.name,
        "software": product.software,
        "released": product.released,
        "support_ends": product.support_ends,
        "builds": len(rows),
        "newest": format_build(newest.build),
        "update": newest.name,
        "out_since": newest.released,
        "backported": product.backported,
    }


def _text(build: Build | None) -> str | None:
    return format_build(build) if build else None


def assessment_json(found: Assessment, day: date, catalogue: Catalogue) -> dict[str, object]:
    """The documented shape, which programs build on."""
    return {
        "product": found.product,
        "branch": found.branch,
        "update": found.update,
        "build": format_build(found.build),
        "released": found.released,
        "state": found.state,
        "branch_supported": found.branch_supported,
        "support_ends": found.support_ends,
        "missing_updates": [
            {**msgspec.structs.asdict(one), "build": format_build(one.build)} for one in found.missing_updates
        ],
        "vulnerabilities": [
            {
                "cve": one.cve,
                "fixed_in": _text(one.fixed_in),
                "fixed_released": one.fixed_released,
                "exploited": one.exploited is not None,
                "exploited_since": one.exploited,
                "ransomware": one.ransomware,
                "certain": one.certain,
            }
            for one in found.vulnerabilities
        ],
        "recommended_builds": [format_build(one) for one in found.recommended_builds],
        "software": found.software,
        "notes": found.notes,
        "missing_since": found.missing_since,
        "unsupported_since": found.unsupported_since,
        "esu_available": found.esu_available,
        "backported": found.backported,
        "at": day,
        "catalogue_date": catalogue.date,
    }


def show_assessment(found: Assessment, day: date, catalogue: Catalogue) -> None:
    """Print an assessment for people, with the sources of what it rests on."""
    name = " ".join(filter(None, (found.product or found.software, found.branch, found.update)))
    click.echo(f"{format_build(found.build)} is {name}: {found.state.upper()} on {day}.")
    row = catalogue.row_of(found.software, found.build)
    age = catalogue.age(day).days
    facts: list[tuple[str, object]] = [
        ("released", found.released),
        ("branch in support", "yes" if found.branch_supported else "no"),
        ("support ends", found.support_ends),
        *(("note", NOTES[note]) for note in found.notes),
        ("note", "distributions ship its fixes under the old version" if found.backported else ""),
        ("recommended", ", ".join(map(format_build, found.recommended_builds))),
        ("about the build", row.note if row else ""),
        *(("source", catalogue.sources.get(tag, tag)) for tag in (row.sources if row else ())),
        ("catalogue", f"of {catalogue.date}" + (f", {age} days old" if age else "")),
    ]
    for name, value in facts:
        if value:
            click.echo(f"  {name:<18} {value}")
    click.echo()
    if found.missing_updates:
        print_table(
            "Security updates missing",
            ["update", "build", "released", "kb", ""],
            [
                (
                    one.name,
                    format_build(one.build),
                    one.released,
                    one.kb,
                    _remark(certain=one.certain, esu=one.esu),
                )
                for one in found.missing_updates
            ],
        )
    if found.vulnerabilities:
        print_table(
            "Vulnerabilities",
            ["cve", "fixed in", "exploited since", "ransomware", ""],
            [
                (
                    one.cve,
                    _text(one.fixed_in),
                    one.exploited,
                    "known" if one.ransomware else "",
                    _remark(certain=one.certain),
                )
                for one in sorted(found.vulnerabilities, key=lambda one: one.exploited is None)
            ],
        )


def _remark(*, certain: bool, esu: bool = False) -> str:
    return ", ".join(filter(None, ("" if certain else "cannot tell", "paid (ESU)" if esu else "")))


def print_rows(title: str, rows: Sequence[Mapping[str, object]], leave_out: Sequence[str] = ()) -> None:
    """Print rows of the same keys; columns that hold nothing or that are left out are not shown."""
    columns = [key for key in (rows[0] if rows else ()) if any(row[key] for row in rows)]
    columns = [key for key in columns if key not in leave_out]
    titles = [column.replace("_", " ") for column in columns]
    print_table(title, titles, [[_cell(row[column]) for column in columns] for row in rows])


def print_products(title: str, products: Iterable[Product]) -> None:
    """Print products, each with the newest that is known of it."""
    print_rows(title, [product_row(one) for one in products], ("software", "released", "backported"))


def print_changes(found: Sequence[Change]) -> None:
    """Print figures that differ."""
    if not found:
        click.echo("Nothing differs.")
        return
    rows = [(one.subject, one.what, one.before or "-", one.after or "-") for one in found]
    print_table("Changes", ["", "", "before", "after"], rows)


def _cell(value: object) -> object:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return {True: "yes", False: ""}[value] if isinstance(value, bool) else value
