"""The store: what all nodes share. SQLite in a file, or PostgreSQL; the way of a message never touches it."""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, RowMapping, Select, func, or_, select
from sqlalchemy.engine import make_url

from wehr.ledger import carrying
from wehr.ledger.checking import find_faults
from wehr.ledger.condense import Digest
from wehr.ledger.copying import Progress, copy_tables
from wehr.ledger.errors import PositionMoved
from wehr.ledger.journal import Entry, Position
from wehr.ledger.listening import Listening
from wehr.ledger.maintenance import Retention, back_up, cutoffs, new_file, prune_batch
from wehr.ledger.memory import Limits
from wehr.ledger.opening import open_engine, read_secret, translated
from wehr.ledger.rows import Changes, Event, ServerRow, SightingRow, Tally
from wehr.ledger.schema import (
    counter,
    events,
    exemptions,
    journals,
    meta,
    metadata,
    pauses,
    servers,
    sightings,
    tallies,
)
from wehr.ledger.state import ServerState, unpack_state
from wehr.policy.laddering import Past
from wehr.policy.pauses import Pause
from wehr.policy.scope import Exemption
from wehr.policy.types import ServerKey

_T = TypeVar("_T")
_PAST: Final = "past"
PackedState = tuple[str, str, str, bytes]
"""Tenant, name and network of a server, and its state as `wehr.ledger.state.pack_state` makes it."""
_CHANGES: Final = 10_000
"""More than any one transaction writes, so that a page always holds at least one change whole."""


def open_store(url: str, *, create: bool = True, limits: Limits | None = None) -> "Store":
    """Open a store and bring its tables up to date.

    Args:
        url: ``sqlite:////var/lib/wehr/wehr.sqlite``, or a PostgreSQL URL.
        create: whether a store that is not there is made; its file and folder are for their owner alone.
        limits: how long servers are remembered.

    Raises:
        StoreUnreadable: it is damaged, not Wehr's, or not there; it has not been touched.
        StoreNewer: a newer Wehr has written it.
        StoreAway: it cannot be reached at the moment.
        LedgerError: the URL cannot be used.
    """
    return Store(open_engine(url, create=create), make_url(url).render_as_string(), limits or Limits())


class Store:
    """An open store. Any thread may use it, one at a time; each method is one transaction.

    Every method may raise `StoreAway` (try again later) or `StoreUnreadable` (damaged).
    """

    def __init__(self, engine: Engine, name: str, limits: Limits) -> None:
        self.name = name
        self.limits = limits
        self.listens = engine.dialect.name == "postgresql"
        """Whether `listen` works; otherwise others' changes are found by asking."""
        self._engine = engine
        self._lock = threading.Lock()
        with self._read() as connection:
            self.secret = read_secret(connection)
        """Shared by all nodes; references are made with it."""

    @property
    def window_key(self) -> bytes:
        """The key that places the windows, the same on every node."""
        return blake2b(b"windows", key=self.secret, digest_size=32).digest()

    # What nodes carry in

    def position(self, node: str) -> Position:
        """How far a node's journal has been carried in."""
        with self._read() as connection:
            return _position(connection, node)

    def carry(self, node: str, start: Position, entries: Sequence[Entry], end: Position, now: float) -> None:
        """Take in entries of a node's journal and remember the place after them, in one transaction.

        Raises:
            PositionMoved: the journal has not been carried exactly to ``start``.
        """
        with self._write() as connection:
            self._move(connection, node, start, end, now)
            carrying.write_entries(connection, entries, node, self.secret, self.limits)

    def carry_digest(self, node: str, start: Position, digest: Digest, end: Position, now: float) -> None:
        """Take in a digest as `carry` takes in entries.

        Raises:
            PositionMoved: the journal has not been carried exactly to ``start``.
        """
        with self._write() as connection:
            self._move(connection, node, start, end, now)
            carrying.write_digest(connection, digest, node, self.secret, self.limits)

    def _move(self, connection: Connection, node: str, start: Position, end: Position, now: float) -> None:
        """Move a journal's position, in the caller's transaction, if it is where it should be."""
        found = _position(connection, node)
        if found != start:
            raise PositionMoved(f"{self.name}: the journal of {node} was carried to {found}, not {start}")
        # A clock that was set back must not hide that it was.
        latest = connection.scalar(select(journals.c.at).where(journals.c.node == node)) or 0.0
        row = {"node": node, "segment": end.segment, "offset": end.offset, "at": max(latest, now)}
        carrying.upsert(connection, journals, ("node",), [row])

    def merge_states(self, states: Iterable[tuple[ServerKey, ServerState]]) -> int:
        """Join states into those that are stored; tells how many servers are new."""
        with self._write() as connection:
            return carrying.write_states(connection, states, self.secret, self.limits)

    # What nodes learn

    def load_states(self) -> Iterator[tuple[ServerKey, ServerState]]:
        """The states of all servers, as of one moment; the store serves nobody else until all are read."""
        with translated(self.name):  # what cannot be read is damage of this store
            for tenant, name, network, state in self.packed_states():
                yield ServerKey(tenant, name, network), unpack_state(state)

    def packed_states(self) -> Generator[PackedState, None, None]:
        """The same, as they are stored."""
        query = select(servers.c.tenant, servers.c.name, servers.c.network, servers.c.state)
        every = {"yield_per": _CHANGES}
        with self._read() as connection, connection.execute(query, execution_options=every) as rows:
            for row in rows:
                yield row[0], row[1], row[2], row[3]

    def last_change(self) -> int:
        """The number of the last change of servers: what is read afterwards holds it and all before it."""
        with self._read() as connection:
            return _counters(connection)["change"]

    def changes(self, since: int) -> Changes:
        """What was written after change number ``since``, in order, some thousand servers at a time."""
        query = (
            select(servers.c.change, servers.c.tenant, servers.c.name, servers.c.network, servers.c.state)
            .where(servers.c.change > since)
            .order_by(servers.c.change)
            .limit(_CHANGES)
        )
        with self._read() as connection:
            counters = _counters(connection)
            rows = connection.execute(query).all() if counters["change"] > since else []
            upto, more = counters["change"], len(rows) == _CHANGES
            if more:
                # The last change may go on behind the limit: it is left for the next page.
                rows = [row for row in rows if row[0] != rows[-1][0]]
                upto = rows[-1][0]
            found = tuple((ServerKey(row[1], row[2], row[3]), unpack_state(row[4])) for row in rows)
        return Changes(upto, found, counters["rules"], more)

    def pauses(self) -> tuple[Pause, ...]:
        """All pauses there have been, cancelled ones too."""
        with self._read() as connection:
            return _pauses(connection)

    def exemptions(self) -> dict[str, Exemption]:
        """All exemptions by id, ended ones too."""
        query = select(exemptions.c.id, exemptions.c.value).order_by(exemptions.c.id)
        with self._read() as connection:
            return {row[0]: msgspec.json.decode(row[1], type=Exemption) for row in connection.execute(query)}

    def past(self) -> Past:
        """Which ladders have been in force, and since when."""
        with self._read() as connection:
            return _past(connection)

    # What people change

    def change_pauses(
        self, change: Callable[[tuple[Pause, ...]], tuple[Pause, ...]], event: Event
    ) -> tuple[Pause, ...]:
        """Replace the pauses by what ``change`` makes of them; nobody else can change them in between.

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
            carrying.write_events(connection, [event])
            return new

    def put_exemption(self, exemption_id: str, exemption: Exemption, event: Event) -> None:
        """Add an exemption, or put another in its place (to end it, one with an end)."""
        with self._write() as connection:
            carrying.bump(connection, "rules")
            value = msgspec.json.encode(exemption)
            row = {"id": exemption_id, "tenant": exemption.tenant, "value": value}
            carrying.upsert(connection, exemptions, ("id",), [row])
            carrying.write_events(connection, [event])

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
                carrying.write_events(connection, [event])
            return new

    def add_event(self, event: Event) -> None:
        """Add to the list of what was changed."""
        with self._write() as connection:
            carrying.write_events(connection, [event])

    # What people ask

    def server(self, ref: str) -> ServerRow | None:
        """One server by its reference."""
        return next(iter(self._servers(select(servers).where(servers.c.ref == ref))), None)

    def servers(
        self,
        *,
        name: str | None = None,
        tenant: str | None = None,
        seen_since: float = 0.0,
        limit: int = 10_000,
    ) -> list[ServerRow]:
        """Servers, the one seen last first; ``name`` is the stamped name, the client's, or its address."""
        query = select(servers).where(servers.c.last_seen >= seen_since)
        if name is not None:
            columns = (servers.c.name, servers.c.client_name, servers.c.client_ip)
            query = query.where(or_(*(column == name.lower() for column in columns)))
        if tenant is not None:
            query = query.where(servers.c.tenant == tenant)
        return self._servers(query.order_by(servers.c.last_seen.desc(), servers.c.ref).limit(limit))

    def history(self, ref: str, *, limit: int = 100, before: int | None = None) -> list[SightingRow]:
        """A server's messages, newest first; ``before`` is the id where the previous page ended."""
        query = select(sightings).where(sightings.c.ref == ref)
        if before is not None:
            query = query.where(sightings.c.id < before)
        return self._rows(query.order_by(sightings.c.id.desc()).limit(limit), SightingRow)

    def message(self, queue_id: str, *, limit: int = 100) -> list[SightingRow]:
        """What was decided on a message, by the mail system's queue id; walks over the history."""
        query = select(sightings).where(sightings.c.queue_id == queue_id)
        return self._rows(query.order_by(sightings.c.id.desc()).limit(limit), SightingRow)

    def tallies(self, *, since_day: int = 0, ref: str | None = None) -> list[Tally]:
        """Messages per server, day and outcome, from a day on (counted from 1970-01-01)."""
        query = select(tallies).where(tallies.c.day >= since_day)
        if ref is not None:
            query = query.where(tallies.c.ref == ref)
        return self._rows(query.order_by(tallies.c.day, tallies.c.ref), Tally)

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
        limit: int = 1000,
    ) -> list[Event]:
        """What was changed, newest first; ``server`` is a name or reference, and any case of it."""
        query = select(events).where(events.c.at >= since)
        if server is not None:
            query = query.where(or_(*(column == server.lower() for column in (events.c.ref, events.c.name))))
        if until is not None:
            query = query.where(events.c.at < until)
        if kinds:
            query = query.where(events.c.kind.in_(kinds))
        for column, value in ((events.c.ref, ref), (events.c.tenant, tenant), (events.c.actor, actor)):
            if value is not None:
                query = query.where(column == value)
        with self._read() as connection:
            rows = connection.execute(query.order_by(events.c.id.desc()).limit(limit)).mappings().all()
        return [Event(**{**row, "detail": msgspec.json.decode(row["detail"])}) for row in rows]

    def count(self) -> dict[str, int]:
        """The number of rows per table."""
        with self._read() as connection:
            return {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in metadata.sorted_tables
            }

    # What keeps it in order

    def prune(self, retention: Retention, now: float) -> dict[str, int]:
        """Remove one batch of what is too old; rows removed per table, all zero when there is no more."""
        old = cutoffs(retention, self.limits, now)
        with self._write() as connection:
            return prune_batch(connection, old, self.limits)

    def check(self) -> Iterator[str]:
        """What is wrong with it, one line each: damage, and states that do not fit history and events."""
        with self._read(still=True) as connection:
            yield from find_faults(connection, self.limits)

    def newest(self) -> float:
        """The time that the store goes by: PostgreSQL's own, or the newest that a journal was carried at."""
        query = (
            select(func.extract("epoch", func.clock_timestamp()))
            if self.listens
            else select(func.max(journals.c.at))
        )
        with self._read() as connection:
            return float(connection.execute(query).scalar() or 0.0)

    def listen(self) -> "Listening":
        """Hear of others' changes as they are made; only where ``listens`` is true."""
        with translated(self.name):
            return Listening(self._engine.url)

    def copy_to(
        self, target: "Store", *, replace: bool = False, progress: Progress | None = None
    ) -> dict[str, int]:
        """Copy all that it holds at one moment into another store; tells how many rows of each table.

        Raises:
            LedgerError: the target holds a ledger already, and ``replace`` is false.
        """
        with self._read(still=True) as source, target._write() as sink:  # noqa: SLF001 - of our own kind
            copied = copy_tables(source, sink, replace=replace, progress=progress)
            target.secret = read_secret(sink)
        return copied

    def back_up(self, target: Path, progress: Progress | None = None) -> None:
        """Copy it into a new SQLite file while it is in use.

        Raises:
            LedgerError: the target exists or cannot be made.
        """
        new_file(target)
        try:
            if not self.listens:
                with translated(self.name):
                    back_up(self._engine.url, target)
                return
            with open_store(f"sqlite:///{target}") as copy:
                self.copy_to(copy, progress=progress)
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _servers(self, query: Select[Any]) -> list[ServerRow]:
        with self._read() as connection:
            return [_server_row(row) for row in connection.execute(query).mappings()]

    def _rows(self, query: Select[Any], kind: type[_T]) -> list[_T]:
        with self._read() as connection:
            return [kind(**row) for row in connection.execute(query).mappings()]

    @contextmanager
    def _read(self, *, still: bool = False) -> Iterator[Connection]:
        """``still``: all statements see one moment, as they always do with SQLite."""
        with self._lock, translated(self.name), self._engine.connect() as connection:
            connection.execution_options(wehr_writes=False)
            if still and self.listens:
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._lock, translated(self.name), self._engine.begin() as connection:
            yield connection


def _counters(connection: Connection) -> dict[str, int]:
    return {row[0]: row[1] for row in connection.execute(select(counter.c.name, counter.c.value))}


def _position(connection: Connection, node: str) -> Position:
    query = select(journals.c.segment, journals.c.offset).where(journals.c.node == node)
    row = connection.execute(query).first()
    return Position() if row is None else Position(row[0], row[1])


def _pauses(connection: Connection) -> tuple[Pause, ...]:
    query = select(pauses.c.value).order_by(pauses.c.id)
    return tuple(msgspec.json.decode(row[0], type=Pause) for row in connection.execute(query))


def _past(connection: Connection) -> Past:
    value = connection.execute(select(meta.c.value).where(meta.c.name == _PAST)).scalar()
    return Past() if value is None else msgspec.json.decode(value, type=Past)


def _server_row(row: RowMapping) -> ServerRow:
    taken = {name: row[name] for name in ServerRow.__struct_fields__ if name not in ("key", "state")}
    key = ServerKey(row["tenant"], row["name"], row["network"])
    return ServerRow(key=key, state=unpack_state(row["state"]), **taken)
