"""What is known: products, branches, updates, holes, and of when it all is."""

from datetime import UTC, date, datetime, timedelta
from typing import Final

from msgspec import Struct
from starlette.responses import Response

from wehr.catalogue import Catalogue, links
from wehr.catalogue.facts import DISPUTED, VARIANT, Flaw, Known
from wehr.web.languages import N_
from wehr.web.visit import Need, Page, Visit


class Shown(Struct, frozen=True):
    """A branch as of a day, its newest build first."""

    label: str
    supported: bool
    support_ends: date | None
    builds: tuple[Known, ...]


class ProductShown(Struct, frozen=True):
    """A product with those of its branches that show a build."""

    name: str
    software: str
    released: date
    support_ends: date | None
    supported: bool
    backported: bool
    branches: tuple[Shown, ...]


def products_of(catalogue: Catalogue, today: date) -> tuple[ProductShown, ...]:
    """The products of each software, the latest first, each with its branches, the latest first."""
    software = list(dict.fromkeys(product.software for product in catalogue.products))
    latest_first = reversed(catalogue.products)
    products = sorted(latest_first, key=lambda it: software.index(it.software))
    return tuple(
        ProductShown(
            product.name,
            product.software,
            product.released,
            product.support_ends,
            product.supported(today),
            product.backported,
            tuple(
                Shown(
                    branch.label or ".".join(map(str, branch.key)),
                    branch.unsupported_from is None or today < branch.unsupported_from,
                    branch.support_ends,
                    tuple(it for it in reversed(branch.builds) if it.status not in (DISPUTED, VARIANT)),
                )
                for branch in reversed(product.branches)
            ),
        )
        for product in products
    )


def holes_of(catalogue: Catalogue) -> list[Flaw]:
    """The holes, those that are known to be exploited first, each part with the latest first."""
    return sorted(catalogue.flaws, key=lambda it: (it.exploited is not None, it.cve), reverse=True)


async def _catalogue(visit: Visit) -> Response:
    present = visit.house.present
    catalogue = present.catalogue
    today = datetime.fromtimestamp(visit.house.now(), UTC).date()
    return await visit.page(
        "catalogue.html",
        catalogue=catalogue,
        today=today,
        age=(today - catalogue.date).days,
        stale=catalogue.stale(today, timedelta(days=present.facts.stale_after)),
        products=products_of(catalogue, today),
        flaws=holes_of(catalogue),
        links=links,
    )


PAGES: Final = (Page("/catalogue", _catalogue, Need.READ, "catalogue", menu=N_("Catalogue")),)
