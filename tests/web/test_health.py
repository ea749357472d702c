"""Whether it lives and is ready: asked by anybody, as often as they like, at next to no cost."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from browsing import client, house
from ledger_stories import at

from wehr.ledger import LedgerError, Store, open_store
from wehr.web.house import House
from wehr.web.stores import Stores


def test_it_is_ready_unless_the_store_is_away_or_nobody_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 says which; it lives all the same."""

    def away(_store: Store) -> int:
        raise LedgerError("away")

    with house(tmp_path, at(0)) as (given, source, _), client(given) as browser:
        said = [browser.get("/health/ready")]
        source.value = msgspec.structs.replace(source.value, doubt="the clock is wrong")
        said.append(browser.get("/health/ready"))
        monkeypatch.setattr(Store, "last_change", away)
        source.time += 1
        said.append(browser.get("/health/ready"))
        assert browser.get("/health/live").text == "alive\n"

    assert [(it.status_code, it.text) for it in said] == [
        (200, "ready\n"),
        (503, "nobody is refused at the moment\n"),
        (503, "the store is away\n"),
    ]


def test_the_store_is_asked_once_a_second_however_many_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All who come at once, or within the second, have the same answer."""
    asked: list[int] = []
    monkeypatch.setattr(Store, "last_change", lambda _store: asked.append(1))

    async def crowd(given: House) -> list[bool]:
        return [*await asyncio.gather(*(given.store_answers() for _ in range(200)))]

    with house(tmp_path, at(0)) as (given, source, _):
        assert asyncio.run(crowd(given)) == [True] * 200
        assert len(asked) == 1
        source.time += 1
        with client(given) as browser:
            assert {browser.get("/health/ready").status_code for _ in range(70)} == {200}
        assert len(asked) == 2


def test_a_store_that_opens_late_is_ready_then(tmp_path: Path) -> None:
    """Away until it can be opened, tried again each second."""
    tried: list[int] = []

    def opener() -> Store:
        tried.append(1)
        if len(tried) == 1:
            raise LedgerError("away")
        return open_store(f"sqlite:///{tmp_path / 'wehr.sqlite'}", create=False)

    with house(tmp_path, at(0)) as (_, source, _store):
        stores = Stores(opener)
        given = House(source, stores)
        try:
            assert asyncio.run(given.store_answers()) is False
            assert asyncio.run(given.store_answers()) is False
            source.time += 1
            assert asyncio.run(given.store_answers()) is True
        finally:
            stores.close()
    assert len(tried) == 2
