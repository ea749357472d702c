"""The frame of all pages: what every answer carries, whatever is asked."""

import sys
from pathlib import Path

import pytest
from browsing import client, house

from wehr.web.guard import HEADERS
from wehr.web.pages import PAGES
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


def test_every_page_says_what_it_needs() -> None:
    """A route without a declared need cannot be made, and names are there once."""
    assert len({page.name for page in PAGES}) == len(PAGES)
