"""What is remembered: merge rules (pure), journal, store, migrations.

A node decides from its `Ledger` in memory, appends an `Entry` to its `Journal` before it replies, and a
`Carrier` moves the journal into the `Store`, where nodes meet.
"""

from wehr.ledger.carrier import Carrier, Learned, adopt, replay
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
from wehr.ledger.listening import Listening
from wehr.ledger.maintenance import Retention
from wehr.ledger.memory import Ledger, Limits, reference
from wehr.ledger.records import Records
from wehr.ledger.rows import Changes, Event, ServerRow, SightingRow, Tally
from wehr.ledger.snapshot import Snapshot, read_snapshot, write_snapshot
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
    "Listening",
    "Position",
    "PositionMoved",
    "Records",
    "Retention",
    "ServerRow",
    "ServerState",
    "SightingRow",
    "Snapshot",
    "Stamp",
    "Store",
    "StoreAway",
    "StoreNewer",
    "StoreUnreadable",
    "Tally",
    "adopt",
    "effective_build",
    "find_episode",
    "inherited",
    "merge",
    "observe",
    "open_store",
    "pack_state",
    "read_batch",
    "read_snapshot",
    "reference",
    "replay",
    "standing",
    "unpack_state",
    "write_snapshot",
]
