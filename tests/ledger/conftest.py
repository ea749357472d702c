"""The stores that the contract tests run over."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from postgres import Cluster

from wehr.ledger.store import Store, open_store


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty store of each engine."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/state/wehr.sqlite"
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    name = f"wehr-{uuid.uuid4().hex}"
    yield cluster.create(name)
    cluster.drop(name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of an empty SQLite store."""
    return f"sqlite:///{tmp_path}/state/wehr.sqlite"


@pytest.fixture
def opener(store_url: str) -> Iterator[Callable[[], Store]]:
    """Opens the store as often as wanted; all are closed at the end."""
    opened: list[Store] = []

    def open_one() -> Store:
        opened.append(open_store(store_url))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(opener: Callable[[], Store]) -> Store:
    """An empty store."""
    return opener()
