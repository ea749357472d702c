"""The store: what all nodes share. SQLite in a file, or PostgreSQL; the way of a message never touches it."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, func, select
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
from wehr.ledger.records import Records
from wehr.ledger.rows import Changes
from wehr.ledger.schema import counter, journals, servers
from wehr.ledger.state import ServerState, unpack_state
from wehr.policy.types import ServerKey

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


class Store(Records):
    """An open store: the records, what nodes carry into it and learn from it, and what keeps it in order.

    Each method is one transaction; any may raise `StoreAway` (try again later) or `StoreUnreadable`.
    ``secret`` is shared by all nodes; references are made with it.
    """

    def __init__(self, engine: Engine, name: str, limits: Limits) -> None:
        super().__init__(engine, name)
        self.limits = limits
        try:
            with self._read() as connection:
                self.secret = read_secret(connection)
        except BaseException:
            self.close()
            raise

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

    def counters(self) -> dict[str, int]:
        """The number of the last ``change`` of servers, and of the last one of ``rules``."""
        with self._read() as connection:
            return _counters(connection)

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

    # What keeps it in order

    def prune(self, retention: Retention, now: float) -> dict[str, int]:
        """Remove one batch of what is too old; rows removed per table, all zero when there is no more."""
        old = cutoffs(retention, self.limits, now)
        with self._write() as connection:
            return prune_batch(connection, old, self.limits)

    def check(self) -> Iterator[str]:
        """What is wrong with it, one line each: damage, and states that do not fit history and events."""
        with self._read(still=True) as connection:
            yield from find_faults(connection)

    def newest(self) -> float:
        """The time that the store goes by: PostgreSQL's own, or the newest that a journal was carried at."""
        query = (
            select(func.extract("epoch", func.clock_timestamp()))
            if self.listens
            else select(func.max(journals.c.at))
        )
        with self._read() as connection:
            return float(connection.execute(query).scalar() or 0.0)

    def listen(self) -> Listening:
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


def _counters(connection: Connection) -> dict[str, int]:
    return {row[0]: row[1] for row in connection.execute(select(counter.c.name, counter.c.value))}


def _position(connection: Connection, node: str) -> Position:
    query = select(journals.c.segment, journals.c.offset).where(journals.c.node == node)
    row = connection.execute(query).first()
    return Position() if row is None else Position(row[0], row[1])
