"""Whether it lives, and whether it can be used."""

from typing import Final

from starlette.responses import PlainTextResponse, Response

from wehr.web.visit import Need, Page, Visit


async def _alive(_visit: Visit) -> Response:
    return PlainTextResponse("alive\n")


async def _ready(visit: Visit) -> Response:
    """200 when the store answers and mail may be refused; mail is answered in any case."""
    if not await visit.house.store_answers():
        return PlainTextResponse("the store is away\n", 503)
    if visit.house.present.doubt:
        return PlainTextResponse("nobody is refused at the moment\n", 503)
    return PlainTextResponse("ready\n")


LIVE: Final = Page("/health/live", _alive, Need.NOTHING, "alive")
PAGES: Final = (LIVE, Page("/health/ready", _ready, Need.NOTHING, "ready"))
