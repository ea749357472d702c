"""To the OpenID provider and back. Whatever goes wrong there, the form for a password is shown."""

from hmac import compare_digest
from typing import Final

import structlog
from starlette.responses import RedirectResponse, Response

from wehr.web.access.attempts import network_of
from wehr.web.access.entrance import Entrance, client_of, inside
from wehr.web.access.oidc.fetch import Away
from wehr.web.access.oidc.id_token import Refused
from wehr.web.access.oidc.journey import SECONDS, Journey
from wehr.web.access.oidc.people import let_in
from wehr.web.access.oidc.provider import Provider
from wehr.web.access.oidc.settings import CALLBACK
from wehr.web.cookies import OIDC, drop_cookie, set_cookie
from wehr.web.languages import N_
from wehr.web.rate import Rate
from wehr.web.visit import Need, Page, Visit

log = structlog.get_logger()

START: Final = "/login/oidc"
_A_MINUTE: Final = 30
"""Requests of one network, for each may cost the provider some."""


class OidcPages:
    """The pages of one provider."""

    def __init__(self, provider: Provider, entrance: Entrance) -> None:
        self._provider = provider
        self._entrance = entrance
        self._rate = Rate(_A_MINUTE)

    @property
    def pages(self) -> tuple[Page, ...]:
        """There and back."""
        return (
            Page(START, self._there, Need.NOTHING, "oidc", form=True),
            Page(CALLBACK, self._back, Need.NOTHING, "oidc-callback", form=True),
        )

    async def _there(self, visit: Visit) -> Response:
        if refusal := await self._too_many(visit):
            return refusal
        now = visit.house.now()
        journey = Journey.begin(inside(visit.query.get("next", "")), now)
        try:
            where = await self._provider.way_there(journey, now)
        except Away as error:
            return await self._away(visit, error)
        response = RedirectResponse(where, 303)
        set_cookie(visit.request, response, OIDC, journey.cookie, max_age=SECONDS)
        return response

    async def _back(self, visit: Visit) -> Response:
        response = await self._too_many(visit) or await self._came_back(visit)
        drop_cookie(visit.request, response, OIDC)  # a journey is made once
        return response

    async def _came_back(self, visit: Visit) -> Response:
        now, settings = visit.house.now(), self._provider.settings
        journey = Journey(visit.request.cookies.get(OIDC, ""))
        try:
            code = await self._code(visit, journey, now)
            claims = await self._provider.who(code, journey, now)
        except Away as error:
            return await self._away(visit, error)
        except Refused as error:
            _log_refusal(visit, error)
            text = N_("Logging in there did not succeed. Begin once more.")
            return await self._entrance.form(visit, text, 403)
        try:
            account = await visit.house.ask(lambda store: let_in(store, claims, settings, now))
        except Refused as error:
            _log_refusal(visit, error)
            text = N_("You are known there, but not let in here. Ask an administrator for an account.")
            return await self._entrance.form(visit, text, 403)
        return await self._entrance.enter(visit, account, journey.wanted, settings.issuer)

    async def _code(self, visit: Visit, journey: Journey, now: float) -> str:
        """The code that came along, if this browser set out for it (RFC 6749, 10.12; RFC 9207)."""
        query = visit.query
        if not journey.is_on_time(now):
            raise Refused("this browser has not set out, or long ago")
        if not compare_digest(query.get("state", "").encode("utf-8", "replace"), journey.state.encode()):
            raise Refused("state is not what it should be")
        document = await self._provider.document(now)
        issuer = query.get(
            "iss", "" if document.authorization_response_iss_parameter_supported else document.issuer
        )
        if issuer != document.issuer:
            raise Refused("it is another provider that answers")
        if error := query.get("error"):
            raise Refused(f"the provider says {error[:100]!r}")
        if not (code := query.get("code", "")):
            raise Refused("there is no code")
        return code

    async def _away(self, visit: Visit, error: Away) -> Response:
        log.warning("the OpenID provider cannot be asked", error=str(error))
        text = N_("The provider does not answer as it should. Try again in a moment, or use a password.")
        return await self._entrance.form(visit, text, 502)

    async def _too_many(self, visit: Visit) -> Response | None:
        if self._rate.allows(network_of(client_of(visit)), visit.house.now()):
            return None
        response = await self._entrance.form(visit, N_("Too many attempts. Wait a moment."), 429)
        response.headers["Retry-After"] = "60"
        return response


def _log_refusal(visit: Visit, error: Refused) -> None:
    log.warning("log-in by OpenID refused", error=str(error), client=client_of(visit))
