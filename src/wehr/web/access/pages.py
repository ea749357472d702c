"""Logging in and out, taking an invitation, and one's own account."""

import asyncio
from typing import Final

import structlog
from starlette.exceptions import HTTPException
from starlette.responses import Response

from wehr.ledger import Store
from wehr.web.access.accounts import Account, AccountError, Accounts, Invitation
from wehr.web.access.entrance import Entrance, client_of
from wehr.web.access.gatekeeper import Gatekeeper
from wehr.web.access.passwords import MOST, hash_password, is_right, outdated, weakness
from wehr.web.access.sessions import Sessions
from wehr.web.cookies import SESSION, drop_cookie
from wehr.web.languages import N_
from wehr.web.visit import Need, Page, Visit

log = structlog.get_logger()

_AT_ONCE: Final = 2
"""Passwords that are checked at a time, for each takes 64 MiB."""


class AccessPages:
    """The pages of one gatekeeper."""

    def __init__(self, gatekeeper: Gatekeeper, entrance: Entrance) -> None:
        self._gatekeeper = gatekeeper
        self._entrance = entrance
        self._hashing = asyncio.Semaphore(_AT_ONCE)

    @property
    def pages(self) -> tuple[Page, ...]:
        """What there is to see."""
        nothing, read = Need.NOTHING, Need.READ
        return (
            Page("/login", self._login_form, nothing, "login", form=True),
            Page("/login", self._login, nothing, "log-in", ("POST",), form=True),
            Page("/logout", self._logout, read, "log-out", ("POST",)),
            Page("/invitation/{secret}", self._invitation_form, nothing, "invitation", form=True),
            Page("/invitation/{secret}", self._invitation, nothing, "accept", ("POST",), form=True),
            Page("/account", self._account, read, "account"),
            Page("/account/password", self._password, read, "set-password", ("POST",)),
            Page("/account/sessions", self._end_session, read, "end-session", ("POST",)),
        )

    # Logging in and out

    async def _login_form(self, visit: Visit) -> Response:
        return await self._entrance.form(visit)

    async def _login(self, visit: Visit) -> Response:
        form = await visit.form()
        name, password = form.get("name", "").strip()[:200], form.get("password", "")[: MOST + 1]
        client, now = client_of(visit), visit.house.now()
        attempts = self._gatekeeper.attempts
        if wait := attempts.wait(name, client, now):
            response = await self._entrance.form(visit, N_("Too many attempts. Wait a moment."), 429)
            response.headers["Retry-After"] = str(int(wait) + 1)
            return response
        # Before the password is looked at: who asks many times at once has all of them counted.
        attempts.failed(name, client, now)
        account = await visit.house.ask(lambda store: Accounts(store).get(name))
        usable = account is not None and not account.disabled
        kept = account.password if account and usable else ""
        async with self._hashing:
            right = await visit.house.work(lambda: is_right(kept, password))
        if not right or account is None:
            log.warning("login refused", name=name, client=client)
            return await self._entrance.form(visit, N_("This name and password do not fit."), 401)
        attempts.succeeded(account.name, client)
        if outdated(kept):
            await self._rehash(visit, account, password)
        return await self._entrance.enter(visit, account, form.get("next", ""))

    async def _rehash(self, visit: Visit, account: Account, password: str) -> None:
        async with self._hashing:
            kept = await visit.house.work(lambda: hash_password(password))
        await visit.house.ask(lambda store: Accounts(store).rehash(account.name, kept))

    async def _logout(self, visit: Visit) -> Response:
        visitor, now = visit.visitor, visit.house.now()
        await visit.house.ask(lambda store: self._sessions(store).end(visitor.session, visitor.name, now))
        response = visit.redirect("login")
        drop_cookie(visit.request, response, SESSION)
        return response

    # Invitations

    async def _invitation_form(self, visit: Visit, error: str = "", status: int = 200) -> Response:
        return await visit.page("invitation.html", status, invited=await self._invited(visit), error=error)

    async def _invitation(self, visit: Visit) -> Response:
        form, invited = await visit.form(), await self._invited(visit)
        secret, now = visit.path["secret"], visit.house.now()
        name = invited.account or form.get("name", "")
        if error := _new_password_error(form.get("password", ""), form.get("again", ""), name):
            return await self._invitation_form(visit, error, 422)
        async with self._hashing:
            kept = await visit.house.work(lambda: hash_password(form["password"]))
        try:
            account = await visit.house.ask(lambda store: Accounts(store).accept(secret, name, kept, now))
        except AccountError:
            return await self._invitation_form(visit, N_("Choose another name."), 422)
        return await self._entrance.enter(visit, account, visit.url("home"))

    async def _invited(self, visit: Visit) -> Invitation:
        secret, now = visit.path["secret"], visit.house.now()
        if self._gatekeeper.may_be_ours(secret):
            invited = await visit.house.ask(lambda store: Accounts(store).invitation(secret, now))
            if invited:
                return invited
        raise HTTPException(404)

    # One's own account

    async def _account(self, visit: Visit, error: str = "", status: int = 200) -> Response:
        name, now = visit.visitor.name, visit.house.now()
        found = await visit.house.ask(lambda store: self._sessions(store).of(name, now))
        return await visit.page("account.html", status, sessions=found, error=error)

    async def _password(self, visit: Visit) -> Response:
        form, visitor, now = await visit.form(), visit.visitor, visit.house.now()
        if not visitor.session:
            raise HTTPException(403)  # a proxy lets in, and knows the password
        client, attempts = client_of(visit), self._gatekeeper.attempts
        if attempts.wait(visitor.name, client, now):
            return await self._account(visit, N_("Too many attempts. Wait a moment."), 429)
        account = await visit.house.ask(lambda store: Accounts(store).get(visitor.name))
        kept = account.password if account else ""
        attempts.failed(visitor.name, client, now)
        async with self._hashing:
            right = await visit.house.work(lambda: is_right(kept, form.get("old", "")))
        if not right:
            return await self._account(visit, N_("This is not your present password."), 422)
        attempts.succeeded(visitor.name, client)
        if error := _new_password_error(form.get("password", ""), form.get("again", ""), visitor.name):
            return await self._account(visit, error, 422)
        async with self._hashing:
            new = await visit.house.work(lambda: hash_password(form["password"]))

        def keep(store: Store) -> None:
            Accounts(store).set_password(visitor.name, new, by=visitor.name, now=now, keep=visitor.session)

        await visit.house.ask(keep)
        return visit.redirect("account")

    async def _end_session(self, visit: Visit) -> Response:
        form, visitor, now = await visit.form(), visit.visitor, visit.house.now()
        session = form.get("session", "")[:100]

        def end(store: Store) -> None:
            self._sessions(store).end(session, visitor.name, now, kind="session-revoked")

        await visit.house.ask(end)
        return visit.redirect("account")

    def _sessions(self, store: Store) -> Sessions:
        return Sessions(store, self._gatekeeper.lifetime)


def _new_password_error(password: str, again: str, name: str) -> str:
    return weakness(password, name) or ("" if password == again else N_("The two passwords differ."))
