"""Style sheets and pictures."""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import Response

from wehr.web.static import assets
from wehr.web.visit import Need, Page, Visit


async def _asset(visit: Visit) -> Response:
    asset = assets().get(visit.path["name"])
    if asset is None:
        raise HTTPException(404)
    # An old name shows the present file, but not for long.
    current = asset.digest == visit.path["digest"]
    lasting = "public, max-age=31536000, immutable" if current else "public, max-age=60"
    headers = {"Cache-Control": lasting, "ETag": f'"{asset.digest}"'}
    if visit.request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(asset.content, media_type=asset.kind, headers=headers)


PAGES: Final = (Page("/static/{digest}/{name}", _asset, Need.NOTHING, "static"),)
