"""Whom a verified token lets in, and as what."""

from wehr.ledger import Store
from wehr.web.access.accounts import Account, AccountError, Accounts
from wehr.web.access.oidc.id_token import Claims, Refused
from wehr.web.access.oidc.settings import Group, Oidc
from wehr.web.visit import Role


def named(claims: Claims, settings: Oidc) -> str:
    """The name of the account that the claims are about.

    Raises:
        Refused: they name none, or an address that nobody has verified.
    """
    name = claims.get(settings.claim)
    if not isinstance(name, str) or not name:
        raise Refused(f"no claim {settings.claim!r} names an account")
    if settings.claim == "email" and claims.get("email_verified") is not True:
        raise Refused("the provider has not verified the email address")
    return name


def group_of(claims: Claims, settings: Oidc) -> Group | None:
    """The first group of ours that they are in; None where roles do not come from groups.

    Raises:
        Refused: they are in none.
    """
    if not settings.groups:
        return None
    told = claims.get(settings.groups_claim)
    told = [told] if isinstance(told, str) else told if isinstance(told, list) else []
    found = next((group for group in settings.groups if group.group in told), None)
    if found is None:
        raise Refused(f"in none of the groups, by the claim {settings.groups_claim!r}")
    return found


def let_in(store: Store, claims: Claims, settings: Oidc, now: float) -> Account:
    """The account to log in to, made or changed as its group says.

    Raises:
        Refused: there is none, it is shut, or it cannot be what its group says.
        LedgerError: the store is away.
    """
    name, group, accounts = named(claims, settings), group_of(claims, settings), Accounts(store)
    by = f"oidc {settings.issuer}"
    account = accounts.get(name)
    if account is not None and account.disabled:
        raise Refused(f"the account {name!r} is shut")
    try:
        if account is None:
            if group is None or not settings.create:
                raise Refused(f"there is no account {name!r}")
            return accounts.add(name, Role(group.role), group.tenants, by=by, now=now)
        if account.name != name:  # a store finds names in any case of letters, a provider tells them apart
            raise Refused(f"the account {account.name!r} is not that of {name!r}")
        if group and (account.role, account.tenants) != (Role(group.role), tuple(sorted(set(group.tenants)))):
            return accounts.change(name, Role(group.role), group.tenants, by=by, now=now)
    except AccountError as error:
        raise Refused(str(error)) from None
    return account
