"""What people ask of a store and change in it; nodes learn of their changes (`wehr.ledger.store`)."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, RowMapping, Select, Table, func, or_, select, tuple_

from wehr.ledger import carrying
from wehr.ledger.database import Database
from wehr.ledger.errors import RuleDamaged
from wehr.ledger.rows import Event, ServerRow, SightingRow, Tally
from wehr.ledger.schema import events, exemptions, meta, metadata, pauses, servers, sightings, tallies
from wehr.ledger.state import DAY, unpack_state
from wehr.policy.laddering import Past
from wehr.policy.pauses import Pause
from wehr.policy.scope import Exemption
from wehr.policy.types import ServerKey
from wehr.policy.windows import HOUR

_T = TypeVar("_T")
_PAST: Final = "past"


class Records(Database):
    """The books: servers, their history, counts, events, and the rules that people make.

    Each method is one transaction; any may raise `StoreAway` (try again later) or `StoreUnreadable`, and
    those that read rules `RuleDamaged`.
    """

    # What is asked

    def server(self, ref: str) -> ServerRow | None:
        """One server by its reference."""
        return next(iter(self._servers(select(servers).where(servers.c.ref == ref))), None)

    def servers(
        self,
        *,
        name: str | None = None,
        tenant: str | None = None,
        refs: Collection[str] | None = None,
        seen_since: float = 0.0,
        surest_first: bool = False,
        limit: int = 10_000,
    ) -> list[ServerRow]:
        """Servers, the one seen last first; ``name`` is the stamped name, the client's, or its address.

        With ``surest_first`` those come before that are confirmed, and then those seen on several days: no
        flood of forged names keeps them from a list.
        """
        query = select(servers).where(servers.c.last_seen >= seen_since)
        if name is not None:
            columns = (servers.c.name, servers.c.client_name, servers.c.client_ip)
            query = query.where(or_(*(column == name.lower() for column in columns)))
        if tenant is not None:
            query = query.where(servers.c.tenant == tenant)
        if refs is not None:
            query = query.where(servers.c.ref.in_(refs))
        if surest_first:
            lasting = servers.c.last_seen - servers.c.first_seen > DAY
            query = query.order_by(servers.c.confirmed.desc(), lasting.desc())
        return self._servers(query.order_by(servers.c.last_seen.desc(), servers.c.ref).limit(limit))

    def history(self, ref: str, *, limit: int = 100, before: int | None = None) -> list[SightingRow]:
        """A server's messages, newest first; ``before`` is the id where the previous page ended."""
        query = _newest_first(select(sightings).where(sightings.c.ref == ref), sightings, before)
        return self._rows(query.limit(limit), SightingRow)

    def message(self, queue_id: str, *, since: float = 0.0, limit: int = 100) -> list[SightingRow]:
        """What was decided on the latest message that the mail system called so, newest first.

        Walks back over the history to ``since``, for an index would cost each message more than the few
        questions are worth; over the latest hours and days first, lest PostgreSQL read all of it for these.
        Mail systems use queue ids again: what is an hour older is another message.
        """
        mine, known = sightings.c.queue_id == queue_id, sightings.c.at
        with self._read() as connection:
            newest = connection.scalar(select(func.max(known))) or 0.0
            for start in (newest - 6 * HOUR, newest - 2 * DAY, since):
                latest = select(known).where(mine, known >= max(start, since)).order_by(known.desc())
                if (at := connection.scalar(latest.limit(1))) is not None:
                    break
        if at is None:
            return []
        query = select(sightings).where(mine, sightings.c.at > at - HOUR, sightings.c.at <= at)
        return self._rows(_newest_first(query, sightings, None).limit(limit), SightingRow)

    def tallies(self, *, since_day: int = 0, ref: str | None = None) -> list[Tally]:
        """Messages per server, day and outcome, from a day on (counted from 1970-01-01)."""
        query = select(tallies).where(tallies.c.day >= since_day)
        if ref is not None:
            query = query.where(tallies.c.ref == ref)
        return self._rows(query.order_by(tallies.c.day, tallies.c.ref), Tally)

    def sums(self, *, refs: Collection[str] | None = None, since_day: int = 0) -> list[Tally]:
        """Messages per server and outcome, from a day on: each tally's day is 0, and its reason empty."""
        what = (tallies.c.ref, tallies.c.action, tallies.c.enforced)
        query = select(*what, func.sum(tallies.c.messages)).group_by(*what)
        if refs is not None:
            query = query.where(tallies.c.ref.in_(refs))
        if since_day:
            query = query.where(tallies.c.day >= since_day)
        with self._read() as connection:
            return [Tally(0, row[0], row[1], "", row[2], int(row[3])) for row in connection.execute(query)]

    def events(
        self,
        *,
        ref: str | None = None,
        server: str | None = None,
        since: float = 0.0,
        until: float | None = None,
        kinds: Sequence[str] = (),
        tenant: str | None = None,
        actor: str | None = None,
        tenants: Collection[str] | None = None,
        before: int | None = None,
        limit: int = 1000,
    ) -> list[Event]:
        """What was changed, newest first.

        ``server`` is a name or reference, in any case; ``before`` is the id where the previous page ended.
        """
        query = select(events).where(events.c.at >= since)
        if server is not None:
            query = query.where(or_(*(column == server.lower() for column in (events.c.ref, events.c.name))))
        if until is not None:
            query = query.where(events.c.at < until)
        if kinds:
            query = query.where(events.c.kind.in_(kinds))
        if tenants is not None:
            query = query.where(events.c.tenant.in_(tenants))
        for column, value in ((events.c.ref, ref), (events.c.tenant, tenant), (events.c.actor, actor)):
            if value is not None:
                query = query.where(column == value)
        with self._read() as connection:
            rows = connection.execute(_newest_first(query, events, before).limit(limit)).mappings()
            return [_event(row) for row in rows]

    def count(self) -> dict[str, int]:
        """The number of rows per table."""
        with self._read() as connection:
            return {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in metadata.sorted_tables
            }

    # The rules, and how they are changed

    def pauses(self) -> tuple[Pause, ...]:
        """All pauses there have been, cancelled ones too."""
        with self._read() as connection:
            return _pauses(connection)

    def exemptions(self) -> dict[str, Exemption]:
        """All exemptions by id, ended ones too.

        Raises:
            RuleDamaged: one cannot be read.
        """
        query = select(exemptions.c.id, exemptions.c.value).order_by(exemptions.c.id)
        with self._read() as connection:
            return {
                row[0]: _rule(row[1], Exemption, f"exemption {row[0]}") for row in connection.execute(query)
            }

    def past(self) -> Past:
        """Which ladders have been in force, and since when."""
        with self._read() as connection:
            return _past(connection)

    def change_pauses(
        self, change: Callable[[tuple[Pause, ...]], tuple[Pause, ...]], event: Event
    ) -> tuple[Pause, ...]:
        """Replace the pauses by what ``change`` makes of them; nobody else can change them in between.

        ``event`` is added for each pause that is another one then, and says what it is.
        What ``change`` raises (a quota that is used up) is passed on, and nothing is written.
        """
        with self._write() as connection:
            # Taking the counter first holds off everybody else, on PostgreSQL as well.
            carrying.bump(connection, "rules")
            old = _pauses(connection)
            new = change(old)
            rows = [
                {"id": pause.id, "tenant": pause.tenant, "value": msgspec.json.encode(pause)}
                for pause in new
                if pause not in old
            ]
            carrying.upsert(connection, pauses, ("id",), rows)
            carrying.write_events(
                connection,
                [
                    _telling(event, "pause", pause, pause.id, pause.tenant)
                    for pause in new
                    if pause not in old
                ],
            )
            return new

    def put_exemption(self, exemption_id: str, exemption: Exemption, event: Event) -> None:
        """Add an exemption, or put another in its place (to end it, one with an end)."""
        with self._write() as connection:
            carrying.bump(connection, "rules")
            value = msgspec.json.encode(exemption)
            row = {"id": exemption_id, "tenant": exemption.tenant, "value": value}
            carrying.upsert(connection, exemptions, ("id",), [row])
            told = _telling(event, "exemption", exemption, exemption_id, exemption.tenant)
            carrying.write_events(connection, [told])

    def change_past(self, change: Callable[[Past], Past], event: Event) -> Past:
        """Note what is in force now; ``event`` is added if that is another ladder than before."""
        old = self.past()
        if change(old) == old:
            return old
        with self._write() as connection:
            carrying.bump(connection, "rules")
            old = _past(connection)
            new = change(old)
            row = {"name": _PAST, "value": msgspec.json.encode(new).decode()}
            carrying.upsert(connection, meta, ("name",), [row])
            if old.eras and new.eras != old.eras:
                after = {"era": msgspec.to_builtins(new.eras[-1])}
                carrying.write_events(connection, [replace(event, after=after)])
            return new

    def add_event(self, event: Event) -> None:
        """Add to the list of what was changed."""
        with self._write() as connection:
            carrying.write_events(connection, [event])

    def _servers(self, query: Select[Any]) -> list[ServerRow]:
        with self._read() as connection:
            return [_server_row(row) for row in connection.execute(query).mappings()]

    def _rows(self, query: Select[Any], kind: type[_T]) -> list[_T]:
        with self._read() as connection:
            return [kind(**row) for row in connection.execute(query).mappings()]


def _newest_first(query: Select[Any], table: Table, before: int | None) -> Select[Any]:
    """In the order of time, not of arrival: what a node saw while the store was away comes in late."""
    if before is not None:
        last = select(table.c.at).where(table.c.id == before).scalar_subquery()
        query = query.where(tuple_(table.c.at, table.c.id) < tuple_(last, before))
    return query.order_by(table.c.at.desc(), table.c.id.desc())


def _pauses(connection: Connection) -> tuple[Pause, ...]:
    query = select(pauses.c.id, pauses.c.value).order_by(pauses.c.id)
    return tuple(_rule(row[1], Pause, f"pause {row[0]}") for row in connection.execute(query))


def _past(connection: Connection) -> Past:
    value = connection.execute(select(meta.c.value).where(meta.c.name == _PAST)).scalar()
    return Past() if value is None else _rule(value, Past, "the list of ladders")


def _rule(value: bytes | str, kind: type[_T], what: str) -> _T:
    try:
        return msgspec.json.decode(value, type=kind)
    except msgspec.MsgspecError as error:
        raise RuleDamaged(
            f"{what} in the store cannot be read ({error}); restore a backup with 'wehr store restore', or "
            "put it right by what 'wehr events --json' tells of it"
        ) from error


def _telling(event: Event, word: str, value: Pause | Exemption, ident: str, tenant: str) -> Event:
    """The event with what it made: so that this can be rebuilt from the events alone."""
    after = {word: msgspec.to_builtins(value)}
    return replace(event, tenant=tenant, detail={**event.detail, "id": ident}, after=after)


def _event(row: RowMapping) -> Event:
    after = msgspec.json.decode(row["after"]) if row["after"] else {}
    return Event(**{**row, "detail": msgspec.json.decode(row["detail"]), "after": after})


def _server_row(row: RowMapping) -> ServerRow:
    taken = {name: row[name] for name in ServerRow.__struct_fields__ if name not in ("key", "state")}
    key = ServerKey(row["tenant"], row["name"], row["network"])
    return ServerRow(key=key, state=unpack_state(row["state"]), **taken)
