"""How the pages look and what they are to those who see, read and use them in their own way."""

import re
from typing import Any

import pytest
from chromium import faults, overflow, picture, window
from fleet_site import Site
from playwright.sync_api import Browser, Page

from wehr.web.access.accounts import Accounts
from wehr.web.visit import Role

pytestmark = [pytest.mark.xdist_group("looks"), pytest.mark.timeout(600)]

WHAT_IF = "/policy/what-if?floor_builds=15.2.2562&floor_least=15.2.2562.54&floor_since=2026-12-01"
PAGES = {
    "home": "/",
    "report": "/report",
    "report-all": "/report?out_of_date=",
    "report-none": "/report?text=nobody",
    "server": "/servers/{ex01.harbour.example}",
    "server-paused": "/servers/{ex.school.example}",
    "server-good": "/servers/{ex01.zoo.example}",
    "policy": "/policy",
    "what-if": WHAT_IF,
    "what-if-wrong": "/policy/what-if?grace_days=-1",
    "catalogue": "/catalogue",
    "account": "/account",
    "access": "/access",
    "deed-pause": "/deeds/pause?days=3&ref={ex01.harbour.example}",
    "deed-tenant": "/deeds/pause?days=3&tenant=university",
    "deed-exempt": "/deeds/exempt?ref={ex01.harbour.example}",
    "deed-write": "/deeds/write?ref={ex01.harbour.example}",
    "deed-refused": "/deeds/pause?days=300&ref={ex01.harbour.example}",
    "status-open": "/s/{ex01.harbour.example}",
    "status-blocked": "/s/{exchange.court.example}",
    "status-held": "/s/{ex.school.example}",
    "status-good": "/s/{ex01.zoo.example}",
    "status-unknown": "/s/abcdefghabcdefgh",
    "nowhere": "/nowhere",
}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "german": {"locale": "de-DE"},
    "phone": {"viewport": {"width": 360, "height": 740}, "locale": "de-DE", "has_touch": True},
}
LIGHT_ONLY = {"deed-exempt", "deed-tenant", "report-all", "server-good", "what-if-wrong", "status-good"}
"""Pages that look like others elsewhere."""
RULES = {
    "light": (),
    "dark": ("color-contrast",),
    "german": ("html-has-lang", "html-lang-valid"),
    "phone": ("target-size", "scrollable-region-focusable"),
}
"""What axe-core looks at: everything once, and then what the look changes."""

GLUED = re.compile(r"\w*[a-zäöü][.!?:;,][A-ZÄÖÜ]\w*")
"""Two sentences without a space between them, as templates make them of two lines."""


def address(site: Site, path: str) -> str:
    """A page's path, with the reference of the server that it names."""
    head, brace, name = path.partition("{")
    return head + site.server(name.strip("}")) if brace else head


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_can_be_read_by_everybody(look: str, shown: Site, browser: Browser) -> None:
    """No serious fault for axe-core, nothing wider than the window, no complaint; a picture is kept."""
    found: dict[str, list[str]] = {}

    def see(page: Page, name: str, path: str) -> None:
        page.goto(path)
        page.evaluate("[...document.querySelectorAll('details')].slice(0, 3).forEach(it => it.open = true)")
        wide = [f"{overflow(page)} pixels too wide"] if overflow(page) else []
        glued = [f"no space in {it!r}" for it in GLUED.findall(page.locator("main").inner_text())]
        found[name] = faults(page, RULES[look]) + wide + glued
        picture(page, name, [look])

    with window(browser, shown.url, **LOOKS[look]) as page:
        see(page, "login", "/login")
        secret = Accounts(shown.store).invite("", Role.VIEWER, by="test", now=shown.running.clock())
        see(page, "invitation", f"/invitation/{secret}")
        shown.log_in(page, Role.ADMINISTRATOR)
        for name, path in PAGES.items():
            if look == "light" or name not in LIGHT_ONLY:
                see(page, name, address(shown, path))

    assert {name: faulty for name, faulty in found.items() if faulty} == {}


def test_on_a_phone_names_and_charts_are_whole(shown: Site, browser: Browser) -> None:
    """A host's name is broken after dots alone; a chart fits the window, its colours are named below it."""
    lines = "it => [...it.childNodes].filter(part => part.nodeType === 3).map(part => { const range = "
    lines += "document.createRange(); range.selectNode(part); return range.getClientRects().length; })"
    with window(browser, shown.url, **LOOKS["phone"]) as page:
        shown.log_in(page, Role.VIEWER)
        page.goto("/report")
        links = page.locator("table.report tbody th a").all()
        for link in links:
            assert set(link.evaluate(lines)) == {1}, link.inner_text()
        page.set_viewport_size({"width": 1280, "height": 900})
        for link in links:
            assert link.evaluate("it => it.getBoundingClientRect().height") < 30, link.inner_text()
        page.set_viewport_size({"width": 360, "height": 740})
        for path in ("/", f"/servers/{shown.server('ex01.harbour.example')}"):
            page.goto(path)
            for figure in page.locator("figure.chart").all():
                figure.scroll_into_view_if_needed()
                for part in (figure.locator("img"), figure.locator("figcaption")):
                    box = part.bounding_box()
                    assert box is not None
                    assert box["x"] >= 0
                    assert box["x"] + box["width"] <= 360
                assert figure.locator("img").evaluate("it => it.currentSrc").endswith("narrow=1")
                assert figure.locator("figcaption span").count() >= 3


@pytest.mark.parametrize("look", ["light", "dark"])
def test_an_example_in_a_field_is_read_as_well_as_a_hint(look: str, shown: Site, browser: Browser) -> None:
    """Browsers have their own grey for it, too faint in the dark; nothing that looks at contrast sees it."""
    with window(browser, shown.url, **LOOKS[look]) as page:
        shown.log_in(page, Role.VIEWER)
        page.goto("/report")
        colour = "(it, pseudo) => getComputedStyle(it, pseudo).color"
        soft = page.locator(".hint").first.evaluate(colour)
        assert page.locator("#branch").evaluate(colour, "::placeholder") == soft
