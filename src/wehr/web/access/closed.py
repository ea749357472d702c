"""Access for nobody: what needs nothing is shown, and nothing else."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from wehr.web.visit import Page, Visit, Visitor


class Closed:
    """Nobody is known."""

    async def identify(self, _request: Request, _page: Page) -> Visitor:
        """Nobody."""
        return Visitor()

    async def check(self, _request: Request, _page: Page, _visitor: Visitor) -> None:
        """Nothing is changed by anybody."""
        raise HTTPException(403)

    async def refuse(self, _visit: Visit, _page: Page) -> Response:
        """What may not be seen."""
        raise HTTPException(403)
