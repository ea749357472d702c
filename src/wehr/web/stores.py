"""The pages' own way to the store: a few threads, a connection each, so that no page holds up a message."""

import asyncio
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, TypeVar

from wehr.ledger import LedgerError, Store

T = TypeVar("T")

_THREADS: Final = 3
_MOST: Final = 64
"""Questions that may wait; one more is turned away."""
_TURN: Final = 0.0005
"""Seconds for which a thread computes before another may; Python's own 5 ms, times our threads, are what a
message would wait each time it goes on."""


class Busy(Exception):
    """Too many questions wait for the store already."""


class Stores:
    """Threads with an open store each. Opened when first asked, and again after the store was away.

    Args:
        opener: opens the store; called in the threads.
    """

    def __init__(self, opener: Callable[[], Store]) -> None:
        sys.setswitchinterval(min(_TURN, sys.getswitchinterval()))
        self._opener = opener
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="web")
        self._own = threading.local()
        self._open: list[Store] = []
        self._waiting = 0
        self.closed = False
        """Whether what takes long should give up."""

    async def ask(self, question: Callable[[Store], T]) -> T:
        """What ``question`` answers, called with an open store.

        Raises:
            LedgerError: the store is away or damaged.
            Busy: too many questions wait already.
        """
        return await self.work(lambda: question(self._store()))

    async def work(self, task: Callable[[], T]) -> T:
        """What ``task`` gives, called in a thread.

        Raises:
            Busy: too many wait already.
        """
        if self._waiting >= _MOST:
            raise Busy
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._guarded, task)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Let what is being answered be answered, and close the stores."""
        self.closed = True
        self._threads.shutdown(cancel_futures=True)
        for store in self._open:
            store.close()

    def _store(self) -> Store:
        store: Store | None = getattr(self._own, "store", None)
        if store is None:
            store = self._own.store = self._opener()
            self._open.append(store)
        return store

    def _guarded(self, task: Callable[[], T]) -> T:
        try:
            return task()
        except LedgerError:
            # Its connection may be broken: the next question opens another one.
            store: Store | None = getattr(self._own, "store", None)
            if store is not None:
                self._own.store = None
                with suppress(ValueError):
                    self._open.remove(store)
                store.close()
            raise
