"""How Wehr itself is, and who may ask it: accounts, invitations, tokens."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Annotated, Final, TypeVar

from msgspec import Meta, Struct

from wehr import __version__
from wehr.ledger import LedgerError, Store
from wehr.policy.scope import tenant_names
from wehr.web.access.accounts import Account, AccountError, Accounts, NotThere, Unfit
from wehr.web.access.tokens import LONGEST_DAYS, Scope, Token, Tokens
from wehr.web.api.operation import Call, Nothing, Operation, maybe, missing, moment, problem, today
from wehr.web.stores import Busy
from wehr.web.visit import Need, Role, Visit

T = TypeVar("T")

_Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"\S")]
_Tenants = tuple[Annotated[str, Meta(max_length=200)], ...]
_HOURS: Final = 24


class Health(Struct, frozen=True):
    """How Wehr is: mail is answered in any case."""

    version: str
    store: bool
    """Whether the store can be reached."""
    doubt: str
    """Why nobody is refused at the moment; empty if that is as the policy says."""
    catalogue_stale: bool
    now: datetime


class AccountShown(Struct, frozen=True):
    """Who may log in to the pages."""

    name: str
    role: Role
    tenants: tuple[str, ...]
    disabled: bool
    invited: bool
    """Whether no password has been set yet."""
    created: datetime


class AccountChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What an account is to be from now on. A tenant that is gone it can keep, not be given."""

    role: Role
    tenants: _Tenants = ()
    disabled: bool = False


class InvitationWanted(Struct, frozen=True, forbid_unknown_fields=True):
    """For whom a one-time link is made; an account that is there keeps its role, and gets a new password."""

    account: _Name
    role: Role = Role.VIEWER
    tenants: _Tenants = ()
    hours: Annotated[int, Meta(ge=1, le=168)] = _HOURS


class InvitationMade(Struct, frozen=True):
    """A one-time link, shown this once: the path on the host of the pages."""

    path: str
    expires: datetime


class TokenShown(Struct, frozen=True):
    """A token without its secret."""

    id: str
    name: str
    scope: Scope
    tenants: tuple[str, ...]
    by: str
    created: datetime
    expires: datetime
    used: datetime | None
    revoked: bool


class TokenWanted(Struct, frozen=True, forbid_unknown_fields=True):
    """A token to make. Without tenants it is bound to none of them."""

    name: _Name
    scope: Scope = Scope.READ
    tenants: _Tenants = ()
    days: Annotated[int, Meta(ge=1, le=LONGEST_DAYS)] = 90


class TokenMade(Struct, frozen=True):
    """A token with the text that is shown this once."""

    token: TokenShown
    text: str


async def _health(call: Call[Nothing, None]) -> Health:
    house = call.visit.house
    try:
        await house.ask(Store.last_change)
        reached = True
    except (LedgerError, Busy):
        reached = False
    present = house.present
    stale = present.catalogue.stale(today(call.visit), timedelta(days=present.facts.stale_after))
    return Health(__version__, reached, present.doubt, stale, moment(house.now()))


async def _accounts(call: Call[Nothing, None]) -> tuple[AccountShown, ...]:
    return tuple(map(_account, await call.visit.house.ask(lambda store: Accounts(store).every())))


async def _change_account(call: Call[Nothing, AccountChange]) -> AccountShown:
    name, wanted, there_are = call.path("name"), call.body, _tenants(call.visit)

    def change(store: Store, by: str, now: float) -> Account:
        accounts = Accounts(store, there_are)
        account = accounts.change(name, wanted.role, wanted.tenants, by=by, now=now)
        if account.disabled != wanted.disabled:
            account = accounts.disable(name, by=by, now=now, disabled=wanted.disabled)
        return account

    return _account(await _done(call.visit, change))


async def _invite(call: Call[Nothing, InvitationWanted]) -> InvitationMade:
    wanted, there_are = call.body, _tenants(call.visit)

    def invite(store: Store, by: str, now: float) -> str:
        return Accounts(store, there_are).invite(
            wanted.account, wanted.role, wanted.tenants, by=by, now=now, hours=wanted.hours
        )

    secret = await _done(call.visit, invite)
    expires = moment(call.visit.house.now() + wanted.hours * 3600)
    return InvitationMade(f"/invitation/{secret}", expires)


async def _tokens(call: Call[Nothing, None]) -> tuple[TokenShown, ...]:
    return tuple(map(_token, await call.visit.house.ask(lambda store: Tokens(store).every())))


async def _create_token(call: Call[Nothing, TokenWanted]) -> TokenMade:
    wanted, there_are = call.body, _tenants(call.visit)

    def create(store: Store, by: str, now: float) -> tuple[Token, str]:
        return Tokens(store, there_are).create(
            wanted.name, wanted.scope, wanted.tenants, days=wanted.days, by=by, now=now
        )

    token, text = await _done(call.visit, create)
    return TokenMade(_token(token), text)


async def _revoke_token(call: Call[Nothing, None]) -> TokenShown:
    ident = call.path("id")
    token = await _done(call.visit, lambda store, by, now: Tokens(store).revoke(ident, by=by, now=now))
    return _token(token)


def _tenants(visit: Visit) -> tuple[str, ...]:
    return tenant_names(visit.house.present.policy.tenants)


async def _done(visit: Visit, deed: Callable[[Store, str, float], T]) -> T:
    by, now = visit.visitor.name, visit.house.now()
    try:
        return await visit.house.ask(lambda store: deed(store, by, now))
    except NotThere as error:
        raise missing(str(error)) from None
    except Unfit as error:
        raise problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
    except AccountError as error:
        raise problem(HTTPStatus.CONFLICT, str(error)) from None


def _account(it: Account) -> AccountShown:
    return AccountShown(it.name, it.role, it.tenants, it.disabled, not it.password, moment(it.created))


def _token(it: Token) -> TokenShown:
    return TokenShown(
        it.id, it.name, it.scope, it.tenants, it.by, moment(it.created), moment(it.expires),
        maybe(it.used or None), it.revoked,
    )  # fmt: skip


_operation = partial(Operation, tag="access", needs=Need.ADMIN)
OPERATIONS: Final = (
    Operation("GET", "/health", "get-health", "How Wehr is.", "system", Need.READ, _health, Health),
    _operation(
        "GET", "/accounts", "list-accounts", "Who may log in.", handler=_accounts,
        answer=tuple[AccountShown, ...],
    ),
    _operation(
        "PUT", "/accounts/{name}", "change-account", "Give an account another role, shut or open it.",
        handler=_change_account, answer=AccountShown, body=AccountChange, errors=(404, 409),
    ),
    _operation(
        "POST", "/invitations", "invite", "Make a one-time link to set a password.",
        handler=_invite, answer=InvitationMade, body=InvitationWanted, status=201,
    ),
    _operation(
        "GET", "/tokens", "list-tokens", "The tokens there are.", handler=_tokens,
        answer=tuple[TokenShown, ...],
    ),
    _operation(
        "POST", "/tokens", "create-token", "Make a token; its text is shown this once.",
        handler=_create_token, answer=TokenMade, body=TokenWanted, status=201,
    ),
    _operation(
        "DELETE", "/tokens/{id}", "revoke-token", "Take a token's force.", handler=_revoke_token,
        answer=TokenShown, errors=(404,),
    ),
)  # fmt: skip
