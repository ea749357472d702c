"""Who may see and do what, for administrators: accounts, invitations, tokens."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from msgspec import Struct
from starlette.responses import Response

from wehr.ledger import Store
from wehr.policy.scope import tenant_names
from wehr.web.access.accounts import AccountError, Accounts
from wehr.web.access.tokens import Scope, Tokens
from wehr.web.languages import N_
from wehr.web.visit import Need, Page, Role, Visit


class Sent(Struct, frozen=True):
    """What a form sent, and what that goes by."""

    form: Mapping[str, str]
    tenants: tuple[str, ...]
    """Those that are ticked."""
    there_are: tuple[str, ...]
    """The tenants there are."""
    by: str
    now: float


Deed = Callable[[Store, Sent], str]
"""Does what a form says; gives a secret that is shown once, or nothing."""

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
    more = {
        "roles": ROLE_NAMES,
        "scopes": tuple(Scope),
        "now": visit.house.now(),
        "tenants": tenant_names(visit.house.present.policy.tenants),
    }
    return await visit.page("access.html", status, error=error, link=link, token=token, **found, **more)


def _invite(store: Store, sent: Sent) -> str:
    accounts, name = Accounts(store, sent.there_are), sent.form.get("name", "")
    if not (account := accounts.get(name)):
        role = Role(sent.form.get("role", ""))
        account = accounts.add(name, role, sent.tenants, by=sent.by, now=sent.now)
    return accounts.invite(account.name, account.role, account.tenants, by=sent.by, now=sent.now)


def _change(store: Store, sent: Sent) -> str:
    name, role = sent.form.get("name", ""), Role(sent.form.get("role", ""))
    Accounts(store, sent.there_are).change(name, role, sent.tenants, by=sent.by, now=sent.now)
    return ""


def _shut(store: Store, sent: Sent) -> str:
    name, disabled = sent.form.get("name", ""), sent.form.get("disabled") == "yes"
    Accounts(store).disable(name, by=sent.by, now=sent.now, disabled=disabled)
    return ""


def _create(store: Store, sent: Sent) -> str:
    days = sent.form.get("days", "")
    number = int(days) if days.isdecimal() and len(days) < 6 else 0
    name, scope = sent.form.get("name", ""), Scope(sent.form.get("scope", ""))
    tokens = Tokens(store, sent.there_are)
    return tokens.create(name, scope, sent.tenants, days=number, by=sent.by, now=sent.now)[1]


def _revoke(store: Store, sent: Sent) -> str:
    Tokens(store).revoke(sent.form.get("token", ""), by=sent.by, now=sent.now)
    return ""


def _doing(deed: Deed, shown: str) -> Callable[[Visit], Awaitable[Response]]:
    """An endpoint that does it, and shows the secret that came of it as ``link`` or ``token``."""

    async def endpoint(visit: Visit) -> Response:
        sent = Sent(
            await visit.form(),
            await visit.chosen("tenants"),
            tenant_names(visit.house.present.policy.tenants),
            visit.visitor.name,
            visit.house.now(),
        )
        try:
            secret = await visit.house.ask(lambda store: deed(store, sent))
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
