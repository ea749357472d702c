"""The two sites: what operators and their programs see, and what is shown to everybody."""

from collections.abc import Sequence

from starlette.types import ASGIApp

from wehr.web.access import admin
from wehr.web.access.closed import Closed
from wehr.web.access.gatekeeper import Gatekeeper
from wehr.web.access.pages import AccessPages
from wehr.web.api import api_pages
from wehr.web.app import create_app
from wehr.web.house import House
from wehr.web.pages import PAGES, PUBLIC_PAGES
from wehr.web.settings import WebSettings
from wehr.web.visit import Page


def pages_of(gatekeeper: Gatekeeper, settings: WebSettings) -> Sequence[Page]:
    """All that operators and their programs see."""
    return (*PAGES, *AccessPages(gatekeeper).pages, *admin.PAGES, *api_pages(settings.api_per_minute))


def operators_site(house: House, settings: WebSettings) -> ASGIApp:
    """Everything, behind log-in and tokens."""
    gatekeeper = Gatekeeper(house, settings)
    return create_app(house, pages_of(gatekeeper, settings), gatekeeper, settings)


def public_site(house: House, settings: WebSettings) -> ASGIApp:
    """Only what everybody may see."""
    return create_app(house, PUBLIC_PAGES, Closed(), settings)
