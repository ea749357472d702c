"""Word of others' changes as they are made, from a store that gives it (PostgreSQL)."""

import asyncio
from contextlib import suppress

from wehr.ledger import Listening, Store, StoreAway
from wehr.service.store_thread import StoreThread


class News:
    """Listens; when the connection is lost, ``listen`` is to be called again."""

    def __init__(self, thread: StoreThread) -> None:
        self._thread = thread
        self._listening: Listening | None = None
        self._heard = asyncio.Event()

    async def listen(self, store: Store) -> None:
        """See that there is a connection, if the store is one that tells.

        Raises:
            StoreAway: there is none to be had.
        """
        if not store.listens or self._listening is not None:
            return

        def listen() -> Listening:
            # Kept at once, so that it is closed even if nobody waits for it any more.
            self._listening = store.listen()
            return self._listening

        listening = await self._thread.run(listen)
        asyncio.get_running_loop().add_reader(listening.fileno(), self._hear)

    async def within(self, seconds: float) -> bool:
        """Whether there is news within so many seconds; returns at once when there is."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._heard.wait(), max(0.0, seconds))
            self._heard.clear()
            return True
        return False

    def _hear(self) -> None:
        try:
            if self._listening is not None and self._listening.hear():
                self._heard.set()
        except StoreAway:
            self.close()

    def close(self) -> None:
        """Hang up."""
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening.fileno())
            self._listening.close()
            self._listening = None
