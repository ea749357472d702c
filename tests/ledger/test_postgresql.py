"""What is so of PostgreSQL alone."""

import gc
import uuid
import warnings

import pytest
from ledger_stories import START, entry, sighting
from postgres import Cluster

from wehr.ledger.errors import StoreAway
from wehr.ledger.journal import Position
from wehr.ledger.store import open_store


def test_a_connection_cut_while_it_is_read_leaves_no_cursor_open(postgres: Cluster) -> None:
    """The reader hears that the store is away, and nothing complains afterwards."""
    name = f"wehr-{uuid.uuid4().hex}"
    try:
        with open_store(postgres.create(name)) as store:
            entries = [entry(sighting(number, name=f"ex{number}.example.com")) for number in range(6000)]
            store.carry("mx1", Position(), entries, Position(1, 1), START)
            rows = store.packed_states()
            next(rows)
            postgres.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE datname = '{name}' AND application_name = 'wehr'"
            )

            with warnings.catch_warnings(record=True) as warned, pytest.raises(StoreAway):
                warnings.simplefilter("always")
                for _ in rows:
                    pass
            del rows
            with warnings.catch_warnings(record=True) as later:
                warnings.simplefilter("always")
                gc.collect()
    finally:
        postgres.drop(name)

    assert [str(warning.message) for warning in (*warned, *later)] == []
