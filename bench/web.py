"""Measures the pages over a large fleet: the first listing, and each kind of page of the report.

    python bench/web.py [--servers 100000] [--json]

Milliseconds of processor time for a page, the network left out, over SQLite in a new folder. The servers
are those of bench/ledger.py, and all of them have sent a message today.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.testclient import TestClient

from ledger import NOW, key_of, sighting_of, state_of
from wehr.catalogue import load
from wehr.ledger import Entry, Ledger, Position, open_store
from wehr.ledger.carrier import fill
from wehr.ledger.condense import Digest
from wehr.ledger.state import pack_state
from wehr.policy import Holds, Policy
from wehr.policy.types import Action, Decision, Reason
from wehr.web.app import create_app
from wehr.web.house import House
from wehr.web.measures import Family
from wehr.web.pages import PAGES
from wehr.web.source import Facts, Present
from wehr.web.stores import Stores
from wehr.web.visit import Need, Page, Visit, Visitor

BATCH = 2000
TIMES = 7
TARGETS = {
    "first page": "/report",
    "all servers": "/report?out_of_date=",
    "by product and stage": "/report?product=Exchange+Server+2016&stage=8",
    "by a hole": "/report?out_of_date=&cve=CVE-2022-41040",
    "by text": "/report?text=mail777",
    "by last seen": "/report?out_of_date=&sort=last_seen",
    "last page": "/report?out_of_date=&sort=name&descending=true",
    "overview": "/",
    "overview, a tenant's": "/tenant",
    "picture of messages": "/charts/messages.svg",
    "picture of products": "/charts/products.svg",
    "figures for Prometheus": "/metrics",
    "one server": "",
}
"""At "/tenant" stands the overview as an operator sees it who may not see all tenants."""


class Standing:
    """A service that stands still, and lets one operator in."""

    def __init__(self, ledger: Ledger) -> None:
        policy = Policy()
        self._ledger = ledger
        self._present = Present(load(), policy, Holds.of(policy, (), ()), Facts(host_name="mx.example.org"))

    def now(self) -> float:
        """The last day of the servers' stories."""
        return NOW

    def present(self) -> Present:
        """The defaults."""
        return self._present

    def states(self) -> Ledger:
        """All servers."""
        return self._ledger

    def measures(self) -> tuple[Family, ...]:
        """Nothing."""
        return ()

    async def identify(self, request: Request, page: Page) -> Visitor:
        """The operator; of one tenant, who has all servers, at his own address."""
        tenants = frozenset({"default"}) if request.url.path == "/tenant" else None
        return Visitor("bench", Need.OPERATE, tenants, csrf="bench")

    async def check(self, request: Request, page: Page, visitor: Visitor) -> None:
        """Nothing is changed here."""

    async def refuse(self, visit: Visit, page: Page) -> Response:
        """Never called."""
        return PlainTextResponse("", 403)


@contextmanager
def filled(folder: Path, servers: int) -> Iterator[tuple[TestClient, str]]:
    """The pages over a store with so many servers; and the path of one of them."""
    url = f"sqlite:///{folder / 'wehr.sqlite'}"
    dice = random.Random(1)
    decision = Decision(Action.ACCEPT, Reason.REPORT_STAGE, stage=8)
    with open_store(url) as store:
        position = Position()
        for first in range(0, servers, BATCH):
            numbers = range(first, min(servers, first + BATCH))
            states = [(key_of(number), pack_state(state_of(number, dice))) for number in numbers]
            entries = [
                Entry(key_of(it), sighting_of(it, NOW - 60), it % 10 not in (7, 8), decision, "4X", "milter")
                for it in numbers
            ]
            store.carry_digest("bench", position, Digest(0, NOW, states, []), Position(1, 2 * first + 1), NOW)
            position = Position(1, 2 * first + 2)
            store.carry("bench", Position(1, 2 * first + 1), entries, position, NOW)
        ledger = Ledger()
        fill(ledger, store)
        one = f"/servers/{next(iter(store.servers(limit=1))).ref}"
    source = Standing(ledger)
    stores = Stores(partial(open_store, url, create=False))
    try:
        house, client = House(source, stores), ("127.0.0.1", 1)
        home = next(it for it in PAGES if it.path == "/")
        bound = msgspec.structs.replace(home, path="/tenant", name="tenant", menu="")
        app = create_app(house, (*PAGES, bound), source)
        with TestClient(app, base_url="http://localhost", client=client) as it:
            yield it, one
    finally:
        stores.close()


def took(browser: TestClient, path: str) -> float:
    """Milliseconds of processor time, in all threads, until all of an answer was there."""
    started = time.process_time()
    answer = browser.get(path)
    spent = (time.process_time() - started) * 1000
    if answer.status_code != 200:
        raise SystemExit(f"{path}: {answer.status_code}")
    return spent


def main() -> None:
    """Measure, and print a table."""
    options = argparse.ArgumentParser()
    options.add_argument("--servers", type=int, default=100_000)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, filled(Path(folder), given.servers) as (browser, one):
        figures = {"the first listing": took(browser, "/report")}
        for name, path in TARGETS.items():
            figures[f"{name}, at first"] = took(browser, path or one)
            figures[name] = statistics.median(took(browser, path or one) for _ in range(TIMES))
        figures["CSV of those out of date"] = took(browser, "/report.csv")
    if given.json:
        print(json.dumps(figures))
        return
    print(f"{given.servers} servers, milliseconds (median of {TIMES} but for what is done once)")
    for name, spent in figures.items():
        print(f"{spent:10.0f}  {name}")


if __name__ == "__main__":
    main()
