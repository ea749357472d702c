"""Keeping a store in order: what is too old goes, what is there is checked, a copy is put aside."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from msgspec import Struct
from sqlalchemy import Connection, Select, Table, delete, func, select, tuple_
from sqlalchemy.engine import URL

from wehr.evidence.build import parse_build
from wehr.evidence.types import Confidence, Relation, Sighting
from wehr.ledger.errors import LedgerError, StateDamaged
from wehr.ledger.memory import Limits
from wehr.ledger.schema import events, servers, sightings, tallies
from wehr.ledger.state import DAY, day_of, merge, observe, unpack_state

BATCH: Final = 2000
"""Rows that go in one transaction: some ten milliseconds."""
_SHOWN: Final = 20


class Retention(Struct, frozen=True, forbid_unknown_fields=True):
    """How many days each kind of row is kept. Servers are kept for as long as they are remembered."""

    sightings: int = 30
    """Single messages: evidence, client address, queue id, decision."""
    tallies: int = 400
    events: int = 730


class Cutoffs(Struct, frozen=True):
    """What is older than this goes; UTC seconds since 1970."""

    sightings: float
    tallies: float
    events: float
    servers: float


def cutoffs(retention: Retention, limits: Limits, now: float) -> Cutoffs:
    """Up to when rows are too old at ``now``."""
    return Cutoffs(
        sightings=now - retention.sightings * DAY,
        tallies=now - retention.tallies * DAY,
        events=now - retention.events * DAY,
        servers=now - limits.forget_days * DAY,
    )


def prune_batch(connection: Connection, old: Cutoffs, most_servers: int) -> dict[str, int]:
    """Remove some of what is too old, and of servers beyond the bound the unconfirmed seen longest ago.

    Returns:
        Rows removed per table; all zero when nothing is left to remove.
    """
    over = connection.execute(select(func.count()).select_from(servers)).scalar_one() - most_servers
    gone = {
        "sightings": _remove(
            connection, sightings, select(sightings.c.id).where(sightings.c.at < old.sightings)
        ),
        "tallies": _remove(
            connection, tallies, select(*tallies.primary_key).where(tallies.c.day < day_of(old.tallies))
        ),
        "events": _remove(connection, events, select(events.c.id).where(events.c.at < old.events)),
        "servers": _remove(
            connection, servers, select(servers.c.ref).where(servers.c.last_seen < old.servers)
        ),
    }
    if over > 0:
        oldest = select(servers.c.ref).order_by(servers.c.confirmed, servers.c.last_seen)
        gone["servers"] += _remove(connection, servers, oldest, min(over, BATCH))
    return gone


def _remove(
    connection: Connection, table: Table, keys: Select[*tuple[object, ...]], limit: int = BATCH
) -> int:
    result = connection.execute(delete(table).where(tuple_(*table.primary_key).in_(keys.limit(limit))))
    return result.rowcount


def find_faults(connection: Connection) -> Iterator[str]:
    """What is wrong with a store, one line each; nothing if it is sound.

    The database's own check, and then each server's state against the history: a state must know all that the
    sightings that are still kept say.
    """
    if connection.dialect.name == "sqlite":
        for row in connection.exec_driver_sql(f"PRAGMA integrity_check({_SHOWN})"):
            if row[0] != "ok":
                yield str(row[0])
    for row in connection.execute(select(servers.c.ref, servers.c.name, servers.c.state)):
        try:
            state = unpack_state(row.state)
        except StateDamaged as error:
            yield f"server {row.ref} ({row.name}): {error}"
            continue
        rebuilt = state
        for sighting, compliant in _history(connection, row.ref):
            rebuilt = merge(rebuilt, observe(None, sighting, compliant))
        if rebuilt != state:
            yield f"server {row.ref} ({row.name}): its state does not know all that its history holds"


def _history(connection: Connection, ref: str) -> Iterator[tuple[Sighting, bool | None]]:
    for row in connection.execute(select(sightings).where(sightings.c.ref == ref)):
        sighting = Sighting(
            at=row.at,
            name="",
            network="",
            software=row.software,
            build=parse_build(row.build) if row.build else None,
            relation=Relation(row.relation),
            confidence=Confidence(row.confidence),
            client_ip=row.client_ip,
        )
        yield sighting, row.compliant


def back_up(url: URL, target: Path) -> None:
    """Copy a SQLite store, while it is in use, into a new file for its owner alone.

    Raises:
        LedgerError: the target exists or cannot be made, or the store is not SQLite.
    """
    if url.get_backend_name() != "sqlite" or not url.database:
        raise LedgerError("this backup is for SQLite; use pg_dump for PostgreSQL")
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise LedgerError(f"{target}: cannot be made: {error.strerror}; name another file") from None
    with closing(sqlite3.connect(url.database, isolation_level=None)) as source:
        # It takes an empty file for a new one, and leaves its mode.
        source.execute("VACUUM INTO ?", (str(target),))
