"""A whole store copied into another one of any engine: for moving house, for backups, for restoring them."""

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, Table, delete, func, select

from wehr.ledger.carrying import execute_many
from wehr.ledger.errors import LedgerError
from wehr.ledger.schema import events, metadata, outbox, sightings

_ROWS: Final = 2000
_OWN: Final = ("meta", "counter")
"""Tables that a new store has rows in already."""

Progress = Callable[[str, int, int], None]
"""Told the table, how many of its rows are copied, and how many there are."""


def copy_tables(
    source: Connection, target: Connection, *, replace: bool, progress: Progress | None = None
) -> dict[str, int]:
    """Copy every row, inside the callers' transactions; tells how many rows of each table.

    Args:
        source: sees one moment of its store.
        target: a store with the present tables.
        replace: whether what the target holds goes first; otherwise it must hold nothing.
        progress: told how far it is.

    Raises:
        LedgerError: the target holds a ledger already, or did not take all.
    """
    tables = metadata.sorted_tables
    held = [table.name for table in tables if table.name not in _OWN and _count(target, table)]
    if held and not replace:
        raise LedgerError(f"the target holds a ledger already ({', '.join(held)}); it has not been touched")
    copied = {}
    for table in tables:
        target.execute(delete(table))
        copied[table.name] = _copy(source, target, table, progress)
        if _count(target, table) != copied[table.name]:
            raise LedgerError(f"the target did not take all rows of {table.name}; nothing was kept")
    if target.dialect.name == "postgresql":
        for table in (sightings, events, outbox):
            _number_on(target, table)
    return copied


def _copy(source: Connection, target: Connection, table: Table, progress: Progress | None) -> int:
    total, done = _count(source, table), 0
    query = select(table).order_by(*table.primary_key)
    with source.execute(query, execution_options={"yield_per": _ROWS}) as result:
        for rows in result.mappings().partitions():
            execute_many(target, table.insert(), [dict(row) for row in rows])
            done += len(rows)
            if progress:
                progress(table.name, done, total)
    return done


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def _number_on(connection: Connection, table: Table) -> None:
    """Have new rows numbered after those that were copied with their numbers."""
    newest = select(func.coalesce(func.max(table.c.id), 0) + 1).scalar_subquery()
    sequence = func.pg_get_serial_sequence(table.name, "id")
    connection.execute(select(func.setval(sequence, newest, False)))
