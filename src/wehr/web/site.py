"""The two sites: what operators and their programs see, and what is shown to everybody."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from wehr.web.access import admin
from wehr.web.access.closed import Closed
from wehr.web.access.entrance import Entrance
from wehr.web.access.gatekeeper import Gatekeeper
from wehr.web.access.pages import AccessPages
from wehr.web.api import api_pages
from wehr.web.app import create_app
from wehr.web.house import House
from wehr.web.pages import PAGES, PUBLIC_PAGES
from wehr.web.settings import WebSettings
from wehr.web.visit import Page

if TYPE_CHECKING:
    from wehr.web.access.oidc.provider import Provider


def pages_of(
    gatekeeper: Gatekeeper, settings: WebSettings, provider: "Provider | None" = None
) -> Sequence[Page]:
    """All that operators and their programs see; log-in with ``provider`` needs the extra oidc."""
    entrance = Entrance(gatekeeper.lifetime)
    there_and_back: Sequence[Page] = ()
    if provider:
        from wehr.web.access.oidc.pages import START, OidcPages

        # By its full address, or the browser would come back to another host, without its cookie.
        entrance = Entrance(gatekeeper.lifetime, settings.url.rstrip("/") + START, provider.host)
        there_and_back = OidcPages(provider, entrance).pages
    return (
        *PAGES,
        *AccessPages(gatekeeper, entrance).pages,
        *there_and_back,
        *admin.PAGES,
        *api_pages(settings.api_per_minute),
    )


def operators_site(house: House, settings: WebSettings, provider: "Provider | None" = None) -> ASGIApp:
    """Everything, behind log-in and tokens."""
    gatekeeper = Gatekeeper(house, settings)
    return create_app(house, pages_of(gatekeeper, settings, provider), gatekeeper, settings)


def public_site(house: House, settings: WebSettings) -> ASGIApp:
    """Only what everybody may see."""
    return create_app(house, PUBLIC_PAGES, Closed(), settings)
