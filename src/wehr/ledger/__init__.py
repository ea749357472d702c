"""What is remembered: merge rules (pure), journal, store, migrations.

A node decides from its `Ledger` in memory, appends an `Entry` to its `Journal` before it replies, and a
`Carrier` moves the journal into the `Store`, where nodes meet.
"""

from wehr.ledger.carrier import Carrier, Learned, replay
from wehr.ledger.episode import effective_build, find_episode, inherited, standing
from wehr.ledger.errors import (
    JournalBusy,
    LedgerError,
    PositionMoved,
    StoreAway,
    StoreNewer,
    StoreUnreadable,
)
from wehr.ledger.journal import Batch, Entry, Journal, Position, read_batch
from wehr.ledger.maintenance import Retention
from wehr.ledger.memory import Ledger, Limits, reference
from wehr.ledger.rows import Changes, Event, ServerRow, SightingRow, Tally
from wehr.ledger.state import ServerState, Stamp, merge, observe, pack_state, unpack_state
from wehr.ledger.store import Store, open_store

__all__ = [
    "Batch",
    "Carrier",
    "Changes",
    "Entry",
    "Event",
    "Journal",
    "JournalBusy",
    "Learned",
    "Ledger",
    "LedgerError",
    "Limits",
    "Position",
    "PositionMoved",
    "Retention",
    "ServerRow",
    "ServerState",
    "SightingRow",
    "Stamp",
    "Store",
    "StoreAway",
    "StoreNewer",
    "StoreUnreadable",
    "Tally",
    "effective_build",
    "find_episode",
    "inherited",
    "merge",
    "observe",
    "open_store",
    "pack_state",
    "read_batch",
    "reference",
    "replay",
    "standing",
    "unpack_state",
]
