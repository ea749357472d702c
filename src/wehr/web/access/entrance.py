"""The way in, whoever vouches for a visitor: the form of the log-in, and the session that begins."""

from urllib.parse import quote, urlsplit

from starlette.responses import RedirectResponse, Response

from wehr.ledger import Store
from wehr.web.access.accounts import Account
from wehr.web.access.sessions import Lifetime, Sessions
from wehr.web.cookies import SESSION, set_cookie
from wehr.web.visit import Visit


class Entrance:
    """The way in.

    Args:
        lifetime: how long sessions last.
        oidc: where a log-in with the OpenID provider begins; empty if there is none.
        provider: what that one is called.
    """

    def __init__(self, lifetime: Lifetime, oidc: str = "", provider: str = "") -> None:
        self.lifetime = lifetime
        self._oidc = oidc
        self._provider = provider

    async def form(self, visit: Visit, error: str = "", status: int = 200) -> Response:
        """The page to log in on; ``error`` is a marked text."""
        wanted = inside(visit.query.get("next", ""))
        oidc = f"{self._oidc}?next={quote(wanted, safe='')}" if self._oidc and wanted else self._oidc
        return await visit.page(
            "login.html", status, error=error, next=wanted, oidc=oidc, provider=self._provider
        )

    async def enter(self, visit: Visit, account: Account, wanted: str, provider: str = "") -> Response:
        """Log in and go on: always under a new secret, so that one that was planted is worth nothing."""
        request, now = visit.request, visit.house.now()
        old, agent = request.cookies.get(SESSION, ""), request.headers.get("user-agent", "")
        client = client_of(visit)

        def begin(store: Store) -> str:
            sessions = Sessions(store, self.lifetime)
            return sessions.begin(account, client, agent, old=old, now=now, provider=provider)

        secret = await visit.house.ask(begin)
        response = RedirectResponse(inside(wanted) or "/", 303)
        set_cookie(request, response, SESSION, secret, max_age=int(self.lifetime.whole))
        return response


def client_of(visit: Visit) -> str:
    """The visitor's address."""
    return visit.request.client.host if visit.request.client else ""


def inside(wanted: str) -> str:
    """A place to go on to, if it is one of ours: a path, and never another host's."""
    if not wanted.startswith("/") or wanted.startswith(("//", "/\\")) or not wanted.isprintable():
        return ""
    parts = urlsplit(wanted)
    return "" if parts.scheme or parts.netloc else wanted
