"""What is so of PostgreSQL alone."""

import contextlib
import gc
import uuid
import warnings

from ledger_stories import START, entry, sighting
from postgres import Cluster

from wehr.ledger.errors import StoreAway
from wehr.ledger.journal import Position
from wehr.ledger.store import open_store

CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'wehr'
"""


def test_a_connection_cut_before_its_cursor_is_closed_leaves_none_open(postgres: Cluster) -> None:
    """Closing says that the store is away, and nothing complains when the cursor is collected."""
    name = f"wehr-{uuid.uuid4().hex}"
    try:
        with open_store(postgres.create(name)) as store, warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            store.carry("mx1", Position(), [entry(sighting(0))], Position(1, 1), START)
            rows = store.packed_states()
            next(rows)
            postgres.run(CUT, name)
            with contextlib.suppress(StoreAway):
                rows.close()
            del rows
            gc.collect()
    finally:
        postgres.drop(name)

    assert [str(warning.message) for warning in warned] == []
