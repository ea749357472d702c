"""Keeping a store in order: what is too old goes, a copy is put aside."""

import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta, Struct
from sqlalchemy import Connection, Select, Table, delete, func, select, tuple_
from sqlalchemy.engine import URL

from wehr.ledger.errors import LedgerError
from wehr.ledger.memory import Limits
from wehr.ledger.schema import days, events, outbox, servers, sightings, tallies
from wehr.ledger.state import DAY, day_of

_LOCK: Final = 0x57454850
BATCH: Final = 2000
"""Rows that go in one transaction: some ten milliseconds."""
_CHUNK: Final = 500
"""Bound values of a statement."""


_Days = Annotated[int, Meta(ge=1, le=36_500)]


class Retention(Struct, frozen=True, forbid_unknown_fields=True):
    """How many days each kind of row is kept. Servers go by policy.forget_days."""

    sightings: Annotated[
        _Days, Meta(description="Single messages: evidence line, client, queue id, decision.")
    ] = 30
    tallies: Annotated[_Days, Meta(description="Counts per server, day and outcome.")] = 400
    events: Annotated[_Days, Meta(description="What people and the ladder changed: the audit.")] = 730


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


def prune_batch(connection: Connection, old: Cutoffs, limits: Limits) -> dict[str, int]:
    """Remove some of what is too old, and then of servers beyond the bounds those that are worth least.

    Returns:
        Rows removed per table; all zero, or nothing, when nothing is left to remove.
    """
    if connection.dialect.name == "postgresql" and not connection.scalar(
        select(func.pg_try_advisory_xact_lock(_LOCK))
    ):
        return {}  # another node is at it
    messages = select(sightings.c.id).where(sightings.c.at < old.sightings)
    counts = select(*tallies.primary_key).where(tallies.c.day < day_of(old.tallies))
    sums = select(*days.primary_key).where(days.c.day < day_of(old.tallies))
    # What a pause or exemption is stays told as long as the rule itself, which clocks may yet depend on.
    changes = select(events.c.id).where(events.c.at < old.events, events.c.after == "")
    silent = select(servers.c.ref).where(servers.c.last_seen < old.servers)
    # What was written is kept as long as the audit: what was said once is not said again.
    written = select(outbox.c.id).where(outbox.c.changed < old.events, outbox.c.state != "waiting")
    gone = {
        "sightings": _remove(connection, sightings, messages),
        "tallies": _remove(connection, tallies, counts),
        "days": _remove(connection, days, sums),
        "events": _remove(connection, events, changes),
        "servers": _remove(connection, servers, silent),
        "outbox": _remove(connection, outbox, written),
    }
    if not any(gone.values()):
        over = connection.execute(select(func.count()).select_from(servers)).scalar_one() - limits.servers
        gone["servers"] = len(_evict(connection, _WORTH, min(over, BATCH)))
    return gone


_WORTH: Final = select(servers.c.ref).order_by(
    servers.c.confirmed, servers.c.last_seen - servers.c.first_seen > DAY, servers.c.last_seen
)
"""Servers as they go when room is needed: unconfirmed ones, seen within a day, the oldest first."""


def bound_networks(connection: Connection, places: Iterable[tuple[str, str]], limits: Limits) -> set[str]:
    """Keep networks within their bound of names, so that a flood of forged ones leaves no more of them.

    ``places`` are tenants and networks that new servers came in. Gives the references of servers that went.
    """
    gone: set[str] = set()
    networks: dict[str, list[str]] = {}
    for tenant, network in sorted(places):
        networks.setdefault(tenant, []).append(network)
    for tenant, some in networks.items():
        for first in range(0, len(some), _CHUNK):
            gone |= _bound(connection, tenant, some[first : first + _CHUNK], limits.servers_per_network)
    return gone


def _bound(connection: Connection, tenant: str, networks: list[str], most: int) -> set[str]:
    number = func.count().label("number")
    crowds = (
        select(servers.c.network, number)
        .where(servers.c.tenant == tenant, servers.c.network.in_(networks))
        .group_by(servers.c.network)
        .having(number > most)
    )
    gone: set[str] = set()
    for crowd in connection.execute(crowds).all():
        mine = _WORTH.where(servers.c.tenant == tenant, servers.c.network == crowd.network)
        gone |= _evict(connection, mine, crowd.number - most)
    return gone


def _evict(connection: Connection, worth: Select[tuple[str]], count: int) -> set[str]:
    """Remove servers for want of room, and with each what was told and counted of it."""
    refs = [row.ref for row in connection.execute(worth.limit(count))] if count > 0 else []
    for first in range(0, len(refs), _CHUNK):
        part = refs[first : first + _CHUNK]
        for table in (servers, events, tallies):
            connection.execute(delete(table).where(table.c.ref.in_(part)))
    return set(refs)


def _remove(
    connection: Connection, table: Table, keys: Select[*tuple[object, ...]], limit: int = BATCH
) -> int:
    result = connection.execute(delete(table).where(tuple_(*table.primary_key).in_(keys.limit(limit))))
    return result.rowcount


def back_up(url: URL, target: Path) -> None:
    """Copy a SQLite store, while it is in use, into a new file that is there and empty."""
    with closing(sqlite3.connect(url.database or "", isolation_level=None)) as source:
        # It takes an empty file for a new one, and leaves its mode.
        source.execute("VACUUM INTO ?", (str(target),))


def new_file(target: Path) -> None:
    """Make an empty file for its owner alone.

    Raises:
        LedgerError: it exists or cannot be made.
    """
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise LedgerError(f"{target}: cannot be made: {error.strerror}; name another file") from None
