"""What pages are given: the store for reading and changing, what servers are judged by now, and the time."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from wehr.ledger import LedgerError, ServerRow, Store
from wehr.ledger.listing import Listing
from wehr.ledger.report import Basis, ReportRow, report
from wehr.ledger.selecting import rows_of
from wehr.policy import ServerKey
from wehr.web.letters import Letters
from wehr.web.listings import Listings
from wehr.web.rate import Rate
from wehr.web.source import Present, Source
from wehr.web.stores import Busy, Stores

T = TypeVar("T")

_A_MINUTE: Final = 60
"""Requests of one network to what is open to everybody."""
_LONG: Final = 4
"""Tasks of seconds that may wait, the one that is done included."""


class House:
    """Handed to every page.

    What changes is reached through ``source``; the store through `ask`, which never holds up the loop.
    ``letters`` writes to administrators; None where nobody does.
    """

    def __init__(self, source: Source, stores: Stores, letters: Letters | None = None) -> None:
        self.source = source
        self.letters = letters
        self._stores = stores
        self._listings = Listings(source, stores)
        self.public_rate = Rate(_A_MINUTE)
        self._asking = asyncio.Lock()
        self._answered: tuple[float, bool] | None = None
        self._long = asyncio.Semaphore(1)
        self._waiting = 0

    @property
    def present(self) -> Present:
        """What is in force now; take it once a request, so that a page is of one mind."""
        return self.source.present()

    def now(self) -> float:
        """UTC seconds since 1970."""
        return self.source.now()

    async def ask(self, question: Callable[[Store], T]) -> T:
        """What ``question`` answers, called with an open store in a thread of the pages' own.

        Raises:
            LedgerError: the store is away or damaged.
            Busy: too many questions wait already.
        """
        return await self._stores.ask(question)

    async def store_answers(self) -> bool:
        """Whether the store can be asked: tried once a second at most, however many want to know."""
        async with self._asking:
            now = self.now()
            if self._answered is None or abs(now - self._answered[0]) >= 1:
                answers = True
                try:
                    await self.ask(Store.last_change)
                except (LedgerError, Busy):
                    answers = False
                self._answered = (now, answers)
            return self._answered[1]

    async def work(self, task: Callable[[], T]) -> T:
        """What ``task`` gives, in a thread: for what takes longer than a message may wait.

        Raises:
            Busy: too many wait already.
        """
        return await self._stores.work(task)

    async def work_long(self, task: Callable[[], T]) -> T:
        """The same for what takes seconds: one at a time, or the other pages would have no thread.

        Raises:
            Busy: too many wait already.
        """
        if self._waiting >= _LONG:
            raise Busy
        self._waiting += 1
        try:
            async with self._long:
                return await self.work(task)
        finally:
            self._waiting -= 1

    def basis(self, keys: Iterable[ServerKey]) -> Basis:
        """What these servers are judged by now, to be used in a thread: holds them and their neighbours."""
        present = self.present
        return Basis(
            self.source.states().excerpt(keys), present.catalogue, present.policy, present.holds, self.now()
        )

    async def listing(self) -> Listing:
        """All servers, to choose from; that of a large fleet may be some moments old.

        Raises:
            LedgerError: the store is away.
            Busy: too many questions wait already.
        """
        return await self._listings.get()

    async def keep_listing(self, *sums: tuple[Any, ...]) -> None:
        """Have a listing ready for whoever comes, summed up so, until this is cancelled."""
        await self._listings.keep(*sums)

    async def report(self, refs: Sequence[str]) -> list[tuple[ServerRow, ReportRow]]:
        """The report on some servers as they are now, in the order given; those that are gone are left out.

        Raises:
            LedgerError: the store is away.
            Busy: too many questions wait already.
        """
        rows = await self.ask(lambda store: rows_of(store, refs))
        basis = self.basis(row.key for row in rows)

        def judged(store: Store) -> list[ReportRow]:
            return report(rows, basis, store.sums(refs=refs))

        by_ref = {row.reference: row for row in await self.ask(judged)}
        return [(row, by_ref[row.ref]) for row in rows]
