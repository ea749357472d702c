"""Tokens: what programs log in with. ``wehr_<id>_<secret>``; of the secret only the hash is kept."""

import secrets
from collections.abc import Collection, Iterable
from enum import StrEnum
from hmac import compare_digest
from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import delete, select, update

from wehr.ledger import Event, Store
from wehr.ledger.carrying import write_events
from wehr.ledger.rows import Detail
from wehr.ledger.schema import tokens
from wehr.web.access.accounts import NotThere, Unfit, checked_name, known_tenants, packed, unpacked
from wehr.web.access.secret import hashed, new_secret
from wehr.web.languages import N_
from wehr.web.visit import Need

LONGEST_DAYS: Final = 3660
_KEPT_DAYS: Final = 90
"""Days that a token without force is still shown."""
_USED_EVERY: Final = 300.0
_DAY: Final = 86_400.0


class Scope(StrEnum):
    """What a token may do; each may all that stand before it."""

    READ = "read"
    OPERATE = "operate"
    """Pause, exempt, cancel."""
    ADMIN = "admin"
    """Accounts and tokens."""

    @property
    def may(self) -> Need:
        """What that allows."""
        return {Scope.READ: Need.READ, Scope.OPERATE: Need.OPERATE, Scope.ADMIN: Need.ADMIN}[self]


class Token(Struct, frozen=True):
    """A token without its secret. ``tenants`` are those that it is bound to; none: all."""

    id: str
    name: str
    scope: Scope
    tenants: tuple[str, ...]
    by: str
    created: float
    expires: float
    used: float
    """About when it was used last; 0 if never."""
    revoked: bool

    def valid(self, now: float) -> bool:
        """Whether it opens anything."""
        return not self.revoked and now < self.expires


class Tokens:
    """The tokens in an open store. Each method is one transaction, with the event that tells of it.

    Args:
        store: open.
        tenants: those there are, as the policy knows them: to no other is a token bound. None: to any.
    """

    def __init__(self, store: Store, tenants: Collection[str] | None = None) -> None:
        self._store = store
        self._tenants = tenants

    def create(
        self, name: str, scope: Scope, tenants: Iterable[str], *, days: int, by: str, now: float
    ) -> tuple[Token, str]:
        """A new token, and the text that is shown once.

        Raises:
            Unfit: the name or the number of days cannot be, or a tenant is none.
        """
        if not 1 <= days <= LONGEST_DAYS:
            raise Unfit(N_("a token lasts 1 to %(days)s days"), days=LONGEST_DAYS)
        bound = tuple(sorted(set(known_tenants(tenants, self._tenants))))
        if bound and scope is Scope.ADMIN:
            raise Unfit(N_("a token of scope admin cannot be bound to tenants"))
        secret = new_secret()
        token = Token(
            secrets.token_hex(6), checked_name(name), scope, bound, by, now, now + days * _DAY, 0.0, False
        )
        row = {
            **{field: getattr(token, field) for field in Token.__struct_fields__},
            "scope": scope.value,
            "tenants": packed(bound),
            "hash": hashed(secret),
        }
        with self._store.writing() as connection:
            old = now - _KEPT_DAYS * _DAY
            connection.execute(delete(tokens).where(tokens.c.expires <= old))
            connection.execute(tokens.insert(), [row])
            detail: Detail = {"id": token.id, "scope": scope.value, "tenants": ", ".join(bound), "days": days}
            write_events(connection, [Event(now, "token-created", name=token.name, actor=by, detail=detail)])
        return token, f"wehr_{token.id}_{secret}"

    def every(self) -> list[Token]:
        """All tokens, the newest first; those without force some months longer."""
        with self._store.reading() as connection:
            rows = connection.execute(select(tokens).order_by(tokens.c.created.desc())).mappings()
            return [_token(dict(row)) for row in rows]

    def revoke(self, token_id: str, *, by: str, now: float) -> Token:
        """Take a token's force.

        Raises:
            NotThere: there is none with this id.
        """
        with self._store.writing() as connection:
            row = connection.execute(select(tokens).where(tokens.c.id == token_id)).mappings().first()
            if row is None:
                raise NotThere(N_("there is no token %(id)s"), id=repr(token_id))
            token = _token(dict(row))
            if not token.revoked:
                connection.execute(update(tokens).where(tokens.c.id == token_id).values(revoked=True))
                detail: Detail = {"id": token.id}
                event = Event(now, "token-revoked", name=token.name, actor=by, detail=detail)
                write_events(connection, [event])
            return replace(token, revoked=True)

    def find(self, text: str, now: float) -> Token | None:
        """The token of which a program shows the text; None if it is none, or has no force."""
        parts = text.split("_", 2)
        if len(parts) != 3 or parts[0] != "wehr" or not parts[1].isalnum():
            return None
        with self._store.reading() as connection:
            row = connection.execute(select(tokens).where(tokens.c.id == parts[1])).mappings().first()
        if row is None or not compare_digest(row["hash"], hashed(parts[2])):
            return None
        token = _token(dict(row))
        if not token.valid(now):
            return None
        if now - token.used > _USED_EVERY:
            with self._store.writing() as connection:
                connection.execute(update(tokens).where(tokens.c.id == token.id).values(used=now))
        return token


def _token(row: dict[str, object]) -> Token:
    values = {name: row[name] for name in Token.__struct_fields__}
    return Token(**{**values, "scope": Scope(str(row["scope"])), "tenants": unpacked(str(row["tenants"]))})  # type: ignore[arg-type]
