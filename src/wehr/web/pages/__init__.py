"""All pages there are, part by part."""

from typing import Final

from wehr.web.pages import assets, health, home
from wehr.web.visit import Page

PAGES: Final[tuple[Page, ...]] = (
    *home.PAGES,
    *health.PAGES,
    *assets.PAGES,
)
"""What operators see."""

PUBLIC_PAGES: Final[tuple[Page, ...]] = (
    *health.PAGES,
    *assets.PAGES,
)
"""What is shown where the public status page has a listener of its own."""
