"""The pages for a test: over a store in a folder, with a clock that is set and a visitor of any role."""

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.testclient import TestClient

from wehr.catalogue import load
from wehr.ledger import Ledger, Store, open_store
from wehr.policy import Holds, Policy
from wehr.web.app import create_app
from wehr.web.house import House
from wehr.web.pages import PAGES
from wehr.web.settings import WebSettings
from wehr.web.source import Facts, Present
from wehr.web.stores import Stores
from wehr.web.visit import Need, Page, Visit, Visitor

ADMINISTRATOR = Visitor("admin", Need.ADMIN, csrf="token")
OPERATOR = Visitor("olga", Need.OPERATE, csrf="token")
VIEWER = Visitor("vera", Need.READ, csrf="token")


class Standing:
    """A service that stands still: its present, clock and ledger are set by the test."""

    def __init__(self, now: float, present: Present, ledger: Ledger) -> None:
        self.time = now
        self.value = present
        self.ledger = ledger

    def now(self) -> float:
        """The time that was set."""
        return self.time

    def present(self) -> Present:
        """What was set."""
        return self.value

    def states(self) -> Ledger:
        """What was set."""
        return self.ledger


class Let:
    """Access for one visitor, whoever asks; forms need no token."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor

    async def identify(self, request: Request, page: Page) -> Visitor:
        """The visitor."""
        return self.visitor

    async def check(self, request: Request, page: Page, visitor: Visitor) -> None:
        """Everything was meant."""

    async def refuse(self, visit: Visit, page: Page) -> Response:
        """Plain 403."""
        return PlainTextResponse("refused", 403)


@contextlib.contextmanager
def house(
    folder: Path, now: float, policy: Policy | None = None, facts: Facts | None = None
) -> Iterator[tuple[House, Standing, Store]]:
    """What pages are given, over a new store in the folder, with its source and the store to fill.

    After filling the store call `learn`.
    """
    policy = policy or Policy()
    with open_store(f"sqlite:///{folder / 'wehr.sqlite'}") as store:
        facts = facts or Facts(host_name="mx.example.org", contact="postmaster@example.org")
        source = Standing(now, Present(load(), policy, Holds.of(policy, (), ()), facts), Ledger())
        stores = Stores(partial(open_store, f"sqlite:///{folder / 'wehr.sqlite'}", create=False))
        try:
            yield House(source, stores), source, store
        finally:
            stores.close()


def learn(source: Standing, store: Store) -> None:
    """Have the source know what the store holds, as a node does that follows it."""
    for key, state in store.load_states():
        source.ledger.merge(key, state)
    policy = source.value.policy
    holds = Holds.of(policy, store.pauses(), tuple(store.exemptions().values()))
    source.value = msgspec.structs.replace(source.value, holds=holds)


@contextlib.contextmanager
def client(
    given: House,
    visitor: Visitor = ADMINISTRATOR,
    pages: Sequence[Page] = PAGES,
    settings: WebSettings | None = None,
) -> Iterator[TestClient]:
    """A browser that is let in as the visitor."""
    app = create_app(given, pages, Let(visitor), settings)
    with TestClient(app, base_url="http://localhost", follow_redirects=False) as browser:
        yield browser
