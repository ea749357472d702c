"""All pages there are, part by part."""

from typing import Final

from wehr.web.pages import (
    assets,
    catalogue,
    deeds,
    health,
    home,
    hours,
    metrics,
    policy,
    report,
    server,
    status,
)
from wehr.web.visit import Page

PAGES: Final[tuple[Page, ...]] = (
    *home.PAGES,
    *report.PAGES,
    *server.PAGES,
    *hours.PAGES,
    *deeds.PAGES,
    *policy.PAGES,
    *catalogue.PAGES,
    *status.PAGES,
    *metrics.PAGES,
    *health.PAGES,
    *assets.PAGES,
)
"""What operators see."""

SUMS: Final = ((home.summarize, None), (metrics.servers,))
"""What is summed up of all servers, for every visitor alike."""

PUBLIC_PAGES: Final[tuple[Page, ...]] = (
    *status.PAGES,
    health.LIVE,
    *assets.PAGES,
)
"""What is shown where the public status page has a listener of its own."""
