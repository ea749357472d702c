"""The frame of all pages: what every answer carries, whatever is asked."""

from pathlib import Path

import pytest
from browsing import client, house

from wehr.web.guard import HEADERS
from wehr.web.pages import PAGES

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


def test_every_page_says_what_it_needs() -> None:
    """A route without a declared need cannot be made, and names are there once."""
    assert len({page.name for page in PAGES}) == len(PAGES)
