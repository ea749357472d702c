"""The application: pages behind the guard, each called with a visit if the visitor may see it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Protocol

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from wehr.ledger import LedgerError
from wehr.web.cookies import LANGUAGE, VISIT, set_cookie
from wehr.web.guard import Guard
from wehr.web.house import House
from wehr.web.languages import LANGUAGES, N_, choose
from wehr.web.render import Renderer
from wehr.web.settings import WebSettings
from wehr.web.stores import Busy
from wehr.web.visit import Page, Visit, Visitor

log = structlog.get_logger()

_YEAR = 31_536_000


class Access(Protocol):
    """Who visitors are, and what happens to those who may not see a page."""

    async def identify(self, request: Request, page: Page) -> Visitor:
        """Who asks; a visitor without a name if that is not known."""
        ...

    async def check(self, request: Request, page: Page, visitor: Visitor) -> None:
        """See that a request that changes something was meant by the visitor.

        Raises:
            HTTPException: it may come from a foreign page.
        """
        ...

    async def refuse(self, visit: Visit, page: Page) -> Response:
        """What somebody sees who may not see the page."""
        ...


def create_app(
    house: House, pages: Sequence[Page], access: Access, settings: WebSettings | None = None
) -> ASGIApp:
    """The application.

    Args:
        house: what pages are given.
        pages: what there is to see.
        access: who may see it.
        settings: whom it answers; without it, everything by default.
    """
    menu = tuple(page for page in pages if page.menu)
    shared = {"menu": menu, "facts": lambda: house.present.facts}

    def renderer(request: Request) -> Renderer:
        wanted = (request.query_params.get("lang"), request.cookies.get(LANGUAGE))
        return Renderer(choose(wanted, request.headers.get("accept-language", "")), shared)

    def endpoint(page: Page) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            visitor = await access.identify(request, page)
            visit = Visit(request, house, visitor, renderer(request))
            if visitor.may < page.needs:
                return await access.refuse(visit, page)
            if request.method not in {"GET", "HEAD", "OPTIONS"}:
                await access.check(request, page, visitor)
            response = await page.endpoint(visit)
            if visitor.fresh:
                set_cookie(request, response, VISIT, visitor.fresh)
            if (language := request.query_params.get("lang")) and language in LANGUAGES:
                set_cookie(request, response, LANGUAGE, language, max_age=_YEAR)
            return response

        return answer

    async def failed(request: Request, error: Exception) -> Response:
        visit = Visit(request, house, Visitor(), renderer(request))
        return await _failure(visit, error)

    handlers: Mapping[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        HTTPException: failed,
        LedgerError: failed,
        Busy: failed,
        Exception: failed,
    }
    routes = [Route(page.path, endpoint(page), methods=list(page.methods), name=page.name) for page in pages]
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    facts = house.present.facts
    settings = settings or WebSettings()
    hosts = (*settings.allowed_hosts, facts.host_name, _host(settings.url), _host(facts.status_url))
    return Guard(app, settings, hosts)


def _host(url: str) -> str:
    """The host's name in an address."""
    return url.partition("://")[2].partition("/")[0].partition(":")[0]


_TEXTS: Mapping[int, str] = {
    400: N_("This request cannot be understood."),
    403: N_("You may not do this."),
    404: N_("There is no such page."),
    405: N_("This page cannot be asked in that way."),
    413: N_("That is too much."),
    429: N_("Too many requests. Try again in a moment."),
    500: N_("Something went wrong here. It has been written to the log."),
    503: N_(
        "The store cannot be reached at the moment. Mail is answered all the same. Try again in a moment."
    ),
}


async def _failure(visit: Visit, error: Exception) -> Response:
    status, headers = 500, None
    if isinstance(error, HTTPException):
        status, headers = error.status_code, error.headers
    elif isinstance(error, LedgerError | Busy):
        status, headers = 503, {"Retry-After": "10"}
    if status >= 500:
        log.error("a page failed", path=visit.request.url.path[:200], error=repr(error)[:500])
    text = _TEXTS.get(status) or HTTPStatus(status).phrase
    response = await visit.page("error.html", status, heading=HTTPStatus(status).phrase, text=text)
    response.headers.update(headers or {})
    return response
