"""The carrier: takes a node's journal into the store and brings back what other nodes wrote.

It runs beside the way of a message, in a thread of its own, and touches the ledger in memory only in `apply`,
which the ledger's owner calls. A store that is away stops nothing: the journal grows, and is caught up later.
"""

import gc
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from wehr.ledger.condense import (
    condense_oldest,
    drop_digest,
    journal_bytes,
    next_digest,
    read_digest,
    read_digests,
)
from wehr.ledger.errors import JournalBusy, PositionMoved, RuleDamaged, StoreAway
from wehr.ledger.journal import Position, lock_folder, read_batch, segment_path, segments
from wehr.ledger.memory import Ledger
from wehr.ledger.rows import Changes
from wehr.ledger.store import Store
from wehr.policy.laddering import Past
from wehr.policy.pauses import Pause
from wehr.policy.scope import Exemption

BATCH: Final = 2000
"""Entries a transaction: some 80 ms with SQLite."""
MOST_BYTES: Final = 2**30
"""Two million entries."""


class Learned(Struct, frozen=True):
    """What a step brought: entries carried in (``more``: there are more), and what others wrote.

    ``away`` is why the store could not be reached, "" if it could. ``pauses`` and ``exemptions`` are all
    there are, and ``past`` is which ladders have been in force: None if none of them has changed, or if one
    of them cannot be read, and ``damaged`` says which.
    """

    carried: int = 0
    changes: Changes | None = None
    pauses: tuple[Pause, ...] | None = None
    exemptions: tuple[Exemption, ...] | None = None
    past: Past | None = None
    away: str = ""
    more: bool = False
    damaged: str = ""


class Carrier:
    """Carries one node's journal; one thread at a time uses it.

    Args:
        opener: opens the store; called again after the store was away.
        folder: the node's journal folder.
        node: its name, one among all nodes of the store.
        active: tells the segment that is being written to; None: nobody writes to this journal.
        most_bytes: how large the journal may grow while the store is away; beyond that the history of the
            oldest messages goes, and their sums stay.

    ``carried``, ``condensed`` (entries whose history went), ``damaged`` (bytes that could not be read) and
    ``failures`` (steps that met no store) count.
    """

    def __init__(
        self,
        opener: Callable[[], Store],
        folder: Path,
        node: str,
        active: Callable[[], int | None],
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.folder = folder
        self.node = node
        self.carried = 0
        self.damaged = 0
        self.failures = 0
        self.condensed = 0
        self.store: Store | None = None
        self._opener = opener
        self._active = active
        self._most_bytes = most_bytes
        self._position: Position | None = None
        self._spoilt: set[int] = set()
        self._seen_change = 0
        self._seen_rules = -1

    def start(self, ledger: Ledger, now: float) -> Learned:
        """Carry in what an earlier process left, then fill the ledger with all that the store knows.

        Raises:
            StoreAway: try again later; the ledger is as it was.
            StoreUnreadable: the store is damaged.
        """
        store = self._open()
        while self.carry_once(now):
            pass
        self._seen_change = store.last_change()
        fill(ledger, store)
        return self._learn(store, 0)

    def resume(self, change: int) -> None:
        """Learn from a change of servers on, as after a start from a snapshot; without it, from the first."""
        self._seen_change = change

    def news(self) -> Learned:
        """Ask for what others wrote, and carry nothing; otherwise as `step`."""
        try:
            return self._learn(self._open(), 0)
        except StoreAway as error:
            self.failures += 1
            return Learned(away=str(error))

    def step(self, now: float, most: int | None = None) -> Learned:
        """Carry what there is and ask for news; never raises on account of a store that is away.

        Args:
            now: UTC seconds since 1970.
            most: batches at most, so that news does not wait for a long journal.

        Raises:
            StoreUnreadable: the store is damaged.
        """
        carried, batches = 0, 0
        try:
            while batches != most and (count := self.carry_once(now)):
                carried, batches = carried + count, batches + 1
                # What has come in meanwhile waits for the next step: a transaction costs as much as many.
                if count < BATCH and self._position and self._position.segment == self._active():
                    break
            learned = self._learn(self._open(), carried)
            return replace(learned, more=batches == most)
        except (StoreAway, OSError) as error:
            self.failures += 1
            self._position = None
            with suppress(OSError):  # on a full disk there is no room for a digest either
                self._shrink()
            return Learned(carried, away=str(error))

    def carry_once(self, now: float) -> int:
        """Carry one batch; tells how many entries it had, 0 when there is no more.

        Raises:
            StoreAway: nothing was carried, or nobody knows; the next call finds out.
            OSError: the journal cannot be read.
        """
        store = self._open()
        while True:
            if self._position is None:
                self._position = store.position(self.node)
            try:
                count = self._carry_next(store, self._position, now)
            except PositionMoved:
                self._position = None
            except StoreAway:
                # The commit may have come through all the same: ask for the position again.
                self._position = None
                raise
            else:
                if count is not None:
                    return count

    def _carry_next(self, store: Store, start: Position, now: float) -> int | None:
        """Carry what comes next in the journal; tells how many entries, None if none but there is more."""
        batch = read_batch(self.folder, start, limit=BATCH, active=self._active())
        span = next_digest(self.folder, start.segment)
        if span is not None and (batch.end == start or batch.end.segment > span.last):
            digest = read_digest(self.folder, span)
            end = Position(span.last + 1)
            if digest is not None:
                store.carry_digest(self.node, start, digest, end, now)
            self._position = end
            self._tidy(end)
            drop_digest(self.folder, span)
            return None
        if batch.end == start:
            return 0
        store.carry(self.node, start, batch.entries, batch.end, now)
        self._position = batch.end
        self.carried += len(batch.entries)
        if batch.damaged:
            self.damaged += batch.damaged
            self._spoilt.add(batch.end.segment)
        self._tidy(batch.end)
        return len(batch.entries) or None

    def _shrink(self) -> None:
        """Keep the journal within its bound while the store is away."""
        while journal_bytes(self.folder) > self._most_bytes:
            count = condense_oldest(self.folder, self._active())
            if not count:
                return
            self.condensed += count

    def apply(self, learned: Learned, ledger: Ledger) -> None:
        """Tell the ledger what others wrote; called by the ledger's owner."""
        if learned.changes is not None:
            for key, state in learned.changes.servers:
                ledger.merge(key, state)

    def close(self) -> None:
        """Close the store."""
        if self.store is not None:
            self.store.close()
            self.store = None

    def _open(self) -> Store:
        if self.store is None:
            self.store = self._opener()
        return self.store

    def _learn(self, store: Store, carried: int) -> Learned:
        changes = store.changes(self._seen_change)
        self._seen_change = changes.upto
        learned = Learned(carried, changes)
        if changes.rules != self._seen_rules:
            # Read after the number: what comes in between is read again next time, never missed. And so is
            # what is damaged, until somebody has put it right.
            try:
                pauses, exemptions = store.pauses(), tuple(store.exemptions().values())
                learned = Learned(carried, changes, pauses, exemptions, store.past())
            except RuleDamaged as error:
                return replace(learned, damaged=str(error))
        self._seen_rules = changes.rules
        return learned

    def _tidy(self, done: Position) -> None:
        """Remove the segments that are wholly in the store; one with damage is kept aside."""
        for segment in segments(self.folder):
            if segment >= done.segment:
                break
            path = segment_path(self.folder, segment)
            if segment in self._spoilt:
                path.rename(path.with_suffix(".damaged"))
                self._spoilt.discard(segment)
            else:
                path.unlink(missing_ok=True)


def fill(ledger: Ledger, store: Store) -> None:
    """Tell a ledger all that the store knows."""
    # Many objects come and all of them stay: looking for garbage among them takes as long again, now and at
    # every later full collection.
    gc.disable()
    try:
        for key, state in store.load_states():
            ledger.merge(key, state)
    finally:
        gc.enable()
        gc.freeze()


def replay(folder: Path, ledger: Ledger) -> int:
    """Tell a ledger what a journal holds, for a start without the store; tells how many entries.

    What the store knows as well does no harm: a ledger may learn a thing twice.

    Raises:
        OSError: the journal cannot be read.
    """
    position, count = Position(), 0
    for digest in read_digests(folder):
        count += digest.entries
        for key, state in digest.servers():
            ledger.merge(key, state)
    while True:
        batch = read_batch(folder, position, limit=BATCH)
        if batch.end == position:
            return count
        for entry in batch.entries:
            if entry.evident:
                ledger.observe(entry.key, entry.sighting, entry.compliant)
        count += len(batch.entries)
        position = batch.end


def adopt(opener: Callable[[], Store], folder: Path, node: str, now: float) -> int:
    """Carry in the journal of a worker that is no more, and remove it; tells how many entries it had.

    A journal that another process writes is left alone.

    Raises:
        StoreAway: to be tried again.
        OSError: the journal cannot be read or removed.
    """
    try:
        lock = lock_folder(folder)
    except JournalBusy:
        return 0
    carrier = Carrier(opener, folder, node, lambda: None)
    try:
        while carrier.carry_once(now):
            pass
        for segment in segments(folder):
            segment_path(folder, segment).unlink()
        if {path.name for path in folder.iterdir()} == {"lock"}:
            (folder / "lock").unlink()
            folder.rmdir()
        return carrier.carried
    finally:
        carrier.close()
        os.close(lock)
