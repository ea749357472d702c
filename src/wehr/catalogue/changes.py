"""What differs between two catalogues. Pure."""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from wehr.catalogue.catalogue import Catalogue
from wehr.evidence.build import format_build


class Change(Struct, frozen=True):
    """One figure that is new, gone or different; "" where there is none."""

    subject: str
    what: str
    before: str
    after: str


def changes(old: Catalogue, new: Catalogue) -> tuple[Change, ...]:
    """Every figure that differs: products, builds, vulnerabilities, in this order."""
    found = [*_compare(_products(old), _products(new)), *_compare(_builds(old), _builds(new))]
    found += _compare(_flaws(old), _flaws(new))
    if old.date != new.date:
        found.insert(0, Change("catalogue", "date", str(old.date), str(new.date)))
    return tuple(found)


def _compare(old: Mapping[str, Mapping[str, str]], new: Mapping[str, Mapping[str, str]]) -> Iterator[Change]:
    for subject in dict.fromkeys((*old, *new)):
        before, after = old.get(subject, {}), new.get(subject, {})
        for what in dict.fromkeys((*before, *after)):
            if before.get(what, "") != after.get(what, ""):
                yield Change(subject, what, before.get(what, ""), after.get(what, ""))


def _products(catalogue: Catalogue) -> dict[str, dict[str, str]]:
    return {
        product.name: {
            "released": str(product.released),
            "support ends": _text(product.support_ends),
            "paid updates": ", ".join(f"{first} to {last}" for first, last in product.esu),
            **{
                f"{branch.label} out of support from": _text(branch.unsupported_from)
                for branch in product.branches
            },
        }
        for product in catalogue.products
    }


def _builds(catalogue: Catalogue) -> dict[str, dict[str, str]]:
    return {
        f"{product.name} {row.label} {format_build(row.build)}": {
            "update": row.name,
            "released": str(row.released),
            "kb": row.kb,
            "status": row.status,
        }
        for product in catalogue.products
        for branch in product.branches
        for row in branch.builds
    }


def _flaws(catalogue: Catalogue) -> dict[str, dict[str, str]]:
    return {
        flaw.cve: {
            "fixed in": ", ".join(format_build(row.build) for rows in flaw.fixed.values() for row in rows),
            "published": _text(flaw.published),
            "exploited since": _text(flaw.exploited),
            "ransomware": "known" if flaw.ransomware else "",
        }
        for flaw in catalogue.flaws
    }


def _text(value: object) -> str:
    return "" if value is None else str(value)
