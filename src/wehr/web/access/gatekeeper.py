"""Who visitors are: by a session's cookie, by a token, or by the word of a trusted proxy."""

from hmac import compare_digest
from http import HTTPStatus
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from wehr.ledger import Store
from wehr.web.access.accounts import Account, Accounts
from wehr.web.access.attempts import Attempts, network_of
from wehr.web.access.secret import form_token, is_marked, new_secret
from wehr.web.access.sessions import Lifetime, Session, Sessions
from wehr.web.access.tokens import Token, Tokens
from wehr.web.cookies import SESSION, VISIT
from wehr.web.house import House
from wehr.web.rate import Rate
from wehr.web.settings import WebSettings
from wehr.web.visit import MAY, Need, Page, Role, Visit, Visitor

_A_MINUTE = 60
"""Tokens of one network that are looked up and found bad: enough for a program that asks with an old one."""


class Gatekeeper:
    """Knows visitors; see `wehr.web.app.Access`. ``attempts`` slows guessing down."""

    def __init__(self, house: House, settings: WebSettings) -> None:
        self._house = house
        self._settings = settings
        self.attempts = Attempts()
        self._bad_tokens = Rate(_A_MINUTE)
        self.lifetime = Lifetime(settings.session_hours * 3600.0, settings.idle_minutes * 60.0)

    async def identify(self, request: Request, page: Page) -> Visitor:
        """Who asks; a visitor without a name if that is not known."""
        if page.token:
            return await self._by_token(request)
        if page.needs is Need.NOTHING and not page.form:
            return Visitor()
        if visitor := await self._by_session(request) or await self._by_proxy(request):
            return visitor
        return _stranger(request)

    async def check(self, request: Request, page: Page, visitor: Visitor) -> None:
        """See that a request that changes something was meant by the visitor.

        Raises:
            HTTPException: it may come from a foreign page.
        """
        if page.token:
            return  # no browser sends a token by itself
        if not _from_own_page(request):
            raise HTTPException(HTTPStatus.FORBIDDEN)
        form = await request.form(max_files=0, max_fields=200)
        sent = form.get("csrf")
        if (
            not visitor.csrf
            or not isinstance(sent, str)
            or not compare_digest(sent.encode(), visitor.csrf.encode())
        ):
            raise HTTPException(HTTPStatus.FORBIDDEN)

    async def refuse(self, visit: Visit, page: Page) -> Response:
        """What somebody sees who may not see the page: first of all where to log in."""
        request = visit.request
        if page.token:
            if visit.visitor.name:
                raise HTTPException(HTTPStatus.FORBIDDEN)
            raise HTTPException(HTTPStatus.UNAUTHORIZED, headers={"WWW-Authenticate": "Bearer"})
        if visit.visitor.name:
            raise HTTPException(HTTPStatus.FORBIDDEN)
        if request.method not in {"GET", "HEAD"}:  # what was sent is lost, and so not where to come back to
            return RedirectResponse(visit.url("login"), 303)
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"{visit.url('login')}?next={quote(wanted, safe='')}", 303)

    def may_be_ours(self, secret: str) -> bool:
        """Whether a session's or an invitation's secret may be worth a question to the store."""
        return is_marked(secret, self._house.present.secret)

    async def _by_session(self, request: Request) -> Visitor | None:
        secret = request.cookies.get(SESSION, "")
        if not secret or not self.may_be_ours(secret):
            return None
        now = self._house.now()

        def find(store: Store) -> tuple[Session, Account] | None:
            return Sessions(store, self.lifetime).find(secret, now)

        found = await self._house.ask(find)
        if found is None:
            return None
        session, account = found
        return _visitor(account, csrf=form_token(secret), session=session.id)

    async def _by_proxy(self, request: Request) -> Visitor | None:
        field = self._settings.user_header
        if not field or not request.scope.get("wehr.trusted"):
            return None
        names = request.headers.getlist(field)
        if len(names) != 1:
            return None
        account = await self._house.ask(lambda store: Accounts(store).get(names[0]))
        if account is None or account.disabled:
            return None
        stranger = _stranger(request)
        return _visitor(account, csrf=stranger.csrf, fresh=stranger.fresh)

    async def _by_token(self, request: Request) -> Visitor:
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not text:
            return Visitor()
        now = self._house.now()
        network = network_of(request.client.host if request.client else "")
        if self._bad_tokens.spent(network, now):
            raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS, headers={"Retry-After": "60"})

        def find(store: Store) -> Token | None:
            return Tokens(store).find(text.strip(), now)

        token = await self._house.ask(find)
        if token is None:
            self._bad_tokens.allows(network, now)
            return Visitor()
        bound = frozenset(token.tenants) if token.tenants else None
        return Visitor(f"token {token.name}", token.scope.may, bound, token=token.id)


def _visitor(account: Account, *, csrf: str, session: str = "", fresh: str = "") -> Visitor:
    bound = frozenset(account.tenants) if account.role is Role.TENANT_OPERATOR else None
    return Visitor(account.name, MAY[account.role], bound, csrf, session, fresh)


def _stranger(request: Request) -> Visitor:
    """Somebody without a session, told apart for the forms that they are shown."""
    secret = request.cookies.get(VISIT, "")
    if len(secret) >= 40:
        return Visitor(csrf=form_token(secret))
    fresh = new_secret()
    return Visitor(csrf=form_token(fresh), fresh=fresh)


def _from_own_page(request: Request) -> bool:
    """Whether a browser says that the request comes from a page of ours, or is silent about it.

    Our pages send no referrer, so that a browser may say ``null``: then the form's token decides alone.
    """
    site = request.headers.get("sec-fetch-site", "")
    if site:
        return site in {"same-origin", "none"}
    origin = request.headers.get("origin", "null")
    return origin in {"null", f"{request.url.scheme}://{request.url.netloc}"}
