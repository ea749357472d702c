"""What is done now and then around the store, in a thread: old rows, orphaned journals, the snapshot."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from wehr.ledger import Retention, Store, adopt, write_snapshot
from wehr.service.state_folder import StateFolder

log = structlog.get_logger()

_PRUNING: Final = 0.25
"""Seconds of old rows' removal between two carries, so that no journal waits for it."""


def prune(store: Store, keep: Retention, now: float) -> bool:
    """Remove some of what is too old; whether nothing of it is left."""
    enough = time.monotonic() + _PRUNING
    while time.monotonic() < enough:
        if not any(store.prune(keep, now).values()):
            return True
    return False


def adopt_orphans(folder: StateFolder, workers: int, opener: Callable[[], Store], now: float) -> None:
    """Take over what workers that are no more left."""
    for number, journal in folder.orphans(workers):
        if count := adopt(opener, journal, folder.node(number), now):
            log.info("the journal of a worker that is no more was carried in", worker=number, entries=count)


class SnapshotCopy:
    """The copy for a start without the store: a file that is written anew when the store has changed."""

    def __init__(self, file: Path, opener: Callable[[], Store]) -> None:
        self._file = file
        self._opener = opener
        self._holds: dict[str, int] = {}

    def write(self, now: float) -> None:
        """Make it what the store holds."""
        # With a connection of its own, for it takes seconds, and news must not wait for it.
        with self._opener() as store:
            holds = store.counters()
            if holds != self._holds:
                write_snapshot(self._file, store, now)
                self._holds = holds
