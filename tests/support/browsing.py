"""The pages for a test: over a store in a folder, with a clock that is set and a visitor of any role."""

import contextlib
import re
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from running import until
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.testclient import TestClient

from wehr.catalogue import load
from wehr.ledger import Ledger, Store, open_store
from wehr.policy import Holds, Policy
from wehr.web.access.accounts import Accounts
from wehr.web.access.passwords import hash_password
from wehr.web.access.tokens import Scope, Tokens
from wehr.web.app import create_app
from wehr.web.house import House
from wehr.web.measures import Family
from wehr.web.pages import PAGES
from wehr.web.settings import WebSettings
from wehr.web.site import operators_site
from wehr.web.source import Facts, Present
from wehr.web.stores import Stores
from wehr.web.visit import Need, Page, Role, Visit, Visitor

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

    def measures(self) -> tuple[Family, ...]:
        """Nothing is counted."""
        return ()


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


class Reader(TestClient):
    """A browser that reads names as people do, who do not see where a line may be broken inside one."""

    def request(self, *args: Any, **options: Any) -> Any:
        """What is answered."""
        answer = super().request(*args, **options)
        answer._content = answer.content.replace(b"<wbr>", b"")
        return answer


@cache
def _empty_store() -> bytes:
    """The file of a new store: copied quicker than made."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "wehr.sqlite"
        open_store(f"sqlite:///{file}").close()
        return file.read_bytes()


@contextlib.contextmanager
def house(
    folder: Path, now: float, policy: Policy | None = None, facts: Facts | None = None
) -> Iterator[tuple[House, Standing, Store]]:
    """What pages are given, over a new store in the folder, with its source and the store to fill.

    After filling the store call `learn`.
    """
    policy = policy or Policy()
    file = folder / "wehr.sqlite"
    if not file.exists():
        file.write_bytes(_empty_store())
    with open_store(f"sqlite:///{file}") as store:
        facts = facts or Facts(host_name="mx.example.org", contact="postmaster@example.org")
        ledger = Ledger(mixed_enforced=policy.mixed == "enforce")
        source = Standing(
            now, Present(load(), policy, Holds.of(policy, (), ()), facts, secret=store.secret), ledger
        )
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
    with Reader(app, base_url="http://localhost", follow_redirects=False) as browser:
        yield browser


@contextlib.contextmanager
def site(
    given: House,
    settings: WebSettings | None = None,
    client_ip: str = "testclient",
    provider: Any = None,
) -> Iterator[TestClient]:
    """A browser at the whole site, with real accounts, sessions, tokens, and perhaps an OpenID provider."""
    app = operators_site(given, settings or WebSettings(), provider)
    peer = (client_ip, 50_000)
    with Reader(app, base_url="http://localhost", follow_redirects=False, client=peer) as browser:
        yield browser


@contextlib.contextmanager
def listening(given: House, settings: WebSettings | None = None) -> Iterator[str]:
    """The whole site over real HTTP on loopback; gives its address."""
    app = operators_site(given, settings or WebSettings())
    server = uvicorn.Server(
        uvicorn.Config(app, http="h11", ws="none", lifespan="off", log_config=None, access_log=False)
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        until(lambda: server.started)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)


def token(store: Store, scope: Scope = Scope.READ, tenants: Sequence[str] = (), now: float = 0.0) -> str:
    """A new token's text."""
    return Tokens(store).create("test", scope, tenants, days=90, by="test", now=now)[1]


PASSWORD = "correct horse battery staple"


def account(
    store: Store, name: str, role: Role = Role.ADMINISTRATOR, tenants: Sequence[str] = (), now: float = 0.0
) -> None:
    """A new account that can log in with `PASSWORD`."""
    Accounts(store).add(name, role, tenants, by="test", now=now)
    Accounts(store).set_password(name, hash_password(PASSWORD), by="test", now=now)


def csrf(answer: Any) -> str:
    """What the form on a page must send back."""
    found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
    assert found is not None, answer.text
    return found[1]


def log_in(browser: TestClient, name: str, password: str = PASSWORD) -> Any:
    """Log in as a browser does; gives the answer."""
    form = {"csrf": csrf(browser.get("/login")), "name": name, "password": password}
    return browser.post("/login", data=form)
