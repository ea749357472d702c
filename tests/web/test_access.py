"""Logging in: invitations, passwords, sessions, and what is refused."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
from argon2 import PasswordHasher
from browsing import PASSWORD, account, csrf, house, log_in, site
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from wehr.ledger import Store, StoreAway
from wehr.web.access import passwords
from wehr.web.access.accounts import AccountError, Accounts
from wehr.web.access.secret import marked_secret, new_secret
from wehr.web.access.sessions import Lifetime, Sessions
from wehr.web.cookies import SESSION, VISIT
from wehr.web.house import House
from wehr.web.settings import WebSettings
from wehr.web.visit import Role

NOW = 1_795_000_000.0
HOUR = 3600.0


@pytest.fixture(name="world")
def _world(tmp_path: Path) -> Iterator["World"]:
    """A site with an administrator, anna."""
    with house(tmp_path, NOW) as (given, source, store), site(given) as browser:
        account(store, "anna", now=NOW)
        yield World(browser, store, source)


class World(msgspec.Struct):
    """A browser at a site, its store, and its clock."""

    browser: TestClient
    store: Store
    source: object

    def later(self, seconds: float) -> None:
        """Let time go by."""
        self.source.time += seconds  # type: ignore[attr-defined]

    def kinds(self) -> list[str]:
        """What the audit tells, the oldest first."""
        return [event.kind for event in reversed(self.store.events())]


def test_a_stranger_is_led_to_the_log_in_and_back(world: World) -> None:
    """The page that was wanted comes after it, and no other host's."""
    answer = world.browser.get("/account?a=b")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2Faccount%3Fa%3Db"

    form = world.browser.get(answer.headers["location"])
    fields = {"csrf": csrf(form), "name": "anna", "password": PASSWORD, "next": "/account?a=b"}
    answer = world.browser.post("/login", data=fields)

    assert answer.status_code == 303
    assert answer.headers["location"] == "/account?a=b"
    assert "anna" in world.browser.get("/account").text


@pytest.mark.parametrize(
    "wanted", ["//evil.example/", "/\\evil.example", "https://evil.example/", "x", "/a\nb"]
)
def test_no_link_leads_through_the_log_in_to_another_host(wanted: str, world: World) -> None:
    """Whatever ``next`` says."""
    form = {"csrf": csrf(world.browser.get("/login")), "name": "anna", "password": PASSWORD, "next": wanted}

    answer = world.browser.post("/login", data=form)

    assert answer.headers["location"] == "/"


def test_a_session_is_a_new_secret_that_scripts_cannot_read(world: World) -> None:
    """One that was planted before is worth nothing, and the store holds none."""
    world.browser.cookies.set(SESSION, "planted-by-somebody-else")
    answer = log_in(world.browser, "anna")
    cookie = answer.headers["set-cookie"]
    secret = answer.cookies[SESSION]

    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie
    assert secret != "planted-by-somebody-else"
    held = Sessions(world.store, Lifetime(HOUR, HOUR)).of("anna", NOW)
    assert secret not in {session.id for session in held}
    assert len(held) == 1


@pytest.mark.parametrize(
    ("trusted", "secure"), [(("192.0.2.0/24",), True), (("198.51.100.1",), False), ((), False)]
)
def test_behind_a_trusted_proxy_that_speaks_tls_cookies_go_over_tls_only(
    trusted: tuple[str, ...], secure: bool, tmp_path: Path
) -> None:
    """Anybody else who says so is not believed."""
    settings = WebSettings(trusted_proxies=trusted)
    with house(tmp_path, NOW) as (given, _, _), site(given, settings, "192.0.2.7") as browser:
        answer = browser.get("/login", headers={"X-Forwarded-Proto": "https"})

    assert ("Secure" in answer.headers["set-cookie"]) is secure


def test_logging_in_again_ends_the_session_before(world: World) -> None:
    """Nobody keeps a session that was replaced in the same browser."""
    log_in(world.browser, "anna")
    first = world.browser.cookies[SESSION]
    log_in(world.browser, "anna")

    world.browser.cookies.set(SESSION, first)
    assert len(Sessions(world.store, Lifetime(HOUR, HOUR)).of("anna", NOW)) == 1


def test_logging_out_ends_the_session_in_the_store(world: World) -> None:
    """Whoever kept the cookie is out as well."""
    log_in(world.browser, "anna")
    kept = world.browser.cookies[SESSION]
    token = csrf(world.browser.get("/account"))

    answer = world.browser.post("/logout", data={"csrf": token})

    assert answer.status_code == 303
    world.browser.cookies.set(SESSION, kept)
    assert world.browser.get("/account").status_code == 303
    assert world.kinds()[-2:] == ["logged-in", "logged-out"]


@pytest.mark.parametrize(
    ("steps", "length", "open_"),
    [(1, 0.9 * HOUR, True), (1, 1.1 * HOUR, False), (14, 0.5 * HOUR, True), (25, 0.5 * HOUR, False)],
)
def test_a_session_ends_when_idle_and_in_any_case_after_some_hours(
    steps: int, length: float, open_: bool, world: World
) -> None:
    """An hour without a request, and twelve hours in all."""
    log_in(world.browser, "anna")
    for _ in range(steps):
        world.later(length)
        answer = world.browser.get("/account")

    assert (answer.status_code == 200) is open_


def test_another_of_ones_sessions_can_be_ended(world: World) -> None:
    """And only one's own."""
    lifetime = Lifetime(12 * HOUR, HOUR)
    account(world.store, "otto", Role.VIEWER, now=NOW)
    anna, otto = Accounts(world.store).get("anna"), Accounts(world.store).get("otto")
    assert anna is not None
    assert otto is not None
    sessions = Sessions(world.store, lifetime)
    sessions.begin(anna, "192.0.2.1", "elsewhere", "", NOW)
    sessions.begin(otto, "192.0.2.1", "elsewhere", "", NOW)
    log_in(world.browser, "anna")
    token = csrf(world.browser.get("/account"))
    other = next(it for it in sessions.of("anna", NOW) if it.agent == "elsewhere")
    foreign = sessions.of("otto", NOW)[0]

    for session in (other.id, foreign.id):
        world.browser.post("/account/sessions", data={"csrf": token, "session": session})

    assert len(sessions.of("anna", NOW)) == 1
    assert len(sessions.of("otto", NOW)) == 1


def test_a_shut_account_is_out_at_once(world: World) -> None:
    """Its sessions end, and its password no longer fits."""
    account(world.store, "otto", Role.VIEWER, now=NOW)
    log_in(world.browser, "otto")
    Accounts(world.store).disable("otto", by="anna", now=NOW)

    assert world.browser.get("/account").status_code == 303
    assert log_in(world.browser, "otto").status_code == 401


def test_another_role_holds_at_once(world: World) -> None:
    """In the session that goes on."""
    account(world.store, "otto", Role.OPERATOR, now=NOW)
    log_in(world.browser, "otto")
    Accounts(world.store).change("otto", Role.TENANT_OPERATOR, ["school"], by="anna", now=NOW)
    found = Sessions(world.store, Lifetime(HOUR, HOUR)).find(world.browser.cookies[SESSION], NOW)

    assert found is not None
    assert found[1].role is Role.TENANT_OPERATOR
    assert found[1].tenants == ("school",)


def test_the_last_administrator_stays(world: World) -> None:
    """Or nobody could let anybody in."""
    accounts = Accounts(world.store)
    for change in (
        lambda: accounts.disable("anna", by="anna", now=NOW),
        lambda: accounts.change("anna", Role.VIEWER, (), by="anna", now=NOW),
    ):
        with pytest.raises(AccountError, match="last administrator"):
            change()

    account(world.store, "otto", now=NOW)
    assert accounts.disable("anna", by="otto", now=NOW).disabled


def test_an_unknown_name_and_a_wrong_password_look_alike(world: World) -> None:
    """Same status and page; and both cost a hash."""
    Accounts(world.store).add("invited", Role.VIEWER, (), by="anna", now=NOW)
    pages = []
    for name in ("anna", "nobody", "invited"):
        answer = log_in(world.browser, name, "wrong horse battery staple")
        assert answer.status_code == 401
        pages.append(answer.text.replace(name, ""))

    assert pages[0] == pages[1] == pages[2]


def test_an_unknown_name_costs_as_much_as_a_known_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One hash is computed each time."""
    counted = []
    hasher = passwords._HASHER

    class Counting:
        def verify(self, kept: str, password: str) -> bool:
            counted.append(kept)
            return hasher.verify(kept, password)

    monkeypatch.setattr(passwords, "_HASHER", Counting())
    for name in ("anna", "nobody"):
        log_in(world.browser, name, "wrong horse battery staple")

    assert len(counted) == 2


def test_guessing_takes_ever_longer(world: World) -> None:
    """After five failures even the right password waits; then it fits, and all is forgotten."""
    for _ in range(5):
        assert log_in(world.browser, "anna", "wrong").status_code == 401
    answer = log_in(world.browser, "anna")
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1

    world.later(10)
    assert log_in(world.browser, "anna").status_code == 303
    assert log_in(world.browser, "anna", "wrong").status_code == 401


# Forms that were not meant


def test_a_form_without_its_token_does_nothing(world: World) -> None:
    """Logged in or not; with a stranger's token neither."""
    assert world.browser.post("/login", data={"name": "anna", "password": PASSWORD}).status_code == 403
    log_in(world.browser, "anna")
    for fields in ({}, {"csrf": ""}, {"csrf": "0" * 48}):
        assert world.browser.post("/logout", data=fields).status_code == 403

    assert world.browser.get("/account").status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://localhost"}, 303),
        ({"Origin": "null"}, 303),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 303),
        ({}, 303),
    ],
)
def test_a_form_of_a_foreign_page_does_nothing(headers: dict[str, str], status: int, world: World) -> None:
    """Even with the right token."""
    log_in(world.browser, "anna")
    token = csrf(world.browser.get("/account"))

    answer = world.browser.post("/logout", data={"csrf": token}, headers=headers)

    assert answer.status_code == status


def test_a_form_token_is_of_one_session_only(world: World) -> None:
    """That of the log-in form is worth nothing afterwards."""
    before = csrf(world.browser.get("/login"))
    log_in(world.browser, "anna")

    assert world.browser.post("/logout", data={"csrf": before}).status_code == 403
    assert VISIT in world.browser.cookies


# Invitations


def test_the_first_link_makes_an_administrator_once(tmp_path: Path) -> None:
    """It is void when used, when another was printed, and after a day."""
    with house(tmp_path, NOW) as (given, source, store), site(given) as browser:
        old = Accounts(store).first(NOW)
        link = f"/invitation/{Accounts(store).first(NOW)}"
        assert browser.get(f"/invitation/{old}").status_code == 404
        source.time += 25 * HOUR
        assert browser.get(link).status_code == 404
        source.time -= 25 * HOUR

        form = {"csrf": csrf(browser.get(link)), "name": "Anna", "password": PASSWORD, "again": PASSWORD}
        answer = browser.post(link, data=form)

        assert answer.status_code == 303
        assert "Anna" in browser.get("/account").text
        assert browser.get(link).status_code == 404
        assert Accounts(store).first(NOW) is None
        made = Accounts(store).get("anna")
        assert made is not None
        assert made.role is Role.ADMINISTRATOR
        assert PASSWORD not in made.password


@pytest.mark.parametrize(
    ("password", "again", "said"),
    [
        ("short", "short", "at least 12"),
        ("aaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaa", "more different"),
        ("password123456", "password123456", "guessed first"),
        ("qwertyuiopasdf", "qwertyuiopasdf", "guessed first"),
        ("anna loves bo", "anna loves bo", "your name"),
        (PASSWORD, "another one entirely", "differ"),
        ("x" * 300, "x" * 300, "at most 256"),
    ],
)
def test_a_weak_password_is_refused_with_its_reason(
    password: str, again: str, said: str, world: World
) -> None:
    """And the link stays good."""
    secret = Accounts(world.store).invite("anna", Role.VIEWER, by="otto", now=NOW)
    link = f"/invitation/{secret}"
    form = {"csrf": csrf(world.browser.get(link)), "password": password, "again": again}

    answer = world.browser.post(link, data=form)

    assert answer.status_code == 422
    assert said in answer.text
    assert world.browser.get(link).status_code == 200


def test_another_password_ends_all_other_sessions(world: World) -> None:
    """The one that sets it goes on; the old password is needed."""
    sessions = Sessions(world.store, Lifetime(12 * HOUR, HOUR))
    anna = Accounts(world.store).get("anna")
    assert anna is not None
    sessions.begin(anna, "192.0.2.1", "elsewhere", "", NOW)
    log_in(world.browser, "anna")
    form = {
        "csrf": csrf(world.browser.get("/account")),
        "password": "a new one that is good",
        "again": "a new one that is good",
    }

    assert world.browser.post("/account/password", data={**form, "old": "wrong"}).status_code == 422
    assert world.browser.post("/account/password", data={**form, "old": PASSWORD}).status_code == 303

    assert [it.agent for it in sessions.of("anna", NOW)] == ["testclient"]
    assert log_in(world.browser, "anna").status_code == 401


def test_an_invitation_of_a_known_account_keeps_its_role(world: World) -> None:
    """A link to another password makes nobody an administrator."""
    account(world.store, "otto", Role.VIEWER, now=NOW)
    secret = Accounts(world.store).invite("OTTO", Role.ADMINISTRATOR, by="anna", now=NOW)

    assert Accounts(world.store).accept(secret, "", "hash", NOW).role is Role.VIEWER


def test_whoever_chooses_a_name_cannot_take_anothers(world: World) -> None:
    """In any case of letters."""
    secret = Accounts(world.store).invite("", Role.VIEWER, by="anna", now=NOW)

    with pytest.raises(AccountError, match="already"):
        Accounts(world.store).accept(secret, "ANNA", "hash", NOW)


@pytest.mark.parametrize("name", ["", " ", "wehr", "x" * 101, "a\x00b", "a\nb"])
def test_a_name_can_be_shown_in_the_audit(name: str, world: World) -> None:
    """And nobody is called as Wehr itself is."""
    with pytest.raises(AccountError, match="printable"):
        Accounts(world.store).add(name, Role.VIEWER, (), by="anna", now=NOW)


def test_only_a_tenant_operator_has_tenants(world: World) -> None:
    """And needs some."""
    for role, tenants in ((Role.VIEWER, ["school"]), (Role.TENANT_OPERATOR, [])):
        with pytest.raises(AccountError, match="tenant operator"):
            Accounts(world.store).add("otto", role, tenants, by="anna", now=NOW)


def test_passwords_are_kept_as_argon2id_as_rfc_9106_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its second recommended parameters: 64 MiB, three passes, four lanes."""
    monkeypatch.undo()

    assert passwords.hash_password(PASSWORD).startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_a_hash_of_other_parameters_is_renewed_when_its_owner_logs_in(world: World) -> None:
    """Nobody has to do anything for it."""
    old = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(PASSWORD)
    Accounts(world.store).set_password("anna", old, by="anna", now=NOW)
    log_in(world.browser, "anna")
    anna = Accounts(world.store).get("anna")

    assert anna is not None
    assert anna.password != old
    assert passwords.is_right(anna.password, PASSWORD)


def test_an_invitation_that_fails_leaves_no_secret_in_the_log(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where its path begins is told, and that the store is away."""

    def away(*_: object) -> None:
        raise StoreAway("gone")

    secret = Accounts(world.store).invite("", Role.VIEWER, by="anna", now=NOW)
    monkeypatch.setattr(Accounts, "invitation", away)
    with capture_logs() as logged:
        answer = world.browser.get(f"/invitation/{secret}")

    assert answer.status_code == 503
    assert [line["path"] for line in logged] == ["/invitation"]
    assert secret not in str(logged)


def test_what_somebody_makes_up_costs_no_question(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cookie or an invitation that is none of ours is told by its mark, without the store."""

    def asked(*_: object) -> None:
        raise AssertionError("the store was asked")

    real = Accounts(world.store).invite("", Role.VIEWER, by="anna", now=NOW)
    monkeypatch.setattr(House, "ask", asked)
    for made_up in (
        "x",
        "",
        "ü" * 30,
        new_secret(),
        marked_secret(b"another fleet"),
        f"{real[:-1]}.",
        real[1:],
    ):
        browser = TestClient(world.browser.app, base_url="http://localhost", follow_redirects=False)
        browser.headers["Cookie"] = f"{SESSION}={quote(made_up)}"
        assert browser.get("/account").status_code == 303
        assert browser.get(f"/invitation/{quote(made_up)}").status_code == 404


def test_before_the_fleets_secret_is_known_the_store_is_asked(world: World) -> None:
    """Nobody is shut out for it."""
    log_in(world.browser, "anna")
    world.source.value = msgspec.structs.replace(world.source.value, secret=b"")  # type: ignore[attr-defined]

    assert world.browser.get("/account").status_code == 200
