"""Who is logged in. Sessions live in the store: any worker knows them, and one can be ended at once."""

from msgspec import Struct
from sqlalchemy import ColumnElement, delete, select, update

from wehr.ledger import Event, Store
from wehr.ledger.carrying import write_events
from wehr.ledger.rows import Detail
from wehr.ledger.schema import accounts, sessions
from wehr.web.access.accounts import Account, unpacked
from wehr.web.access.secret import hashed, marked_secret
from wehr.web.visit import Role

_SEEN_EVERY = 60.0
"""Seconds between two notes that a session is in use."""
_MOST = 50
"""Sessions of one account; beyond it the oldest end."""


class Lifetime(Struct, frozen=True):
    """How long a session lasts, in seconds: at most, and without a request."""

    whole: float
    idle: float


class Session(Struct, frozen=True):
    """One browser that is logged in; ``id`` is a hash of what it holds."""

    id: str
    account: str
    created: float
    seen: float
    client_ip: str
    agent: str


class Sessions:
    """The sessions in an open store. Each method is one transaction, with its event if it has one."""

    def __init__(self, store: Store, lifetime: Lifetime) -> None:
        self._store = store
        self._lifetime = lifetime

    def begin(
        self, account: Account, client_ip: str, agent: str, old: str, now: float, *, provider: str = ""
    ) -> str:
        """Log somebody in, always under a new secret, which is for the browser; ``old`` is void.

        ``provider`` is the issuer of who vouches for them, if it was no password.
        """
        secret = marked_secret(self._store.secret)
        row = {
            "id": hashed(secret),
            "account": account.name,
            "created": now,
            "seen": now,
            "client_ip": client_ip[:60],
            "agent": agent[:200],
        }
        with self._store.writing() as connection:
            connection.execute(delete(sessions).where(self._over(now) | (sessions.c.id == hashed(old))))
            query = (
                select(sessions.c.id)
                .where(sessions.c.account == account.name)
                .order_by(sessions.c.created.desc())
                .offset(_MOST - 1)
            )
            surplus = [it[0] for it in connection.execute(query)]
            connection.execute(delete(sessions).where(sessions.c.id.in_(surplus)))
            connection.execute(sessions.insert(), [row])
            detail: Detail = {"client_ip": client_ip[:60], **({"provider": provider} if provider else {})}
            write_events(
                connection,
                [Event(now, "logged-in", name=account.name, actor=account.name, detail=detail)],
            )
        return secret

    def find(self, secret: str, now: float) -> tuple[Session, Account] | None:
        """Whose session a browser holds; None if it is none, over, or its account is shut."""
        query = (
            select(sessions, accounts.c.role, accounts.c.tenants)
            .join(accounts, accounts.c.name == sessions.c.account)
            .where(sessions.c.id == hashed(secret), ~accounts.c.disabled, ~self._over(now))
        )
        with self._store.reading() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            return None
        session = Session(**{name: row[name] for name in Session.__struct_fields__})
        if now - session.seen > _SEEN_EVERY:
            self._touch(session.id, now)
        role, tenants = Role(row["role"]), unpacked(row["tenants"])
        return session, Account(session.account, role, tenants, False, 0.0)

    def of(self, account: str, now: float) -> list[Session]:
        """An account's sessions, the one used last first."""
        query = select(sessions).where(sessions.c.account == account, ~self._over(now))
        with self._store.reading() as connection:
            rows = connection.execute(query.order_by(sessions.c.seen.desc())).mappings()
            return [Session(**row) for row in rows]

    def end(self, session_id: str, account: str, now: float, *, kind: str = "logged-out") -> None:
        """End a session of an account."""
        mine = (sessions.c.id == session_id) & (sessions.c.account == account)
        with self._store.writing() as connection:
            if connection.execute(delete(sessions).where(mine)).rowcount:
                write_events(connection, [Event(now, kind, name=account, actor=account)])

    def _touch(self, session_id: str, now: float) -> None:
        with self._store.writing() as connection:
            connection.execute(update(sessions).where(sessions.c.id == session_id).values(seen=now))

    def _over(self, now: float) -> ColumnElement[bool]:
        lifetime = self._lifetime
        return (sessions.c.created <= now - lifetime.whole) | (sessions.c.seen <= now - lifetime.idle)
