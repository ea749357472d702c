"""The administrators' page of accounts and tokens."""

import html
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import account, csrf, house, log_in, site
from starlette.testclient import TestClient

from wehr.ledger import Store
from wehr.policy import Policy
from wehr.policy.scope import Tenant
from wehr.web.access.accounts import Accounts
from wehr.web.access.tokens import Tokens
from wehr.web.visit import Role

NOW = 1_795_000_000.0
MUNICH = "münchen & <b>co</b>"
POLICY = Policy(tenants=(Tenant("school"), Tenant("city"), Tenant(MUNICH)))


@pytest.fixture(name="world")
def _world(tmp_path: Path) -> Iterator[tuple[TestClient, Store]]:
    """An administrator who is logged in, and a viewer."""
    with house(tmp_path, NOW, POLICY) as (given, _, store), site(given) as browser:
        account(store, "anna", now=NOW)
        account(store, "otto", Role.VIEWER, now=NOW)
        log_in(browser, "anna")
        yield browser, store


def _send(browser: TestClient, path: str, **form: str | list[str]) -> tuple[int, str]:
    token = csrf(browser.get("/access"))
    answer = browser.post(f"/access/{path}", data={"csrf": token, **form})
    return answer.status_code, answer.text


def test_somebody_is_invited_by_a_link_that_works(world: tuple[TestClient, Store]) -> None:
    """The link is shown once, with the host that the pages were asked for."""
    browser, store = world
    status, text = _send(
        browser, "invitations", name="olga", role="tenant-operator", tenants=["school", "city"]
    )
    link = re.search(r"http://localhost(/invitation/[\w-]+)", text)

    assert status == 200
    assert link
    assert browser.get(link[1]).status_code == 200
    made = Accounts(store).get("olga")
    assert made is not None
    assert (made.role, made.tenants) == (Role.TENANT_OPERATOR, ("city", "school"))
    assert link[1] not in browser.get("/access").text


def test_a_role_is_changed_and_an_account_shut_and_opened(world: tuple[TestClient, Store]) -> None:
    """What cannot be is said, and changes nothing."""
    browser, store = world
    assert _send(browser, "roles", name="otto", role="operator")[0] == 303
    assert _send(browser, "shut", name="otto", disabled="yes")[0] == 303
    otto = Accounts(store).get("otto")
    assert otto is not None
    assert (otto.role, otto.disabled) == (Role.OPERATOR, True)
    assert _send(browser, "shut", name="otto", disabled="no")[0] == 303
    status, text = _send(browser, "shut", name="anna", disabled="yes")
    assert status == 422
    assert "last administrator" in text
    assert _send(browser, "roles", name="otto", role="emperor")[0] == 422
    assert _send(browser, "roles", name="nobody", role="viewer")[0] == 422


def _boxes(text: str, *parts: str) -> dict[str, bool]:
    """The tenants that a form offers, and whether each is ticked; it is the one that has these parts."""
    forms = re.findall(r"<form.*?</form>", text, re.DOTALL)
    (found,) = (form for form in forms if all(part in form for part in parts))
    boxes = re.findall(r'<input type="checkbox" name="tenants" value="([^"]*)"( checked)?>', found)
    return {html.unescape(name): bool(ticked) for name, ticked in boxes}


def test_tenants_are_ticked_by_whatever_name_they_have(world: tuple[TestClient, Store]) -> None:
    """With blanks and markup in it; a form that is sent as it came changes nothing."""
    browser, store = world
    offered = dict.fromkeys(("default", "school", "city", MUNICH), False)
    text = browser.get("/access").text
    assert "<b>" not in text
    assert _boxes(text, 'id="role"') == _boxes(text, 'id="scope"') == offered
    both = {"role": "tenant-operator", "tenants": [MUNICH, "school"]}
    assert _send(browser, "invitations", name="olga", **both)[0] == 200
    assert _send(browser, "tokens", name="ci", scope="read", days="5", tenants=[MUNICH])[0] == 200

    boxes = _boxes(browser.get("/access").text, "/access/roles", 'value="olga"')
    assert boxes == {**offered, MUNICH: True, "school": True}
    ticked = [name for name, is_ticked in boxes.items() if is_ticked]
    assert _send(browser, "roles", name="olga", role="tenant-operator", tenants=ticked)[0] == 303
    olga = Accounts(store).get("olga")
    assert olga is not None
    assert olga.tenants == (MUNICH, "school")
    assert Tokens(store).every()[0].tenants == (MUNICH,)


def test_a_tenant_that_is_gone_is_shown_to_whoever_has_it(world: tuple[TestClient, Store]) -> None:
    """Ticked, so that it is not lost unseen; nobody else is offered it, or given it."""
    browser, store = world
    account(store, "olga", Role.TENANT_OPERATOR, ("old town",), now=NOW)
    text = browser.get("/access").text
    assert _boxes(text, "/access/roles", 'value="olga"')["old town"]
    assert "no longer in the configuration" in text
    assert "old town" not in _boxes(text, 'id="role"')
    assert (
        _send(browser, "roles", name="olga", role="tenant-operator", tenants=["old town", "city"])[0] == 303
    )
    for path, form in (
        ("roles", {"name": "otto", "role": "tenant-operator"}),
        ("invitations", {"name": "uwe", "role": "tenant-operator"}),
        ("tokens", {"name": "ci", "scope": "read", "days": "5"}),
    ):
        status, text = _send(browser, path, **form, tenants=["city", "old town"])
        assert status == 422
        said = html.unescape(text)
        assert f"no tenant is called 'old town'; there are default, school, city, {MUNICH}" in said
    assert {it.name: it.tenants for it in Accounts(store).every()} == {
        "anna": (),
        "olga": ("city", "old town"),
        "otto": (),
    }


def test_a_token_is_made_shown_once_and_revoked(world: tuple[TestClient, Store]) -> None:
    """It opens the API in between."""
    browser, store = world
    status, text = _send(browser, "tokens", name="ci", scope="read", days="5", tenants=[])
    shown = re.search(r"wehr_[0-9a-f]+_[\w-]+", text)
    assert status == 200
    assert shown
    bearer = {"Authorization": f"Bearer {shown[0]}"}
    assert browser.get("/api/v1/policy", headers=bearer).status_code == 200
    assert shown[0] not in browser.get("/access").text
    assert _send(browser, "revocations", token=Tokens(store).every()[0].id)[0] == 303
    assert browser.get("/api/v1/policy", headers=bearer).status_code == 401
    assert _send(browser, "tokens", name="ci", scope="read", days="x")[0] == 422


def test_what_strangers_wrote_is_shown_as_it_is_written(world: tuple[TestClient, Store]) -> None:
    """Never as markup; in German too."""
    browser, store = world
    account(store, "<script>alert(1)</script>", Role.VIEWER, now=NOW)
    text = browser.get("/access?lang=de").text

    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert 'lang="de"' in text
    assert "Jemanden einladen" in text


@pytest.mark.parametrize(
    ("path", "form", "german"),
    [
        ("roles", {"name": "anna", "role": "viewer"}, "der letzte Administrator"),
        ("roles", {"name": "100%s", "role": "viewer"}, "kein Konto &#39;100%s&#39;"),
        ("roles", {"name": "otto", "role": "tenant-operator"}, "braucht Mandanten"),
        ("tokens", {"name": "x", "scope": "read", "days": "0"}, "1 bis 3660 Tage"),
        (
            "tokens",
            {"name": "x", "scope": "admin", "days": "9", "tenants": "city"},
            "nicht an Mandanten binden",
        ),
        ("tokens", {"name": "x", "scope": "king", "days": "9"}, "nicht zu verstehen"),
        ("revocations", {"token": "no such"}, "kein Token"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_said_in_the_readers_language(
    path: str, form: dict[str, str], german: str, world: tuple[TestClient, Store]
) -> None:
    """With the names that were given, whatever they hold."""
    world[0].get("/access?lang=de")
    status, text = _send(world[0], path, **form)

    assert status == 422
    assert german in text


def test_the_phrase_of_an_error_is_in_the_readers_language(world: tuple[TestClient, Store]) -> None:
    """Beside the text that explains it."""
    answer = world[0].get("/no-such-page?lang=de")
    assert answer.status_code == 404
    assert "404 Nicht gefunden" in answer.text
    assert "Not Found" not in answer.text
