"""Every route of the site, walked: what it needs, who is let in, and what every answer carries."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from browsing import account, csrf, house, learn, log_in, site, token
from ledger_stories import at, entry, sighting
from starlette.testclient import TestClient

from wehr.ledger import Store
from wehr.ledger.journal import Position
from wehr.web.access.gatekeeper import Gatekeeper
from wehr.web.access.tokens import Scope
from wehr.web.guard import HEADERS
from wehr.web.settings import WebSettings
from wehr.web.site import pages_of
from wehr.web.visit import MAY, Need, Page, Role

NOW = at(40)
_REFUSED = {303, 401, 403}


def _routes() -> list[Page]:
    """All pages, with an example path."""
    gatekeeper = Gatekeeper(None, WebSettings())  # type: ignore[arg-type]
    return list(pages_of(gatekeeper, WebSettings()))


PAGES = _routes()
EACH = pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.methods[0]} {page.path}")


def _path(page: Page) -> str:
    return re.sub(r"\{\w+\}", "abcdefghijklmnop", page.path)


class World:
    """A site with one account of each role, and one token of each scope."""

    def __init__(self, browser: TestClient, store: Store) -> None:
        self.browser = browser
        self.store = store
        for role in Role:
            tenants = ["school"] if role is Role.TENANT_OPERATOR else []
            account(store, role.value, role, tenants, now=NOW)
        self.tokens = {scope: token(store, scope, now=NOW) for scope in Scope}

    def ask(self, page: Page, **more: Any) -> Any:
        """Ask for a page with its first method; a form's token is sent along."""
        method = page.methods[0]
        return self.browser.request(method, _path(page), **more)


@pytest.fixture(name="world", scope="module")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The site over a store with a server."""
    settings = WebSettings(api_per_minute=1_000_000)
    with house(tmp_path_factory.mktemp("routes"), NOW) as (given, source, store):
        store.carry("mx1", Position(), [entry(sighting(day)) for day in (0, 40)], Position(1, 1), NOW)
        learn(source, store)
        with site(given, settings) as browser:
            yield World(browser, store)


def test_every_route_has_a_name_of_its_own_and_one_answer_to_each_method() -> None:
    """So that links are unambiguous; and what a route needs, its type demands."""
    assert len({page.name for page in PAGES}) == len(PAGES)
    asked = [(method, page.path) for page in PAGES for method in page.methods]
    assert len(set(asked)) == len(asked)
    assert all(isinstance(page.needs, Need) for page in PAGES)


def test_what_needs_nothing_is_a_short_list() -> None:
    """Whatever else is open to everybody was meant to be: then it is added here."""
    open_ = {page.path for page in PAGES if page.needs is Need.NOTHING}

    assert open_ <= {
        "/login",
        "/invitation/{secret}",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/s/{ref}",
        "/static/{digest}/{name}",
        "/api/v1/openapi.json",
    }


@EACH
def test_what_changes_something_is_no_get(page: Page) -> None:
    """And what operators do, no viewer may."""
    changing = {"POST", "PUT", "PATCH", "DELETE"} & set(page.methods)
    own = page.path.startswith(("/login", "/logout", "/invitation", "/account"))

    assert not (changing and "GET" in page.methods)
    if changing and not own:
        assert page.needs >= Need.OPERATE


@EACH
def test_a_stranger_sees_what_needs_nothing_and_nothing_else(page: Page, world: World) -> None:
    """Everything else leads to the log-in, or is refused."""
    world.browser.cookies.clear()
    answer = world.ask(page)

    if page.needs > Need.NOTHING:
        assert answer.status_code in _REFUSED
        assert "mail.example.org" not in answer.text
    for name in HEADERS:
        assert name in answer.headers
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "server" not in answer.headers


@EACH
@pytest.mark.parametrize("role", Role)
def test_a_role_opens_what_it_may_and_nothing_else(page: Page, role: Role, world: World) -> None:
    """Of what is behind the log-in; the API is opened by tokens only."""
    if page.needs is Need.NOTHING or page.path == "/logout":
        pytest.skip("tested elsewhere")
    browser = world.browser
    browser.cookies.clear()
    log_in(browser, role.value)
    form = {"csrf": csrf(browser.get("/account"))} if page.methods[0] == "POST" and not page.token else None

    answer = world.ask(page, data=form)

    if page.token:
        assert answer.status_code == 401
    elif MAY[role] >= page.needs:
        assert answer.status_code not in _REFUSED - {303}
        assert not answer.headers.get("location", "").startswith("/login")
        assert answer.status_code < 500
    else:
        assert answer.status_code == 403


@EACH
@pytest.mark.parametrize("scope", Scope)
def test_a_token_opens_what_its_scope_allows_and_nothing_else(page: Page, scope: Scope, world: World) -> None:
    """Of the API; for a page it is nobody."""
    world.browser.cookies.clear()
    answer = world.ask(page, headers={"Authorization": f"Bearer {world.tokens[scope]}"})

    if not page.token:
        assert page.needs is Need.NOTHING or answer.status_code in _REFUSED
    elif scope.may >= page.needs:
        assert answer.status_code not in {401, 403}
        assert answer.status_code < 500
    else:
        assert answer.status_code == 403
        assert answer.headers["Content-Type"] == "application/problem+json"


@EACH
def test_another_method_is_not_allowed_and_told_which_is(page: Page, world: World) -> None:
    """405 with Allow, before anything else is looked at."""
    answer = world.browser.request("TRACE", _path(page))

    assert answer.status_code == 405
    assert page.methods[0] in answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/no/such/page", "/api/v1/none", "/static/0/..%2fapp.py", "/login/"])
def test_what_is_not_there_is_a_plain_404_with_all_headers(path: str, world: World) -> None:
    """Shown to strangers too; for programs a problem."""
    answer = world.browser.get(path)

    assert answer.status_code == 404
    assert set(HEADERS) <= {name.title().replace("Csp", "CSP") for name in answer.headers}
    if path.startswith("/api"):
        assert answer.json()["status"] == 404


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:8894", 200),
        ("127.0.0.1:8894", 200),
        ("[::1]:8894", 200),
        ("192.0.2.9", 200),
        ("mx.example.org", 200),
        ("MX.example.org:443", 200),
        ("evil.example", 421),
        ("mx.example.org.evil.example", 421),
        ("", 421),
        ("localhost:x", 421),
        ("1.2.3.4.evil.example", 421),
    ],
)
def test_only_names_of_ones_own_are_answered(host: str, status: int, world: World) -> None:
    """So a foreign page cannot have its own name point here, and read what we say. Addresses it cannot."""
    assert world.browser.get("/health/live", headers={"Host": host}).status_code == status


def test_a_body_beyond_the_limit_is_refused_with_and_without_its_length(world: World) -> None:
    """413, and the form is not read."""
    assert world.browser.post("/login", content=b"x" * (2 << 20)).status_code == 413

    def chunks() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 65_536

    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert world.browser.post("/login", content=chunks(), headers=kind).status_code == 413


@pytest.mark.parametrize(
    ("path", "status"),
    [("/%00", 404), ("/api/v1/servers/%00", 404), ("/login?next=%00", 400), ("/api/v1/events?by=a%00", 400)],
)
def test_text_that_no_store_takes_is_refused_at_once(path: str, status: int, world: World) -> None:
    """NUL, which PostgreSQL has no place for."""
    assert world.browser.get(path).status_code == status
