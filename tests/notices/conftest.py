"""The stores that the tests of this room run over."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres import Cluster

from wehr.ledger import Store, open_store


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
def store(store_url: str) -> Iterator[Store]:
    """An empty store of each engine."""
    with open_store(store_url) as opened:
        yield opened


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Store]:
    """An empty SQLite store."""
    with open_store(f"sqlite:///{tmp_path}/state/wehr.sqlite") as opened:
        yield opened
