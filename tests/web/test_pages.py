"""The frame of all pages: what every answer carries, whatever is asked."""

import builtins
import io
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from browsing import client, house
from starlette.testclient import TestClient

import wehr.web
from wehr.web import languages, render, static
from wehr.web.guard import HEADERS
from wehr.web.pages import PAGES
from wehr.web.settings import WebSettings
from wehr.web.site import public_site
from wehr.web.static import static_url

NOW = 1_795_000_000.0


@pytest.mark.parametrize("path", ["/", "/health/live", "/no/such/page", "/static/0/wehr.css"])
def test_every_answer_carries_the_security_headers(path: str, tmp_path: Path) -> None:
    """Errors and files as well as pages."""
    with house(tmp_path, NOW) as (given, _, _), client(given) as browser:
        answer = browser.get(path)

    for name, value in HEADERS.items():
        if name != "Cache-Control":
            assert answer.headers[name] == value
    assert "Cache-Control" in answer.headers


def test_a_page_is_kept_by_nobody(tmp_path: Path) -> None:
    """Who logs out leaves nothing in the browser to go back to; files that never change may stay."""
    with house(tmp_path, NOW) as (given, _, _), client(given) as browser:
        kept = {path: browser.get(path).headers["Cache-Control"] for path in ("/", "/report.csv", "/none")}
        style = browser.get(static_url("wehr.css")).headers["Cache-Control"]

    assert set(kept.values()) == {"no-store"}
    assert "immutable" in style


def test_a_page_that_computes_lets_messages_go_on_soon(tmp_path: Path) -> None:
    """Its thread is asked to give way ten times as often as Python has it."""
    before = sys.getswitchinterval()
    try:
        with house(tmp_path, NOW):
            assert sys.getswitchinterval() <= 0.0005
    finally:
        sys.setswitchinterval(before)


def test_the_names_that_a_reload_brings_are_answered(tmp_path: Path) -> None:
    """The links in replies hold the new ones from then on; the old ones are no longer ours."""
    asked = ("mx.example.org", "mx2.example.org", "status.example.net")
    with house(tmp_path, NOW) as (given, source, _), client(given) as browser:
        before = [browser.get("/health/live", headers={"Host": name}).status_code for name in asked]
        facts = msgspec.structs.replace(
            source.value.facts, host_name="mx2.example.org", status_url="https://status.example.net/wehr"
        )
        source.value = msgspec.structs.replace(source.value, facts=facts)
        after = [browser.get("/health/live", headers={"Host": name}).status_code for name in asked]

    assert (before, after) == ([200, 421, 421], [421, 200, 200])


def test_an_upgrade_under_a_running_service_changes_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that pages are made of is read before the first is asked for."""
    for read in (render._environment, render._templates, languages.translations, static.assets):
        read.cache_clear()
    read_late = []

    def watched(file: Any, *args: Any, **options: Any) -> Any:
        if Path(wehr.web.__file__).parent in Path(str(file)).parents:
            read_late.append(file)
        return open_file(file, *args, **options)

    open_file = io.open
    with house(tmp_path, NOW) as (given, _, _), client(given) as browser:
        for module in (io, builtins):
            monkeypatch.setattr(module, "open", watched)
        answers = [browser.get(path) for path in ("/", "/catalogue?lang=de", static_url("wehr.css"))]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert read_late == []


def test_who_is_logged_in_keeps_the_menu_on_an_error_page(tmp_path: Path) -> None:
    """And is told which parameter cannot be understood."""
    with house(tmp_path, NOW) as (given, _, _), client(given) as browser:
        wrong, nowhere = browser.get("/report?limit=many"), browser.get("/nowhere")

    assert (wrong.status_code, nowhere.status_code) == (400, 404)
    assert 'href="/policy"' in wrong.text
    assert 'href="/policy"' in nowhere.text
    assert "`limit`" in wrong.text


def test_strangers_are_shown_no_way_to_the_pages_of_operators(tmp_path: Path) -> None:
    """An error page of the public site links to no page that is not there."""
    with house(tmp_path, NOW) as (given, _, _):
        site = public_site(given, WebSettings())
        with TestClient(site, base_url="http://localhost") as browser:
            answer = browser.get("/none")
            health = [browser.get(f"/health/{what}").status_code for what in ("live", "ready")]

    assert answer.status_code == 404
    assert health == [200, 404]
    assert 'href="/"' not in answer.text
    assert "mx.example.org" in answer.text


def test_what_was_sent_is_not_offered_in_another_language(tmp_path: Path) -> None:
    """A link would ask for the page without what was sent, or for none at all."""
    with house(tmp_path, NOW) as (given, _, _), client(given) as browser:
        assert 'hreflang="de"' in browser.get("/nowhere").text
        assert "hreflang" not in browser.post("/nowhere").text


def test_every_page_says_what_it_needs() -> None:
    """A route without a declared need cannot be made, and names are there once."""
    assert len({page.name for page in PAGES}) == len(PAGES)
