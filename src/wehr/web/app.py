"""The application: pages behind the guard, each called with a visit if the visitor may see it."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from itertools import groupby
from operator import attrgetter
from typing import Protocol

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from wehr.ledger import LedgerError
from wehr.web.cookies import LANGUAGE, VISIT, set_cookie
from wehr.web.guard import Guard
from wehr.web.house import House
from wehr.web.languages import LANGUAGES, N_, choose
from wehr.web.problem import is_api, problem_response
from wehr.web.render import Renderer, prepare
from wehr.web.settings import WebSettings
from wehr.web.stores import Busy
from wehr.web.visit import Need, Page, Visit, Visitor

log = structlog.get_logger()

_YEAR = 31_536_000
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")
_path = attrgetter("path")
_STRANGER = Visitor()


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
    prepare()
    settings = settings or WebSettings()
    front = _Front(house, pages, access)
    routes = [
        Route(path, front.endpoint(tuple(group)), methods=_METHODS)
        for path, group in groupby(sorted(pages, key=_path), key=_path)
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: front.nowhere})
    app.router.redirect_slashes = False
    return Guard(app, settings, partial(_hosts, house, settings))


class _Front:
    """Where every request comes in: who asks is told, what they may is done, what goes wrong is answered."""

    def __init__(self, house: House, pages: Sequence[Page], access: Access) -> None:
        menu = tuple(page for page in pages if page.menu)
        self._house = house
        self._access = access
        self._paths = {page.name: page.path for page in pages}
        self._shared = {
            "menu": menu,
            "facts": lambda: house.present.facts,
            # Strangers are shown no way into the pages of operators, wherever they end up.
            "outline": "base.html" if menu else "status_base.html",
        }

    def endpoint(self, group: Sequence[Page]) -> Callable[[Request], Awaitable[Response]]:
        """What serves the pages of one path."""
        by_method = {method: page for page in group for method in page.methods}

        async def serve(request: Request) -> Response:
            page = by_method.get("GET" if request.method == "HEAD" else request.method)
            if page is None:
                error = HTTPException(405, headers={"Allow": ", ".join(by_method)})
                return _failure(self._visit(request, _STRANGER), error)
            visitor = _STRANGER
            try:
                visitor = await self._access.identify(request, page)
                return await self._answer(self._visit(request, visitor), page)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is answered and logged
                return _failure(self._visit(request, visitor), error)

        return serve

    async def nowhere(self, request: Request, error: Exception) -> Response:
        """What is answered where there is no page."""
        visitor = _STRANGER
        if not is_api(request.url.path):
            with suppress(Exception):  # who asks decides on the menu alone
                visitor = await self._access.identify(request, _NOWHERE)
        return _failure(self._visit(request, visitor), error)

    def _visit(self, request: Request, visitor: Visitor) -> Visit:
        wanted = (request.query_params.get("lang"), request.cookies.get(LANGUAGE))
        language = choose(wanted, request.headers.get("accept-language", ""))
        return Visit(request, self._house, visitor, Renderer(language, self._shared), self._paths)

    async def _answer(self, visit: Visit, page: Page) -> Response:
        request, visitor = visit.request, visit.visitor
        if visitor.may < page.needs:
            return await self._access.refuse(visit, page)
        if request.method not in {"GET", "HEAD"}:
            await self._access.check(request, page, visitor)
        response = await page.endpoint(visit)
        if visitor.fresh:
            set_cookie(request, response, VISIT, visitor.fresh)
        if (language := request.query_params.get("lang")) and language in LANGUAGES:
            set_cookie(request, response, LANGUAGE, language, max_age=_YEAR)
        return response


async def _nothing(_visit: Visit) -> Response:
    raise HTTPException(HTTPStatus.NOT_FOUND)


_NOWHERE = Page("", _nothing, Need.READ, "nowhere")
"""Stands for a page that is not there, to learn who asks for it."""


def _hosts(house: House, settings: WebSettings) -> Collection[str]:
    """The names by which the pages are reached at present: a reload may bring others."""
    facts = house.present.facts
    return {*settings.allowed_hosts, facts.host_name, _host(settings.url), _host(facts.status_url)} - {""}


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
    501: N_("This part of Wehr is not installed here."),
    503: N_(
        "The store cannot be reached at the moment. Mail is answered all the same. Try again in a moment."
    ),
}

_PHRASES: Mapping[int, str] = {
    400: N_("Bad Request"),
    403: N_("Forbidden"),
    404: N_("Not Found"),
    405: N_("Method Not Allowed"),
    413: N_("Content Too Large"),
    429: N_("Too Many Requests"),
    500: N_("Internal Server Error"),
    501: N_("Not Implemented"),
    503: N_("Service Unavailable"),
}
"""As RFC 9110 has them; Python names some by its predecessors."""
_BUSY = N_("Too much is asked at the moment. Mail is answered all the same. Try again in a moment.")


def _beginning(path: str) -> str:
    return "/".join(path.split("/", 2)[:2])[:200]


def _failure(visit: Visit, error: Exception) -> Response:
    status, headers, detail = 500, None, ""
    busy = isinstance(error, Busy)
    if isinstance(error, HTTPException):
        status, headers, detail = error.status_code, error.headers, error.detail
    elif busy or isinstance(error, LedgerError):
        status, headers = 503, {"Retry-After": "10"}
    if status >= 500 and not busy:  # who asks too much shall not fill the log as well
        # Only where the path begins: what follows may be a secret, such as an invitation's.
        log.error("a page failed", path=_beginning(visit.request.url.path), error=repr(error)[:500])
    phrase = HTTPStatus(status).phrase
    if is_api(visit.request.url.path):
        return problem_response(status, "" if detail == phrase else detail, headers)
    # Not in a thread: all of them may be taken.
    said = _BUSY if busy else _TEXTS.get(status, phrase)
    detail = detail if status == HTTPStatus.BAD_REQUEST and detail != phrase else ""
    heading = _PHRASES.get(status, phrase)
    text = visit.text("error.html", status=status, heading=heading, text=said, detail=detail)
    return HTMLResponse(text, status, headers)
