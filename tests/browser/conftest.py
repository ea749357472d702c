"""What the tests in a browser share: what was played, a browser, and Wehr running over it."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from chromium import chromium
from fleet_site import Site, Sites, play, site
from playwright.sync_api import Browser

from wehr.web.access import passwords
from wehr.web.visit import Role


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of the fleet after a hundred days."""
    folder = tmp_path_factory.mktemp("fleet") / "state"
    play(folder)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a module: while it is there, no other event loop can run in this thread."""
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module", autouse=True)
def _cheap_passwords() -> Iterator[None]:
    """Hashes that cost next to nothing."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(passwords, "_HASHER", cheap)
        patched.setattr(passwords, "_NOBODY", cheap.hash("nobody's password"))
        yield


@pytest.fixture
def fleet(tmp_path: Path, played: Path) -> Sites:
    """Starts Wehr over the fleet, with accounts of some roles."""
    return partial(site, tmp_path / "state", played=played)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, played: Path, _cheap_passwords: None) -> Iterator[Site]:
    """Wehr over the fleet, for tests that only look, with an account of each role."""
    with site(tmp_path_factory.mktemp("shown") / "state", *Role, played=played) as running:
        yield running
