"""Who may see and do what, for administrators: accounts, invitations, tokens."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.responses import Response

from wehr.ledger import Store
from wehr.web.access.accounts import AccountError, Accounts
from wehr.web.access.tokens import Scope, Tokens
from wehr.web.languages import N_
from wehr.web.visit import Need, Page, Role, Visit

Deed = Callable[[Store, Mapping[str, str], str, float], str]
"""Does what a form says, by whom and when; gives a secret that is shown once, or nothing."""

ROLE_NAMES: Final[Mapping[str, str]] = {
    Role.VIEWER.value: N_("viewer"),
    Role.OPERATOR.value: N_("operator"),
    Role.TENANT_OPERATOR.value: N_("tenant operator"),
    Role.ADMINISTRATOR.value: N_("administrator"),
}


async def _show(visit: Visit) -> Response:
    return await _page(visit)


async def _page(
    visit: Visit, *, error: str = "", link: str = "", token: str = "", status: int = 200
) -> Response:
    def find(store: Store) -> dict[str, object]:
        return {"accounts": Accounts(store).every(), "tokens": Tokens(store).every()}

    found = await visit.house.ask(find)
    more = {"roles": ROLE_NAMES, "scopes": tuple(Scope), "now": visit.house.now()}
    return await visit.page("access.html", status, error=error, link=link, token=token, **found, **more)


def _invite(store: Store, form: Mapping[str, str], by: str, now: float) -> str:
    accounts = Accounts(store)
    name = form.get("name", "")
    if not (account := accounts.get(name)):
        role = Role(form.get("role", ""))
        account = accounts.add(name, role, form.get("tenants", "").split(), by=by, now=now)
    return accounts.invite(account.name, account.role, account.tenants, by=by, now=now)


def _change(store: Store, form: Mapping[str, str], by: str, now: float) -> str:
    tenants = form.get("tenants", "").split()
    Accounts(store).change(form.get("name", ""), Role(form.get("role", "")), tenants, by=by, now=now)
    return ""


def _shut(store: Store, form: Mapping[str, str], by: str, now: float) -> str:
    Accounts(store).disable(form.get("name", ""), by=by, now=now, disabled=form.get("disabled") == "yes")
    return ""


def _create(store: Store, form: Mapping[str, str], by: str, now: float) -> str:
    days = form.get("days", "")
    number = int(days) if days.isdecimal() and len(days) < 6 else 0
    scope, tenants = Scope(form.get("scope", "")), form.get("tenants", "").split()
    return Tokens(store).create(form.get("name", ""), scope, tenants, days=number, by=by, now=now)[1]


def _revoke(store: Store, form: Mapping[str, str], by: str, now: float) -> str:
    Tokens(store).revoke(form.get("token", ""), by=by, now=now)
    return ""


def _doing(deed: Deed, shown: str) -> Callable[[Visit], Awaitable[Response]]:
    """An endpoint that does it, and shows the secret that came of it as ``link`` or ``token``."""

    async def endpoint(visit: Visit) -> Response:
        form, by, now = await visit.form(), visit.visitor.name, visit.house.now()
        try:
            secret = await visit.house.ask(lambda store: deed(store, form, by, now))
        except AccountError as error:
            return await _page(visit, error=visit.translate(error.text) % error.values, status=422)
        except ValueError:  # a role or scope that no form offers
            return await _page(
                visit, error=visit.translate(N_("This request cannot be understood.")), status=422
            )
        if not secret:
            return visit.redirect("access")
        if shown == "link":
            base = visit.request.url
            return await _page(visit, link=f"{base.scheme}://{base.netloc}/invitation/{secret}")
        return await _page(visit, token=secret)

    return endpoint


PAGES: Final = (
    Page("/access", _show, Need.ADMIN, "access", menu=N_("Access")),
    Page("/access/invitations", _doing(_invite, "link"), Need.ADMIN, "invite", ("POST",)),
    Page("/access/roles", _doing(_change, ""), Need.ADMIN, "change-role", ("POST",)),
    Page("/access/shut", _doing(_shut, ""), Need.ADMIN, "shut-account", ("POST",)),
    Page("/access/tokens", _doing(_create, "token"), Need.ADMIN, "create-token", ("POST",)),
    Page("/access/revocations", _doing(_revoke, ""), Need.ADMIN, "revoke-token", ("POST",)),
)
