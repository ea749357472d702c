"""The listing of all servers: made in time, once for all who wait, and given up when the pages close."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import Standing, house, learn
from ledger_stories import at, entry, key_of, sighting

from wehr.ledger import Ledger, LedgerError, Store, open_store
from wehr.ledger.journal import Position
from wehr.ledger.listing import Listing
from wehr.ledger.state import observe
from wehr.web import listings
from wehr.web.house import House
from wehr.web.pages.home import summarize
from wehr.web.stores import Busy, Stores


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[House, Standing]]:
    """Pages over one server, of a fleet that counts as large."""
    monkeypatch.setattr(listings, "_QUICK", -1.0)
    with house(tmp_path, at(1)) as (given, source, store):
        store.carry("mx1", Position(), [entry(sighting(0))], Position(1, 1), at(1))
        learn(source, store)
        yield given, source


def test_it_is_made_before_anybody_asks(fleet: tuple[House, Standing]) -> None:
    """Whoever comes while it is made waits for that one, and whoever comes later has it at once."""
    given, _ = fleet

    async def day() -> list[Listing]:
        keeper = asyncio.create_task(given.keep_listing((count,)))
        await asyncio.sleep(0)
        found = [*await asyncio.gather(given.listing(), given.listing()), await given.listing()]
        keeper.cancel()
        return found

    counted: list[Listing] = []

    def count(listing: Listing) -> int:
        counted.append(listing)
        return len(listing.lines)

    first, *others = asyncio.run(day())
    assert all(other is first for other in others)
    assert counted == [first]
    assert first.once(count) == len(counted) == 1


def test_what_was_asked_of_the_last_one_is_ready_in_the_next(
    fleet: tuple[House, Standing], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its orders and its sums, those of each visitor's tenants."""
    given, _ = fleet
    monkeypatch.setattr(listings, "_SHARE", 0)
    summed: list[tuple[Listing, object]] = []
    again = asyncio.Event()

    def count(listing: Listing, tenants: frozenset[str] | None) -> int:
        summed.append((listing, tenants))
        if len(summed) == 4:
            loop.call_soon_threadsafe(again.set)
        return len(listing.lines)

    async def day() -> None:
        first = await given.listing()
        for tenants in (None, frozenset({"x"}), None):
            assert first.once(count, tenants) == 1
        await given.listing()  # this one is old by now, and the next is being made
        await asyncio.wait_for(again.wait(), 20)

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        runner.run(day())
    assert [tenants for _, tenants in summed] == [None, frozenset({"x"})] * 2
    assert summed[2][0] is summed[3][0] is not summed[0][0]


def test_it_is_made_anew_where_nobody_looks(
    fleet: tuple[House, Standing], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the first visitor of a morning finds none of the evening before."""
    given, source = fleet
    monkeypatch.setattr(listings, "_OLDEST", 0.001)
    monkeypatch.setattr(listings, "_SHARE", 0)
    made: list[float] = []

    async def night() -> None:
        thrice = asyncio.Event()

        def now() -> float:
            made.append(at(1))
            if len(made) == 3:
                thrice.set()
            return at(1)

        monkeypatch.setattr(source, "now", now)
        keeper = asyncio.create_task(given.keep_listing())
        await asyncio.wait_for(thrice.wait(), 20)
        keeper.cancel()
        await given.listing()

    asyncio.run(night())
    assert len(made) >= 3


def test_a_store_that_is_away_does_not_end_it(
    tmp_path: Path, fleet: tuple[House, Standing], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again, and is there once the store is back."""
    _, source = fleet
    monkeypatch.setattr(listings, "_OLDEST", 0.001)
    tried: list[int] = []
    back = threading.Event()

    def opened() -> Store:
        tried.append(1)
        if len(tried) < 3:
            raise LedgerError("away")
        back.set()
        return open_store(f"sqlite:///{tmp_path / 'wehr.sqlite'}", create=False)

    stores = Stores(opened)

    async def day() -> None:
        keeper = asyncio.create_task(House(source, stores).keep_listing())
        await asyncio.wait_for(asyncio.to_thread(back.wait, 20), 20)
        assert not keeper.done()
        keeper.cancel()

    try:
        asyncio.run(day())
        assert back.is_set()
    finally:
        stores.close()


def test_one_that_takes_long_is_given_up_when_the_pages_close(fleet: tuple[House, Standing]) -> None:
    """Or the end of the service would wait for it."""
    given, source = fleet
    large = Ledger()
    for number in range(1001):
        seen = sighting(0, name=f"ex{number}.example.org", network=f"10.0.{number % 256}.0/24")
        large.merge(key_of(seen), observe(None, seen, compliant=True))
    source.ledger = large
    assert len(asyncio.run(given.listing()).lines) == 1001

    given._stores.closed = True
    with pytest.raises(Busy):
        asyncio.run(listings.Listings(source, given._stores).get())


def test_what_is_the_same_for_all_is_made_once(fleet: tuple[House, Standing]) -> None:
    """For each set of tenants that is seen, and for each listing."""
    given, _ = fleet

    async def ask() -> tuple[Listing, Listing]:
        first = await given.listing()
        again = House(given.source, given._stores)
        return first, await again.listing()

    one, other = asyncio.run(ask())
    whole, none = one.once(summarize, None), one.once(summarize, frozenset[str]())
    assert (whole.servers, none.servers) == (1, 0)
    assert one.once(summarize, None) is whole
    assert one.once(summarize, frozenset[str]()) is none
    assert other.once(summarize, None) is not whole
