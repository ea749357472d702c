"""Logging in with an OpenID provider: there and back, and everything that a hostile one may answer."""

import hmac
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx2
import msgspec
import pytest
from browsing import account, csrf, house, log_in, site
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from openid import CLIENT, SECRET, Stand, ec_key, pieced, public, real_provider, rsa_key, signed, stand
from starlette.testclient import TestClient

from wehr.ledger import Store
from wehr.web.access.accounts import Accounts
from wehr.web.access.oidc import fetch as fetching
from wehr.web.access.oidc.provider import Provider
from wehr.web.access.oidc.settings import Group, Oidc
from wehr.web.cookies import OIDC, SESSION
from wehr.web.settings import WebSettings
from wehr.web.visit import Role

NOW = 1_795_000_000.0
URL = "http://localhost"
MAIL = Group("mail", "operator")
SCHOOL = Group("school", "tenant-operator", ("school",))


class World(msgspec.Struct):
    """A browser at a site that knows a provider."""

    browser: TestClient
    store: Store
    source: Any
    stand: Stand

    def log_in(self, wanted: str = "", **changed: str) -> Any:
        """Go there and back; ``changed`` goes into what the provider sends along."""
        there = self.browser.get("/login/oidc", params={"next": wanted})
        assert there.status_code == 303, there.text
        return self.come_back(self.stand.log_in(there.headers["location"]), **changed)

    def come_back(self, location: str, **changed: str) -> Any:
        """Come back from the provider."""
        where = urlsplit(location)
        query = {name: values[0] for name, values in parse_qs(where.query).items()} | changed
        return self.browser.get(f"{where.path}?{urlencode(query)}")

    @property
    def kinds(self) -> list[str]:
        """What the audit tells, the oldest first."""
        return [event.kind for event in reversed(self.store.events())]


@pytest.fixture(name="provider", scope="module")
def _provider() -> Iterator[Stand]:
    with stand(NOW) as given:
        yield given


@pytest.fixture(name="world")
def _world(tmp_path: Path, provider: Stand, request: pytest.FixtureRequest) -> Iterator[World]:
    """A site with an administrator, anna; a parameter changes the settings."""
    provider.__init__(urlsplit(provider.issuer).port, NOW)  # type: ignore[misc]
    given = {"issuer": provider.issuer, "client_id": CLIENT, **getattr(request, "param", {})}
    settings = WebSettings(url=URL, oidc=Oidc(**given))
    with (
        house(tmp_path, NOW) as (rooms, source, store),
        site(rooms, settings, provider=Provider(settings.oidc, SECRET, URL)) as browser,
    ):
        account(store, "anna", now=NOW)
        yield World(browser, store, source, provider)


settings = partial(pytest.mark.parametrize, "world", indirect=True)


def test_who_has_an_account_logs_in_and_goes_on_to_the_page_that_was_wanted(world: World) -> None:
    """The audit names the provider; the session is like any other."""
    assert f'href="{URL}/login/oidc?next=%2Faccount"' in world.browser.get("/login?next=/account").text

    answer = world.log_in("/account")

    assert answer.status_code == 303
    assert answer.headers["location"] == "/account"
    assert "anna" in world.browser.get("/account").text
    told = world.store.events()[0]
    assert (told.kind, told.actor, told.detail["provider"]) == ("logged-in", "anna", world.stand.issuer)
    assert world.browser.cookies.get(OIDC) is None


def test_logging_out_is_local(world: World) -> None:
    """The session ends here; the provider hears nothing of it."""
    world.log_in()
    world.stand.asked.clear()
    world.browser.post("/logout", data={"csrf": csrf(world.browser.get("/account"))})

    assert world.browser.get("/account").status_code == 303
    assert world.kinds[-1] == "logged-out"
    assert world.stand.asked == []


def test_what_is_asked_for_is_bound_to_this_browser(world: World) -> None:
    """State, nonce and challenge differ each time, and the cookie is for nobody else."""
    answers = [world.browser.get("/login/oidc") for _ in range(2)]
    queries = [parse_qs(urlsplit(it.headers["location"]).query) for it in answers]

    for name in ("state", "nonce", "code_challenge"):
        assert len({query[name][0] for query in queries}) == 2
        assert all(len(query[name][0]) >= 43 for query in queries)
    assert queries[0]["redirect_uri"] == [f"{URL}/login/oidc/callback"]
    cookie = answers[0].headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Max-Age=600" in cookie


@pytest.mark.parametrize("wanted", ["//evil.example/", "https://evil.example/", "/\\evil.example"])
def test_no_way_leads_to_another_host(wanted: str, world: World) -> None:
    """Whatever ``next`` says."""
    assert world.log_in(wanted).headers["location"] == "/"


def test_a_page_whose_address_is_too_long_for_a_cookie_is_not_gone_on_to(world: World) -> None:
    """The log-in works all the same."""
    assert world.log_in("/report?text=" + "\u20ac" * 1000).headers["location"] == "/"


def _refused(answer: Any, world: World, status: int = 403) -> None:
    assert answer.status_code == status, answer.text
    assert 'role="alert"' in answer.text
    assert 'name="password"' in answer.text, "a password can be used all the same"
    assert answer.cookies.get(SESSION) is None
    assert "logged-in" not in world.kinds


@pytest.mark.parametrize(
    "changed",
    [
        {"state": "another"},
        {"state": ""},
        {"code": ""},
        {"code": "another"},
        {"error": "access_denied"},
        {"iss": "https://evil.example"},
    ],
    ids=str,
)
def test_what_does_not_come_from_the_provider_is_refused(changed: dict[str, str], world: World) -> None:
    """Another's code or state, an error, or another provider's answer (RFC 9207)."""
    _refused(world.log_in(**changed), world)


def test_a_provider_that_promises_to_name_itself_must(world: World) -> None:
    """Or an answer of another one could be passed off as its own (RFC 9207, 2.4)."""
    world.stand.document["authorization_response_iss_parameter_supported"] = True
    _refused(world.log_in(), world)
    assert world.log_in(iss=world.stand.issuer).status_code == 303


def test_who_has_not_set_out_cannot_come_back(world: World) -> None:
    """A foreign page cannot log its victim in; a code that was stolen is worth nothing in another browser."""
    there = world.browser.get("/login/oidc")
    back = world.stand.log_in(there.headers["location"])
    cookie = world.browser.cookies[OIDC]
    world.browser.cookies.clear()
    _refused(world.come_back(back), world)
    for changed in (cookie + "x", cookie.replace(".", ".1", 1), "x", "..", "a.b.c"):
        world.browser.cookies.set(OIDC, changed)
        _refused(world.come_back(back), world)
        world.browser.cookies.clear()


def test_the_way_must_not_take_too_long_and_is_made_once(world: World) -> None:
    """Ten minutes, and one return."""
    there = world.browser.get("/login/oidc")
    cookie = world.browser.cookies[OIDC]
    world.source.time += 601
    world.stand.now += 601
    _refused(world.come_back(world.stand.log_in(there.headers["location"])), world)
    world.source.time -= 601
    world.stand.now -= 601
    back = world.stand.log_in(there.headers["location"])
    world.browser.cookies.set(OIDC, cookie)
    assert world.come_back(back).status_code == 303
    world.browser.cookies.set(OIDC, cookie)
    assert world.come_back(back).status_code == 403


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"aud": [CLIENT, "another"]},
        {"aud": []},
        {"azp": "another"},
        {"iss": "https://evil.example"},
        {"exp": NOW - 61},
        {"exp": "soon"},
        {"exp": None},
        {"iat": NOW + 120},
        {"iat": NOW - 3600},
        {"nbf": NOW + 120},
        {"sub": ""},
        {"sub": 7},
        {"sub": None},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_us_and_now_is_refused(claims: dict[str, Any], world: World) -> None:
    """Though the provider signed it."""
    world.stand.claims |= claims
    _refused(world.log_in(), world)


@pytest.mark.parametrize(
    "claims", [{"aud": [CLIENT]}, {"aud": [CLIENT, "x"], "azp": CLIENT}, {"exp": NOW - 30}]
)
def test_a_token_may_be_for_others_too_and_clocks_may_differ(claims: dict[str, Any], world: World) -> None:
    """By a minute."""
    world.stand.claims |= claims
    assert world.log_in().status_code == 303


Maker = Callable[[Any, dict[str, Any]], str]


def _none(key: Any, claims: dict[str, Any]) -> str:
    """Not signed at all."""
    return pieced({"alg": "none"}, claims, lambda text: b"")


def _by_public_key(key: Any, claims: dict[str, Any]) -> str:
    """Signed with what everybody knows."""
    pem = key.as_pem(private=False)
    return pieced({"alg": "HS256", "kid": "one"}, claims, lambda text: hmac.digest(pem, text, "sha256"))


def _by_secret(key: Any, claims: dict[str, Any]) -> str:
    """Signed with the client's secret."""
    return pieced({"alg": "HS256"}, claims, lambda text: hmac.digest(SECRET.encode(), text, "sha256"))


def _by_stranger(key: Any, claims: dict[str, Any]) -> str:
    """Signed with a key that only calls itself the provider's."""
    return signed(claims, rsa_key())


def _unknown(key: Any, claims: dict[str, Any]) -> str:
    """Signed with a key that is not published, but sent along."""
    stranger = rsa_key("another")
    return signed(claims, stranger, {"jwk": stranger.as_dict(private=False)})


def _changed(key: Any, claims: dict[str, Any]) -> str:
    """Another payload than the one that was signed."""
    head, _, signature = signed({**claims, "sub": "eve"}, key).split(".")
    return f"{head}.{signed(claims, key).split('.')[1]}.{signature}"


def _critical(key: Any, claims: dict[str, Any]) -> str:
    """With a head that must be understood, and is not (RFC 7515, 4.1.11)."""
    head = {"alg": "RS256", "kid": "one", "crit": ["odd"], "odd": 1}
    sign = key.private_key.sign
    return pieced(head, claims, lambda text: sign(text, padding.PKCS1v15(), hashes.SHA256()))


def _no_claims(key: Any, claims: dict[str, Any]) -> str:
    """Signed, but a list."""
    return signed([1], key)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "made",
    [
        _none,
        _by_public_key,
        _by_secret,
        _by_stranger,
        _unknown,
        _changed,
        _critical,
        _no_claims,
        pytest.param(lambda key, claims: "", id="empty"),
        pytest.param(lambda key, claims: "a.b.c", id="letters"),
        pytest.param(lambda key, claims: ".....", id="encrypted"),
        pytest.param(lambda key, claims: "\xe9.\xe9.\xe9", id="not ASCII"),
        pytest.param(lambda key, claims: f"{'W1tb' * 4000}.e30.e30", id="deep"),
    ],
)
def test_a_token_that_the_provider_has_not_signed_is_refused(made: Maker, world: World) -> None:
    """By none of its keys, or by what is no signature."""
    world.stand.token = lambda claims: made(world.stand.keys[0], claims)
    _refused(world.log_in(), world)


def test_a_new_key_is_looked_for_once_a_minute(world: World) -> None:
    """So a rotation is not noticed by anybody, and unknown keys are no burden to the provider."""
    world.log_in()
    world.stand.keys.append(ec_key("two"))
    world.source.time += 61
    world.stand.now += 61
    assert world.log_in().status_code == 303
    world.stand.keys.append(rsa_key("three"))
    asked = world.stand.asked.count("/jwks")
    for _ in range(3):
        assert world.log_in().status_code == 403
    assert world.stand.asked.count("/jwks") == asked


def test_keys_of_other_kinds_do_no_harm(world: World) -> None:
    """Symmetric, too small, for encryption, unreadable: passed over."""
    good = world.stand.keys[0]
    odd = [
        {"kty": "oct", "k": "AAAA", "kid": "one"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "one"},
        {"kty": "RSA", "n": "!" * 400, "e": "AQAB", "kid": "one"},
        {**good.as_dict(private=False), "use": "enc"},
        {"kty": 5},
        [],
        {"kty": "EC", "crv": "P-256", "x": "A", "y": "A", "kid": "one"},
    ]
    published = msgspec.json.encode({"keys": [*odd, *public(good)["keys"]]})
    world.stand.answers["/jwks"] = lambda: (200, {}, published)
    assert world.log_in().status_code == 303

    world.stand.answers["/jwks"] = lambda: (200, {}, msgspec.json.encode({"keys": odd}))
    world.source.time += 4000
    world.stand.now += 4000
    assert world.log_in().status_code == 403


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks", "/token"])
@pytest.mark.parametrize(
    "answer",
    [
        (302, {"Location": "http://127.0.0.1:1/"}, b""),
        (500, {}, b"<html>"),
        (200, {}, b"<html>"),
        (200, {}, b"[" * 100_000),
        (200, {}, b"{}"),
        (200, {}, b" " * 300_000),
        (200, {"Content-Length": "1000"}, b"{"),
    ],
    ids=["redirect", "error", "no JSON", "deep", "empty", "huge", "cut off"],
)
def test_a_provider_that_answers_nonsense_is_away(
    path: str, answer: tuple[int, dict[str, str], bytes], world: World
) -> None:
    """A clear page; a password opens the door all the same."""
    world.stand.answers[path] = lambda: answer
    there = world.browser.get("/login/oidc")
    if path.startswith("/."):
        _refused(there, world, 502)
    else:
        _refused(world.come_back(world.stand.log_in(there.headers["location"])), world, 502)
    assert log_in(world.browser, "anna").status_code == 303


def test_a_provider_that_is_slow_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time that a request has; and it is left in peace for a moment."""
    release = threading.Event()
    monkeypatch.setattr(fetching, "SECONDS", 0.2)

    def slow() -> tuple[int, dict[str, str], bytes]:
        release.wait(30)
        return 200, {}, b"{}"

    world.stand.answers["/.well-known/openid-configuration"] = slow
    started = time.monotonic()
    try:
        _refused(world.browser.get("/login/oidc"), world, 502)
        assert world.browser.get("/login/oidc").status_code == 502
    finally:
        release.set()
    assert time.monotonic() - started < 10
    assert world.stand.asked == ["/.well-known/openid-configuration"], "not asked again at once"


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://192.0.2.1/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": "https://user@evil.example/"},
    ],
    ids=str,
)
def test_a_document_that_leads_elsewhere_is_not_believed(document: dict[str, str], world: World) -> None:
    """It must be this issuer's, and nobody on the way may read what is said."""
    world.stand.document = document
    _refused(world.browser.get("/login/oidc"), world, 502)


def test_who_is_known_there_but_not_here_is_told_so(world: World) -> None:
    """And nothing is made."""
    world.stand.claims["sub"] = "otto"
    _refused(world.log_in(), world)
    assert Accounts(world.store).get("otto") is None


@pytest.mark.parametrize("name", ["Anna", " anna", "anna ", "ANNA"])
def test_a_name_is_the_very_name(name: str, world: World) -> None:
    """A provider tells apart what a store may not."""
    world.stand.claims["sub"] = name
    _refused(world.log_in(), world)


def test_a_shut_account_stays_shut(world: World) -> None:
    """Whatever the provider says."""
    account(world.store, "berta", now=NOW)
    Accounts(world.store).disable("anna", by="berta", now=NOW)
    _refused(world.log_in(), world)


@settings([{"claim": "email"}])
def test_an_address_counts_once_the_provider_has_verified_it(world: World) -> None:
    """Or anybody could claim it."""
    account(world.store, "anna@example.org", now=NOW)
    world.stand.claims |= {"sub": "1", "email": "anna@example.org"}
    _refused(world.log_in(), world)
    world.stand.claims["email_verified"] = True
    assert world.log_in().status_code == 303


GROUPS = {"groups": (MAIL, SCHOOL), "create": True}


@settings([GROUPS])
@pytest.mark.parametrize(
    ("told", "role", "tenants"),
    [
        (["staff", "mail"], Role.OPERATOR, ()),
        ("mail", Role.OPERATOR, ()),
        (["school"], Role.TENANT_OPERATOR, ("school",)),
        (["school", "mail"], Role.OPERATOR, ()),
    ],
    ids=str,
)
def test_an_account_is_made_as_its_group_says(
    told: object, role: Role, tenants: tuple[str, ...], world: World
) -> None:
    """The first group in the configuration counts."""
    world.stand.claims |= {"sub": "otto", "groups": told}
    assert world.log_in().status_code == 303

    made = Accounts(world.store).get("otto")
    assert made
    assert (made.role, made.tenants) == (role, tenants)
    assert world.kinds[-2:] == ["account-added", "logged-in"]
    assert world.store.events()[1].actor == f"oidc {world.stand.issuer}"


@settings([GROUPS])
@pytest.mark.parametrize("told", [[], None, ["staff"], "school mail", {"mail": True}, [["mail"]]], ids=str)
def test_who_is_in_no_group_is_not_let_in(told: object, world: World) -> None:
    """Though the account be there."""
    world.stand.claims["groups"] = told
    _refused(world.log_in(), world)


@settings([{"groups": (MAIL, SCHOOL)}])
def test_a_role_follows_the_group_but_the_last_administrator_stays(world: World) -> None:
    """With every log-in; without ``create`` nobody is made."""
    world.stand.claims["groups"] = ["mail"]
    _refused(world.log_in(), world)
    account(world.store, "berta", now=NOW)
    assert world.log_in().status_code == 303
    changed = Accounts(world.store).get("anna")
    assert changed
    assert changed.role is Role.OPERATOR
    world.log_in()
    assert world.kinds.count("account-changed") == 1
    world.stand.claims["sub"] = "otto"
    assert world.log_in().status_code == 403


@settings([GROUPS])
def test_what_the_token_does_not_tell_is_asked_for(world: World) -> None:
    """Of the same person only, and the token's word goes before (OpenID Connect Core 1.0, 5.3.2)."""
    world.stand.user_info = {"sub": "eve", "groups": ["mail"]}
    account(world.store, "berta", now=NOW)
    _refused(world.log_in(), world)
    world.stand.user_info["sub"] = "anna"
    assert world.log_in().status_code == 303


def test_who_asks_too_often_waits(world: World) -> None:
    """The provider is spared; a password opens the door all the same."""
    statuses = [world.browser.get("/login/oidc").status_code for _ in range(40)]
    assert statuses[:30] == [303] * 30
    assert statuses[30:] == [429] * 10
    assert log_in(world.browser, "anna").status_code == 303


def test_the_error_is_told_in_german_too(world: World) -> None:
    """Like everything else."""
    world.stand.claims["sub"] = "otto"
    world.browser.get("/login?lang=de")
    answer = world.log_in()
    assert "hier aber nicht zugelassen" in answer.text
    assert f"Mit {urlsplit(world.stand.issuer).netloc} anmelden" in answer.text


def test_a_real_provider_lets_people_in(tmp_path: Path) -> None:
    """A certified one, which demands PKCE and tells claims to who asks only; the secret has odd letters."""
    now = time.time()
    with real_provider(tmp_path, f"{URL}/login/oidc/callback") as issuer:
        oidc = Oidc(
            issuer=issuer,
            client_id=CLIENT,
            scopes=("profile", "groups"),
            claim="preferred_username",
            groups=(MAIL,),
            create=True,
        )
        given = WebSettings(url=URL, oidc=oidc)
        with (
            house(tmp_path, now) as (rooms, _, store),
            site(rooms, given, provider=Provider(oidc, SECRET, URL)) as browser,
        ):
            there = browser.get("/login/oidc", params={"next": "/account"})
            back = _log_in_at(there.headers["location"], "otto")
            answer = browser.get(back.removeprefix(URL))
            assert answer.status_code == 303, answer.text
            assert answer.headers["location"] == "/account"
            assert "otto" in browser.get("/account").text
            made = Accounts(store).get("otto")
            assert made
            assert made.role is Role.OPERATOR


def _log_in_at(location: str, name: str) -> str:
    """Log in and consent as a browser does; gives where one is sent back to."""
    forms = iter(({"prompt": "login", "login": name, "password": "x"}, {"prompt": "consent"}))
    with httpx2.Client() as browser:
        for _ in range(12):
            if location.startswith(URL):
                return location
            answer = browser.get(location)
            if answer.status_code == 200:
                answer = browser.post(location, data=next(forms))
            assert answer.status_code == 303, answer.text
            location = urljoin(location, answer.headers["location"])
    raise AssertionError(location)
