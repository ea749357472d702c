"""What pages ask the store of many servers at once."""

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import func, select

from wehr.ledger.rows import ServerRow
from wehr.ledger.schema import days, journals, servers, sightings
from wehr.ledger.store import Store
from wehr.policy.windows import HOUR

_BATCH: Final = 500
"""Servers in one question: a statement holds only so many values."""


def client_names(store: Store) -> dict[str, str]:
    """The verified names of all servers' clients, by reference; those without one are left out."""
    query = select(servers.c.ref, servers.c.client_name).where(servers.c.client_name != "")
    with store.reading() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def rows_of(store: Store, refs: Sequence[str]) -> list[ServerRow]:
    """These servers, in the order given; those that are not there are left out."""
    found: dict[str, ServerRow] = {}
    for first in range(0, len(refs), _BATCH):
        found.update((row.ref, row) for row in store.servers(refs=refs[first : first + _BATCH]))
    return [found[ref] for ref in refs if ref in found]


def hours_of(store: Store, ref: str, since: float) -> list[tuple[int, str, bool, int]]:
    """Messages of a server by UTC hour (counted from 1970-01-01), outcome and whether it was carried out.

    As far as the history goes: what came while the store was away for long is counted by day only.
    """
    known = sightings.c
    what = ((known.at // HOUR).label("hour"), known.action, known.enforced)
    query = select(*what, func.count()).where(known.ref == ref, known.at >= since).group_by(*what)
    with store.reading() as connection:
        rows = connection.execute(query.order_by(*what))
        return [(int(row[0]), row[1], bool(row[2]), row[3]) for row in rows]


def days_of(
    store: Store, since_day: int, tenants: Collection[str] | None = None
) -> list[tuple[int, str, bool, int]]:
    """Messages by UTC day (counted from 1970-01-01), outcome and whether it was carried out, of all servers.

    ``tenants`` are those whose servers count; None: all.
    """
    known = days.c
    what = (known.day, known.action, known.enforced)
    query = select(*what, func.sum(known.messages)).where(known.day >= since_day).group_by(*what)
    if tenants is not None:
        query = query.where(known.tenant.in_(tenants))
    with store.reading() as connection:
        return [
            (row[0], row[1], bool(row[2]), int(row[3])) for row in connection.execute(query.order_by(*what))
        ]


def nodes_of(store: Store) -> dict[str, float]:
    """When each node last carried something in, in UTC seconds since 1970."""
    with store.reading() as connection:
        return {row[0]: row[1] for row in connection.execute(select(journals.c.node, journals.c.at))}
