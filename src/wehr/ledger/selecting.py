"""What pages ask the store of many servers at once."""

from collections.abc import Sequence

from sqlalchemy import select

from wehr.ledger.rows import ServerRow, Tally
from wehr.ledger.schema import servers, tallies
from wehr.ledger.store import Store


def client_names(store: Store) -> dict[str, str]:
    """The verified names of all servers' clients, by reference; those without one are left out."""
    query = select(servers.c.ref, servers.c.client_name).where(servers.c.client_name != "")
    with store.reading() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def rows_of(store: Store, refs: Sequence[str]) -> list[ServerRow]:
    """These servers, in the order given; those that are not there are left out."""
    return [row for ref in refs if (row := store.server(ref)) is not None]


def tallies_of(store: Store, refs: Sequence[str]) -> list[Tally]:
    """The messages of these servers by day and outcome."""
    with store.reading() as connection:
        rows = connection.execute(select(tallies).where(tallies.c.ref.in_(refs))).mappings()
        return [Tally(**row) for row in rows]
