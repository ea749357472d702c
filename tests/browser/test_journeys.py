"""What people do with the pages, as they do it: with a browser, without scripts, with keys alone."""

import re
from pathlib import Path

import pytest
from browsing import PASSWORD
from chromium import faults, window
from fleet_site import NOW, Site, Sites, site
from playwright.sync_api import Browser, Page, expect

from wehr.web.access.accounts import Accounts
from wehr.web.visit import Role

pytestmark = [pytest.mark.xdist_group("journeys"), pytest.mark.timeout(600)]

HARBOUR = "ex01.harbour.example"


def test_from_the_first_start_to_an_exemption(fleet: Sites, browser: Browser) -> None:
    """The link, the first account, the overview, the report, a server, a pause, its end, an exemption."""
    with fleet() as running, window(browser, running.url, java_script_enabled=False) as page:
        secret = Accounts(running.store).first(NOW)
        page.goto(f"/invitation/{secret}")
        page.get_by_label("Name").fill("anna")
        for field in page.locator("input[type=password]").all():
            field.fill(PASSWORD)
        page.get_by_role("button", name="Set the password").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")

        page.get_by_role("link", name="servers out of date").click()
        page.get_by_label("Product").select_option("Exchange Server 2016")
        page.get_by_label("Stage", exact=True).fill("5")
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_text("1 server", exact=True)).to_be_visible()
        page.get_by_role("link", name=HARBOUR).click()

        page.locator("summary", has_text="Pause").click()
        page.get_by_label("Days", exact=False).first.fill("3")
        page.get_by_role("button", name="Pause this server").click()
        expect(page.locator("main")).to_contain_text("is paused from now until")
        expect(page.locator("main")).to_contain_text("It stays in stage 5")
        confirm(page, "change freeze")
        expect(page.get_by_role("status")).to_contain_text("The pause is noted")
        expect(page.locator("main")).to_contain_text("the clock stands")
        event = page.locator("tr", has_text="pause-added")
        expect(event).to_contain_text("anna")
        expect(event).to_contain_text("change freeze")

        page.get_by_label("Days more").fill("2")
        page.get_by_role("button", name="Extend this pause").click()
        expect(page.locator("main")).to_contain_text("instead of")
        confirm(page, "still moving")
        expect(page.locator("tr", has_text="pause-extended")).to_contain_text("still moving")

        page.get_by_role("button", name="End this pause now").click()
        expect(page.locator("main")).to_contain_text("Its clock goes on at once, in stage 5")
        page.get_by_role("link", name="Back, without doing anything").click()
        page.get_by_role("button", name="End this pause now").click()
        confirm(page, "moved")
        expect(page.locator("tr", has_text="pause-cancelled")).to_contain_text("moved")
        expect(page.locator("main")).not_to_contain_text("the clock stands")

        page.locator("summary", has_text="Exempt").click()
        page.get_by_label("Last day").fill("2026-12-24")
        page.get_by_role("button", name="Exempt this server").click()
        confirm(page, "replaced in December")
        expect(page.locator("main")).to_contain_text("the clock stands")

        expect(page.locator("tr", has_text="exemption-added")).to_contain_text("anna")
        running.running.clock.now += 60
        page.get_by_role("button", name="End this exemption now").click()
        confirm(page, "replaced earlier")
        expect(page.locator("tr", has_text="exemption-cancelled")).to_contain_text("replaced earlier")
        expect(page.locator("main")).not_to_contain_text("the clock stands")

        page.locator("summary", has_text="Write to").click()
        page.get_by_role("button", name="Show the message").click()
        expect(page.get_by_role("alert")).to_contain_text("Notices are not set up")
        page.get_by_role("link", name="Back", exact=True).click()

        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
        page.goto("/report")
        expect(page).to_have_url(re.compile(r"/login\?next=%2Freport$"))
        page.goto(f"/invitation/{secret}")
        expect(page.locator("main")).to_contain_text("There is no such page.")


def confirm(page: Page, why: str) -> None:
    """Give the reason, and do what the page says."""
    page.get_by_label("Reason").fill(why)
    page.get_by_role("button", name="Confirm").click()


def test_the_report_is_sorted_and_paged(shown: Site, browser: Browser) -> None:
    """Page after page each server once, in the order of the column that was clicked, there and back."""
    with window(browser, shown.url, java_script_enabled=False) as page:
        shown.log_in(page, Role.VIEWER)
        page.goto("/report?out_of_date=&limit=20")
        page.get_by_role("link", name="Server", exact=True).click()
        seen = names(page)
        while (more := page.get_by_role("link", name="More")).count():
            more.click()
            seen += names(page)
        page.get_by_role("link", name="Back").click()

        assert names(page) == seen[20:40]
        assert seen == sorted(seen)
        assert len(seen) == len(set(seen)) == len(shown.store.servers())
        page.get_by_role("link", name="Server", exact=True).click()
        assert names(page) == seen[:-21:-1]


def names(page: Page) -> list[str]:
    """The servers on a page of the report."""
    return page.locator("table.report tbody th a").all_inner_texts()


def test_a_viewer_is_shown_no_way_to_change_anything(shown: Site, browser: Browser) -> None:
    """No forms but the filters, no page of accounts."""
    with window(browser, shown.url) as page:
        shown.log_in(page, Role.VIEWER)
        page.goto(f"/servers/{shown.server(HARBOUR)}")
        expect(page.locator("main form")).to_have_count(0)
        expect(page.locator("nav").first).not_to_contain_text("Access")
        page.goto("/access")
        expect(page.locator("main")).to_contain_text("You may not do this.")


def test_a_tenants_operator_sees_her_own_servers_alone(shown: Site, browser: Browser) -> None:
    """In the report, and of another's server there is no page."""
    with window(browser, shown.url) as page:
        shown.log_in(page, Role.TENANT_OPERATOR)
        page.goto("/report?out_of_date=")
        assert sorted(names(page)) == ["ex.botany.example", "ex01.physics.example", "ex02.registry.example"]
        page.goto(f"/servers/{shown.server(HARBOUR)}")
        expect(page.locator("main")).to_contain_text("There is no such page.")


def test_who_guesses_has_to_wait(tmp_path: Path, browser: Browser) -> None:
    """After some wrong passwords not even the right one is looked at, until the time is over."""
    with site(tmp_path / "state", Role.VIEWER) as running, window(browser, running.url) as page:
        page.goto("/login")
        for _ in range(6):
            page.get_by_label("Name").fill("viewer")
            page.get_by_label("Password").fill("not the password")
            page.locator("main button").click()
        expect(page.get_by_role("alert")).to_contain_text("Wait a moment")
        running.running.clock.now += 60
        running.log_in(page, Role.VIEWER)


def test_what_if_tells_whom_a_floor_would_touch(
    shown: Site, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers that are in compliance now, and the messages that came from them."""
    monkeypatch.setattr("wehr.web.plans._SECONDS", 120.0)  # a slow machine looks at all of them, too
    with window(browser, shown.url, java_script_enabled=False) as page:
        shown.log_in(page, Role.VIEWER)
        page.get_by_role("link", name="Policy").click()
        page.get_by_label("Builds").fill("15.2.2562")
        page.get_by_label("Least accepted").fill("15.2.2562.54")
        page.get_by_label("from").first.fill("2026-12-01")
        page.get_by_role("button", name="See whom it touches").click()
        told = page.get_by_role("status")
        expect(told).to_contain_text("servers would be treated otherwise")
        expect(told).to_contain_text("ex01.zoo.example")
        expect(page.get_by_label("Least accepted")).to_have_value("15.2.2562.54")


def test_the_catalogue_leads_to_the_servers_with_a_hole(shown: Site, browser: Browser) -> None:
    """By its link, to those that have it for certain."""
    with window(browser, shown.url, java_script_enabled=False) as page:
        shown.log_in(page, Role.VIEWER)
        page.goto("/catalogue")
        page.locator("summary", has_text="Exchange Server 2019").click()
        expect(page.get_by_text("15.2.1748.53").first).to_be_visible()
        page.get_by_role("link", name="which have it CVE-2023-21529").click()
        assert "mail.ferry.example" in names(page)
        assert HARBOUR not in names(page)


def test_keys_alone_are_enough(shown: Site, browser: Browser) -> None:
    """In the order of reading, with a mark that is seen; past the menu by the first link; Enter submits."""
    with window(browser, shown.url) as page:
        page.goto("/login")
        expect(page.locator("#name")).to_be_focused()
        page.keyboard.type("operator")
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{shown.url}/")
        page.goto("/report")
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text("Skip to the contents")
        expect(page.locator(":focus")).to_be_in_viewport()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_id("text")
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert page.evaluate(outline) == "solid"
        page.keyboard.type("harbour")
        page.keyboard.press("Enter")
        page.wait_for_url("**/report?text=harbour*")
        page.locator("#stage").focus()
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent") == HARBOUR:
                break
            assert page.evaluate(outline) == "solid"
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text(HARBOUR)
        page.locator("summary", has_text="Pause").focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_id("days")


def test_an_administrator_lets_somebody_in(fleet: Sites, browser: Browser) -> None:
    """By a link that works in another browser, for the role that was chosen."""
    with fleet(Role.ADMINISTRATOR) as running, window(browser, running.url) as page:
        running.log_in(page, Role.ADMINISTRATOR)
        page.get_by_role("link", name="Access").click()
        page.locator("#name").fill("vera")
        page.locator("#role").select_option("viewer")
        page.get_by_role("button", name="Make a link").click()
        link = page.get_by_role("status").locator(".code").inner_text()
        with window(browser, running.url, java_script_enabled=False) as other:
            other.goto(re.sub(r"^https?://[^/]+", "", link))
            for field in other.locator("input[type=password]").all():
                field.fill(PASSWORD)
            other.get_by_role("button", name="Set the password").click()
            expect(other.locator(".account")).to_contain_text("vera")


def test_a_tenant_is_paused_with_keys_alone_in_german(fleet: Sites, browser: Browser) -> None:
    """From the policy page: fields in order, Enter submits, what will happen is read, a reason is given."""
    with fleet(Role.OPERATOR) as running, window(browser, running.url, locale="de-DE") as page:
        running.log_in(page, Role.OPERATOR)
        page.goto("/policy")
        page.locator("summary", has_text="Pause für einen ganzen Mandanten").focus()
        for key in ("Enter", "Tab"):
            page.keyboard.press(key)
        expect(page.locator(":focus")).to_have_id("tenant")
        page.keyboard.type("university")
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_id("days")
        page.keyboard.type("7")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=2)).to_have_text("Was geschehen wird")
        expect(page.locator("main")).to_contain_text(
            "Alle Server des Mandanten university sind von jetzt bis"
        )
        expect(page.locator("main")).to_contain_text("Server des Mandanten, die jetzt veraltet sind: 2.")
        assert faults(page) == []
        page.locator("#why").focus()
        page.keyboard.type("Prüfungszeit")
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_contain_text("Bestätigen")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("Die Pause ist vermerkt")
        expect(page.locator(".held")).to_contain_text("Prüfungszeit")
        (pause,) = [it for it in running.store.pauses() if it.tenant == "university"]
        assert (pause.days, pause.server, pause.by, pause.why) == (7, None, "operator", "Prüfungszeit")


def test_a_tenant_is_ticked_for_its_operator_with_keys_alone(fleet: Sites, browser: Browser) -> None:
    """Without scripts: the list opens, its boxes come one after the other, and Change is the next."""
    roles = (Role.ADMINISTRATOR, Role.TENANT_OPERATOR)
    with fleet(*roles) as running, window(browser, running.url, java_script_enabled=False) as page:
        running.log_in(page, Role.ADMINISTRATOR)
        page.goto("/access")
        row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="tenant-operator"))
        row.locator("summary").focus()
        for key in ("Enter", "Tab"):
            page.keyboard.press(key)
        expect(row.get_by_label("default")).to_be_focused()
        page.keyboard.press("Space")
        page.keyboard.press("Tab")
        expect(row.get_by_label("university")).to_be_focused()
        expect(row.get_by_label("university")).to_be_checked()
        page.keyboard.press("Tab")
        expect(row.get_by_role("button", name="Change")).to_be_focused()
        page.keyboard.press("Enter")
        expect(row.locator("summary")).to_have_text("Tenants: default, university")
        operator = Accounts(running.store).get("tenant-operator")
        assert operator is not None
        assert operator.tenants == ("default", "university")
