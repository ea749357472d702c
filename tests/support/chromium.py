"""A real browser for a test: Debian's Chromium, whose every complaint and every request is looked at."""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    FloatRect,
    Page,
    Request,
    sync_playwright,
)

SCREENSHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"
"""Where pictures of the pages are kept, to be looked at."""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """One browser; tests that want it are skipped where none is installed."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium here")
    with sync_playwright() as playwright:
        # Debian's own sandbox is not for root, as whom CI runs.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Watch:
    """Notes what a window complains of and whom it asks."""

    def __init__(self, context: BrowserContext) -> None:
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        context.on("console", self._console)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        # That a page came with 403 or 429 is no fault of the page; a picture that did not come is one.
        status = message.text.startswith("Failed to load resource") and "status of 4" in message.text
        if message.type in {"error", "warning"} and not (status and message.page and self._is_page(message)):
            self.complaints.append(message.text)

    @staticmethod
    def _is_page(message: ConsoleMessage) -> bool:
        return message.page is not None and message.location["url"] == message.page.url

    def _request(self, request: Request) -> None:
        self.hosts.add(urlsplit(request.url).netloc)


@contextlib.contextmanager
def window(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """A window of somebody new; at its end nothing may have been complained of, nor another host asked.

    Args:
        browser: whose.
        url: the site, which relative addresses are of.
        options: of the context, such as ``locale``, ``color_scheme`` or ``java_script_enabled``.
    """
    options = {"locale": "en-GB", "viewport": {"width": 1280, "height": 900}, **options}
    context = browser.new_context(base_url=url, **options)
    context.set_default_timeout(15_000)
    watch = Watch(context)
    try:
        yield context.new_page()
        assert watch.complaints == []
        assert watch.hosts <= {urlsplit(url).netloc}
    finally:
        context.close()


def faults(page: Page, rules: Sequence[str] = ()) -> list[str]:
    """What axe-core finds of serious and critical faults, each with the places.

    By all that it goes by unless told: its rules for WCAG 2.2 A and AA, and its own best practices.
    """
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text())
    options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
    found = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{rule['id']}: {rule['help']}: " + "; ".join(node["html"][:200] for node in rule["nodes"][:5])
        for rule in found["violations"]
        if rule["impact"] in {"serious", "critical"}
    ]


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    wide: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wide


def picture(page: Page, name: str, kinds: Sequence[str] = ()) -> None:
    """Keep a picture of the whole page, or of its upper part where it is very long."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    size = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    clip = FloatRect(x=0, y=0, width=size[0], height=min(size[1], 4500))
    page.screenshot(path=SCREENSHOTS / f"{'-'.join((name, *kinds))}.png", full_page=True, clip=clip)
