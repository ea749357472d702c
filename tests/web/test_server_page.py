"""The page of one server."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import OPERATOR, VIEWER, client, house, learn
from ledger_stories import at, entry, key_of, sighting
from starlette.testclient import TestClient

from wehr.ledger import Store, deeds
from wehr.ledger.journal import Position
from wehr.ledger.memory import reference
from wehr.web.visit import Need, Visitor

KEY = key_of(sighting(0))


@contextlib.contextmanager
def browsing(folder: Path, visitor: Visitor = OPERATOR) -> Iterator[tuple[TestClient, str, Store]]:
    """The pages over one out-of-date server, with its page's path."""
    with house(folder, at(35)) as (given, source, store):
        entries = [entry(sighting(0)), entry(sighting(34), queue_id="4QUEUE")]
        store.carry("mx1", Position(), entries, Position(1, 1), at(35))
        learn(source, store)
        with client(given, visitor) as browser:
            yield browser, f"/servers/{reference(KEY, store.secret)}", store


def test_it_shows_all_that_is_known(tmp_path: Path) -> None:
    """Evidence, ladder with dates, updates with articles, holes, builds over time, events, messages."""
    with browsing(tmp_path) as (browser, path, _):
        text = browser.get(path).text

    for part in (
        "Received: from ex by mail.example.org with Microsoft SMTP Server",
        "exchange-online",
        'aria-current="step"',
        "KB50",
        "CVE-2022-41040",
        "Builds over time",
        "detected",
        "4QUEUE",
        "What would lift it",
    ):
        assert part in text, part


def test_who_only_reads_sees_no_forms(tmp_path: Path) -> None:
    """What they may not do is not offered."""
    with browsing(tmp_path, VIEWER) as (browser, path, store):
        text = browser.get(path).text

        assert "<form" not in text.partition("<main")[2]
        assert not store.pauses()


def test_another_tenants_server_is_not_there(tmp_path: Path) -> None:
    """404, as if there were none."""
    stranger = Visitor("tom", Need.OPERATE, frozenset({"other"}), "token")
    with browsing(tmp_path, stranger) as (browser, path, _):
        assert browser.get(path).status_code == 404


def test_the_ladder_is_drawn_with_its_dates_and_where_it_stands(tmp_path: Path) -> None:
    """Half of the second stage, of ten days, is over on the 35th day: half of the second box of 92."""
    with browsing(tmp_path) as (browser, path, _):
        text = browser.get(path).text

    drawn = text.partition("<svg")[2].partition("</svg>")[0]
    days = re.findall(r'class="when"[^>]*>(\d[^<]*)<', drawn)
    assert days[:3] == ["4 Oct 2024", "3 Nov 2024", "13 Nov 2024"]
    assert len(days) == 8
    assert 'class="here" d="M138.0 ' in drawn
    assert "the server stands in stage 2" in drawn
    assert '<th scope="col">from (UTC)</th>' in text


@pytest.mark.parametrize(("tenant", "told"), [("", False), ("default", True)])
def test_reasons_for_all_tenants_are_not_for_those_of_one(tenant: str, told: bool, tmp_path: Path) -> None:
    """They see that the server is exempt; who said so, and why, only if it is for their tenant."""
    theirs = Visitor("tess", Need.OPERATE, frozenset({"default"}), "token")
    with browsing(tmp_path, theirs) as (browser, path, store):
        given = {"server": KEY.name, "tenant": tenant, "ref": path.rpartition("/")[2]}
        deeds.exempt(store, **given, why="an acquisition", by="anna", now=at(34))
        text = browser.get(path).text

    assert ("<li>exempt</li>" in text) is not told
    assert ("an acquisition" in text) is told
    assert ("anna" in text) is told
