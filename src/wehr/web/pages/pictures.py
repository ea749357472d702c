"""Charts as answers: pictures that pages show, each beside a table with its figures."""

from collections.abc import Callable
from typing import Final

from starlette.responses import Response

from wehr.web.charts import NARROW, WIDE
from wehr.web.visit import Visit

# Its style is inside it. A picture is never a page: no script, no other resource.
_HEADERS: Final = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


async def picture(visit: Visit, draw: Callable[[int], bytes]) -> Response:
    """What ``draw`` makes for a width in pixels, called in a thread."""
    width = NARROW if "narrow" in visit.query else WIDE
    return Response(await visit.house.work(lambda: draw(width)), media_type="image/svg+xml", headers=_HEADERS)
