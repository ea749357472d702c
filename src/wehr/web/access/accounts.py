"""Accounts and invitations in the store. Each method is one transaction, with the event that tells of it.

Any of them may raise what the store's methods raise.
"""

from collections.abc import Collection, Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, RowMapping, delete, func, select, update

from wehr.ledger import Event, Store
from wehr.ledger.carrying import upsert, write_events
from wehr.ledger.rows import Detail
from wehr.ledger.schema import accounts, invitations, sessions
from wehr.web.access.secret import hashed, marked_secret
from wehr.web.languages import N_
from wehr.web.visit import Role

INVITED_HOURS: Final = 24
_LONGEST: Final = 100


class AccountError(ValueError):
    """It cannot be done; the text says why, for people.

    Args:
        text: marked for translation.
        values: of its places, as they are shown.
    """

    def __init__(self, text: str, **values: object) -> None:
        super().__init__(text % values)
        self.text = text
        self.values = values


class Unfit(AccountError):
    """What was given cannot be, whatever there is."""


class NotThere(AccountError):
    """There is no such account or token."""


class Account(Struct, frozen=True):
    """Who may log in. ``tenants`` are those that a tenant operator sees."""

    name: str
    role: Role
    tenants: tuple[str, ...]
    disabled: bool
    created: float
    password: str = ""
    """An argon2 hash; empty until an invitation was taken."""


class Invitation(Struct, frozen=True):
    """A one-time link to set a password. ``account`` is empty where the guest chooses the name."""

    account: str
    role: Role
    tenants: tuple[str, ...]
    by: str
    expires: float


class Accounts:
    """The accounts in an open store.

    Args:
        store: open.
        tenants: those there are, as the policy knows them: no other is given to anybody, though who has one
            that is gone may keep it. None: any is, as where the configuration itself gives them.
    """

    def __init__(self, store: Store, tenants: Collection[str] | None = None) -> None:
        self._store = store
        self._tenants = tenants

    def every(self) -> list[Account]:
        """All accounts by name."""
        with self._store.reading() as connection:
            rows = connection.execute(select(accounts).order_by(accounts.c.name)).mappings()
            return [_account(row) for row in rows]

    def get(self, name: str) -> Account | None:
        """The account of a name, in any case of letters."""
        with self._store.reading() as connection:
            return _get(connection, name)

    def add(self, name: str, role: Role, tenants: Iterable[str], *, by: str, now: float) -> Account:
        """Add an account, which is of no use until its invitation is taken.

        Raises:
            AccountError: the name is taken or cannot be one, or the tenants do not fit the role or are none.
        """
        given = checked_tenants(role, known_tenants(tenants, self._tenants))
        account = Account(checked_name(name), role, given, False, now)
        with self._store.writing() as connection:
            if _get(connection, name):
                raise AccountError(N_("there is an account %(name)s already"), name=repr(name))
            connection.execute(accounts.insert(), [_row(account)])
            write_events(connection, [_event(now, "account-added", name, by, account)])
        return account

    def change(self, name: str, role: Role, tenants: Iterable[str], *, by: str, now: float) -> Account:
        """Give an account another role; its sessions go on with it.

        Raises:
            AccountError: there is no such account, the last administrator would be gone, or the tenants do
                not fit the role or are none.
        """
        with self._store.writing() as connection:
            old = _existing(connection, name)
            given = checked_tenants(role, known_tenants(tenants, self._tenants, old.tenants))
            new = msgspec.structs.replace(old, role=role, tenants=given)
            _put(connection, new)
            _keep_one(connection, old)
            write_events(connection, [_event(now, "account-changed", name, by, new)])
        return new

    def disable(self, name: str, *, by: str, now: float, disabled: bool = True) -> Account:
        """Shut an account, ending its sessions, or open it again.

        Raises:
            AccountError: there is no such account, or the last administrator would be gone.
        """
        with self._store.writing() as connection:
            old = _existing(connection, name)
            new = msgspec.structs.replace(old, disabled=disabled)
            _put(connection, new)
            _keep_one(connection, old)
            if disabled:
                connection.execute(delete(sessions).where(sessions.c.account == old.name))
            kind = "account-disabled" if disabled else "account-enabled"
            write_events(connection, [_event(now, kind, name, by, new)])
        return new

    def set_password(self, name: str, password: str, *, by: str, now: float, keep: str = "") -> None:
        """Keep a password's hash; all sessions end, but the one to keep.

        Raises:
            AccountError: there is no such account.
        """
        with self._store.writing() as connection:
            account = _existing(connection, name)
            _set_password(connection, account, password, keep)
            write_events(connection, [_event(now, "password-set", account.name, by)])

    def rehash(self, name: str, password: str) -> None:
        """Keep another hash of the same password."""
        with self._store.writing() as connection:
            query = update(accounts).where(accounts.c.name == name)
            connection.execute(query.values(password=password))

    # Invitations

    def invite(
        self,
        account: str,
        role: Role,
        tenants: Iterable[str] = (),
        *,
        by: str,
        now: float,
        hours: int = INVITED_HOURS,
    ) -> str:
        """Make a one-time link's secret, for an account, or for a new one whose name the guest chooses.

        Earlier invitations for the same account are void. Of an account that is there the role stays.

        Raises:
            Unfit: the name cannot be one, or the tenants do not fit the role or are none.
        """
        account = checked_name(account) if account.strip() else ""
        secret = marked_secret(self._store.secret)
        with self._store.writing() as connection:
            known = _get(connection, account) if account else None
            if known:
                account, role, tenants = known.name, known.role, known.tenants
            held = known.tenants if known else ()
            tenants = checked_tenants(role, known_tenants(tenants, self._tenants, held))
            connection.execute(
                delete(invitations).where((invitations.c.account == account) | (invitations.c.expires <= now))
            )
            row = {
                "id": hashed(secret),
                "account": account,
                "role": role.value,
                "tenants": packed(tenants),
                "by": by,
                "expires": now + hours * 3600,
            }
            connection.execute(invitations.insert(), [row])
            detail: Detail = {"role": role.value, "hours": hours}
            write_events(connection, [Event(now, "invitation-made", name=account, actor=by, detail=detail)])
        return secret

    def first(self, now: float) -> str | None:
        """The secret of the first administrator's link; None if somebody can log in already."""
        with self._store.reading() as connection:
            query = select(func.count()).select_from(accounts).where(accounts.c.password != "")
            if connection.scalar(query):
                return None
        return self.invite("", Role.ADMINISTRATOR, by="wehr", now=now)

    def invitation(self, secret: str, now: float) -> Invitation | None:
        """What a link invites to; None if it is none, or not any more."""
        with self._store.reading() as connection:
            return _invitation(connection, secret, now)

    def accept(self, secret: str, name: str, password: str, now: float) -> Account:
        """Take an invitation, which is void then: set the password of its account, made if need be.

        Args:
            secret: the link's.
            name: the name that the guest chose, where none was given.
            password: the password's hash.
            now: UTC seconds since 1970.

        Raises:
            AccountError: the invitation is void, or the name cannot be had.
        """
        with self._store.writing() as connection:
            invited = _invitation(connection, secret, now)
            if invited is None:
                raise AccountError(N_("this link is no longer valid"))
            chosen = checked_name(invited.account or name)
            account = _get(connection, chosen)
            if account and not invited.account:
                raise AccountError(N_("there is an account %(name)s already"), name=repr(chosen))
            if account is None:
                account = Account(chosen, invited.role, invited.tenants, False, now)
                connection.execute(accounts.insert(), [_row(account)])
                write_events(connection, [_event(now, "account-added", chosen, invited.by, account)])
            connection.execute(delete(invitations).where(invitations.c.id == hashed(secret)))
            _set_password(connection, account, password)
            write_events(connection, [_event(now, "password-set", account.name, account.name)])
        return account


def checked_name(name: str) -> str:
    """A name as the audit can show it.

    Raises:
        Unfit: it is empty, too long, or holds what is not printed.
    """
    name = name.strip()
    if not name or len(name) > _LONGEST or not name.isprintable() or name == "wehr":
        raise Unfit(N_("a name has 1 to 100 printable characters, and 'wehr' is taken"))
    return name


def known_tenants(
    tenants: Iterable[str], there_are: Collection[str] | None, held: Collection[str] = ()
) -> tuple[str, ...]:
    """The same tenants, if each is one of those there are (None: any may be), or held already.

    Raises:
        Unfit: one is neither.
    """
    given = tuple(tenants)
    if there_are is None:
        return given
    for name in given:
        if name not in there_are and name not in held:
            text = N_("no tenant is called %(name)s; there are %(others)s")
            raise Unfit(text, name=repr(name[:100]), others=", ".join(there_are))
    return given


def checked_tenants(role: Role, tenants: Iterable[str]) -> tuple[str, ...]:
    """The tenants of a role.

    Raises:
        Unfit: a tenant operator has none, or another role has some.
    """
    given = tuple(sorted({tenant for tenant in tenants if tenant}))
    if bool(given) != (role is Role.TENANT_OPERATOR):
        raise Unfit(N_("a tenant operator needs tenants, and nobody else has any"))
    return given


def _event(now: float, kind: str, name: str, by: str, account: Account | None = None) -> Event:
    detail: Detail = {}
    if account:
        detail = {"role": account.role.value}
        if account.tenants:
            detail["tenants"] = ", ".join(account.tenants)
    return Event(now, kind, name=name, actor=by, detail=detail)


def _get(connection: Connection, name: str) -> Account | None:
    name = name.strip()
    if not name.isprintable():
        return None
    # SQLite knows the case of ASCII letters only.
    same = (accounts.c.name == name) | (func.lower(accounts.c.name) == name.lower())
    query = select(accounts).where(same)
    row = connection.execute(query).mappings().first()
    return _account(row) if row else None


def _existing(connection: Connection, name: str) -> Account:
    account = _get(connection, name)
    if account is None:
        raise NotThere(N_("there is no account %(name)s"), name=repr(name))
    return account


def _keep_one(connection: Connection, changed: Account) -> None:
    """Somebody must be left who can let others in; whoever cannot log in does not count."""
    if changed.role is not Role.ADMINISTRATOR or changed.disabled:
        return
    query = (
        select(func.count())
        .select_from(accounts)
        .where(accounts.c.role == Role.ADMINISTRATOR.value, ~accounts.c.disabled, accounts.c.password != "")
    )
    if changed.password and not connection.scalar(query):
        raise AccountError(
            N_("%(name)s is the last administrator; make another one first"), name=repr(changed.name)
        )


def _set_password(connection: Connection, account: Account, password: str, keep: str = "") -> None:
    query = update(accounts).where(accounts.c.name == account.name)
    connection.execute(query.values(password=password))
    others = (sessions.c.account == account.name) & (sessions.c.id != keep)
    connection.execute(delete(sessions).where(others))


def _put(connection: Connection, account: Account) -> None:
    upsert(connection, accounts, ("name",), [_row(account)])


def _invitation(connection: Connection, secret: str, now: float) -> Invitation | None:
    query = select(invitations).where(invitations.c.id == hashed(secret), invitations.c.expires > now)
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    return Invitation(row["account"], Role(row["role"]), unpacked(row["tenants"]), row["by"], row["expires"])


def _row(account: Account) -> dict[str, Any]:
    return {
        **msgspec.structs.asdict(account),
        "role": account.role.value,
        "tenants": packed(account.tenants),
    }


def _account(row: RowMapping) -> Account:
    return Account(
        row["name"],
        Role(row["role"]),
        unpacked(row["tenants"]),
        row["disabled"],
        row["created"],
        row["password"],
    )


def packed(tenants: Iterable[str]) -> str:
    """Tenants as the store holds them."""
    return msgspec.json.encode(tuple(tenants)).decode()


def unpacked(tenants: str) -> tuple[str, ...]:
    """Tenants as the store holds them."""
    return msgspec.json.decode(tenants, type=tuple[str, ...])
