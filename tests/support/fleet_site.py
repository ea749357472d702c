"""A hundred played days of the demonstration's fleet, and Wehr really running over them, for a browser."""

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from browsing import PASSWORD, account
from playwright.sync_api import Page
from ports import free_port
from running import Receiver, receiver

from wehr.ledger import Store, open_store
from wehr.service.demonstration import DAY, Demonstration
from wehr.service.fleet import FLEET
from wehr.web.visit import Role

START = 20_679 * DAY
"""2026-08-14."""
NOW = START + 100 * DAY + 9.5 * 3600

_CONFIG = """
web.listen = ["127.0.0.1:{port}"]
status_url = "https://mx.example.org"
contact = "postmaster@example.org"
policy.ladder_rules = [{{ use = "urgent", exploited = true, products = ["Exchange Server 2010"] }}]
policy.tenants = [{{ name = "university", domains = ["uni.example.org"], mode = "report" }}]
"""


@dataclass(frozen=True)
class Site:
    """Wehr that is running: where its pages are, the service, and its store."""

    url: str
    running: Receiver
    store: Store

    def server(self, name: str) -> str:
        """The reference of a server by its name."""
        return next(row.ref for row in self.store.servers() if row.key.name == name)

    def log_in(self, page: Page, role: Role) -> None:
        """Log in as the account of a role."""
        page.goto("/login")
        page.locator("#name").fill(role.value)
        page.locator("#password").fill(PASSWORD)
        page.locator("main button").click()
        page.wait_for_url(f"{self.url}/")


Sites = Callable[..., AbstractContextManager[Site]]


def play(folder: Path) -> None:
    """Have the fleet send a message a day each, through the milter door, into a new state folder."""
    actors = [msgspec.structs.replace(actor, every=24) for actor in FLEET.actors]
    demonstration = Demonstration(folder, START, 100, msgspec.structs.replace(FLEET, actors=actors))

    async def through() -> None:
        async for _ in demonstration.play():
            pass

    asyncio.run(through())


@contextlib.contextmanager
def site(folder: Path, *roles: Role, played: Path | None = None) -> Iterator[Site]:
    """Wehr over a copy of what was played, or over nothing, with an account of each role named like it."""
    if played:
        shutil.copytree(played, folder)
    port = free_port()
    with (
        receiver(folder, NOW, "enforce", _CONFIG.format(port=port)) as running,
        open_store(f"sqlite:///{folder / 'wehr.sqlite'}") as store,
    ):
        for role in roles:
            account(store, role.value, role, ["university"] * (role is Role.TENANT_OPERATOR), NOW)
        yield Site(f"http://127.0.0.1:{port}", running, store)
