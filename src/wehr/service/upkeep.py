"""What is done now and then: old rows and servers go, orphaned journals come in, the snapshot is written."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from wehr.ledger import Retention, Store, adopt, write_snapshot
from wehr.ledger.state import day_of
from wehr.service.config import Config
from wehr.service.memory import Doubt, Memory
from wehr.service.state_folder import StateFolder
from wehr.service.store_thread import StoreThread

log = structlog.get_logger()

_HOUR: Final = 3600
_COPY_SECONDS: Final = 600.0
_PRUNING: Final = 0.25
"""Seconds of old rows' removal between two carries, so that no journal waits for it."""


class Upkeep:
    """The chores of one worker; its first one sees to what is a machine's. Owned by one event loop."""

    def __init__(
        self,
        memory: Memory,
        folder: StateFolder,
        worker: int,
        opener: Callable[[], Store],
        thread: StoreThread,
    ) -> None:
        self._memory = memory
        self._folder = folder
        self._first = worker == 1
        self._opener = opener
        self._thread = thread
        self._copy = SnapshotCopy(folder.snapshot, opener)
        self._copying: asyncio.Task[None] | None = None
        self._copy_due = 0.0
        self._pruned = 0
        self._forgot = 0

    def copy_soon(self) -> None:
        """Have the snapshot written: what people change is not to be lost with a store that goes away."""
        self._copy_due = 0.0

    async def step(self, store: Store, config: Config, now: float) -> None:
        """Do what is due.

        Raises:
            LedgerError, OSError: something was not done, and will be tried again.
        """
        if (day := day_of(now)) != self._forgot:
            self._forgot = day
            self._memory.ledger.forget(now)
        if not self._first:
            return
        hour = int(now // _HOUR)
        if hour != self._pruned and await self._thread.run(prune, store, config.store.keep, now):
            self._pruned = hour
        await self._take_copy(config.workers, now)

    async def _take_copy(self, workers: int, now: float) -> None:
        if self._copying is not None and self._copying.done():
            await self.finish()
        if self._copying or time.monotonic() < self._copy_due or self._memory.doubts(Doubt.RULES):
            return
        self._copy_due = time.monotonic() + _COPY_SECONDS
        await self._thread.run(adopt_orphans, self._folder, workers, self._opener, now)
        self._copying = asyncio.create_task(asyncio.to_thread(self._copy.write, now))

    async def finish(self) -> None:
        """Wait for a snapshot that is being written.

        Raises:
            LedgerError, OSError: it could not be.
        """
        if self._copying is not None:
            copying, self._copying = self._copying, None
            await copying


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
