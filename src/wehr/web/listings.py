"""The listing of all servers, kept fresh as far as it costs little, and made in a thread."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from msgspec import Struct

from wehr.ledger import LedgerError, Store
from wehr.ledger.listing import Listing, Sort
from wehr.ledger.report import Basis
from wehr.ledger.selecting import client_names
from wehr.web.source import Present, Source
from wehr.web.stores import Busy, Stores

_QUICK: Final = 0.25
"""Seconds: what takes less is made anew for every page, and a page waits for it."""
_SHARE: Final = 20
"""A slow listing is made anew when it is this many times older than it took: a twentieth of one core."""
_OLDEST: Final = 300.0
"""Seconds: where nobody looks one is made anew so often, so that whoever comes finds none of yesterday."""
_BREATH: Final = 0.0002
"""Seconds that others are given now and then: so a message waits a moment at most, not for a whole slice."""


class _Made(Struct, frozen=True):
    listing: Listing
    present: Present
    at: float
    took: float


class Listings:
    """Makes listings. Owned by one event loop.

    What a page shows of each server is always read afresh; a listing only tells which servers, and in which
    order. So that of a large fleet may be some moments old.
    """

    def __init__(self, source: Source, stores: Stores) -> None:
        self._source = source
        self._stores = stores
        self._made: _Made | None = None
        self._making: asyncio.Task[_Made] | None = None
        self._sums: tuple[tuple[Any, ...], ...] = ()

    async def get(self) -> Listing:
        """The present listing.

        Raises:
            LedgerError: there is none yet, and the store is away.
            Busy: too many questions wait.
        """
        made = self._made
        if made is None or made.took < _QUICK:
            return (await asyncio.shield(self._make())).listing
        if time.monotonic() - made.at > _SHARE * made.took or not _same(made.present, self._source.present()):
            self._make()
        return made.listing

    async def keep(self, *sums: tuple[Any, ...]) -> None:
        """Have one ready, from now until this is cancelled: that of a large fleet takes seconds to make.

        ``sums`` are what is summed up of it, as `Listing.once` takes it: so the first visitor finds them.
        """
        self._sums = sums
        while True:
            with suppress(LedgerError, Busy):
                await self.get()
            await asyncio.sleep(_OLDEST)

    def _make(self) -> asyncio.Task[_Made]:
        if self._making is None or self._making.done():
            self._making = asyncio.get_running_loop().create_task(self._sweep())
            self._making.add_done_callback(_forget)
        return self._making

    async def _sweep(self) -> _Made:
        started = time.monotonic()
        present, now = self._source.present(), self._source.now()
        ledger = self._source.states()
        limits, mixed_enforced, servers = ledger.limits, ledger.mixed_enforced, list(ledger)
        asked = self._made.listing.asked if self._made else ((Sort.STANDING,), self._sums)

        def work() -> Listing:
            copy = type(ledger)(limits, mixed_enforced=mixed_enforced)
            for key, state in servers:
                copy.merge(key, state)
            basis = Basis(copy, present.catalogue, present.policy, present.holds, now)
            breathe = self._breathe if len(servers) > 1000 else lambda: None
            listing = Listing(servers, basis, secret, names, breathe)
            listing.prepare(*asked)
            return listing

        secret, names = await self._stores.ask(_names)
        listing = await self._stores.work(work)
        self._made = _Made(listing, present, time.monotonic(), time.monotonic() - started)
        return self._made

    def _breathe(self) -> None:
        if self._stores.closed:
            raise Busy
        time.sleep(_BREATH)


def _names(store: Store) -> tuple[bytes, Mapping[str, str]]:
    return store.secret, client_names(store)


def _same(one: Present, other: Present) -> bool:
    return one.catalogue is other.catalogue and one.policy is other.policy and one.holds is other.holds


def _forget(task: asyncio.Task[_Made]) -> None:
    """Who waited for it may be gone; the next page makes another."""
    if not task.cancelled():
        task.exception()
