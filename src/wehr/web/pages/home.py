"""The first page."""

from typing import Final

from starlette.responses import Response

from wehr.web.visit import Need, Page, Visit


async def _home(visit: Visit) -> Response:
    return await visit.page("home.html")


PAGES: Final = (Page("/", _home, Need.READ, "home"),)
