"""A server's messages by hour: the picture, and the table beside it."""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from browsing import VIEWER, client, house, learn
from ledger_stories import at, entry, key_of, sighting
from starlette.testclient import TestClient

from wehr.ledger.journal import Position
from wehr.ledger.memory import reference
from wehr.policy.types import Action
from wehr.web.pages.hours import HOURS
from wehr.web.visit import Need, Visitor

SVG = "{http://www.w3.org/2000/svg}"
HOUR = 1 / 24
STRANGER = Visitor("tom", Need.READ, frozenset({"other"}))


@pytest.fixture(name="paths")
def _paths(tmp_path: Path) -> Iterator[tuple[TestClient, TestClient, str]]:
    """A viewer, somebody of another tenant, and the path of a server: five messages, one of them refused."""
    days = (-HOURS * HOUR, -3 * HOUR, -3 * HOUR + 0.001, -HOUR, 0)
    entries = [entry(sighting(day)) for day in days]
    refused = msgspec.structs.replace(entries[-1].decision, action=Action.BLOCK, enforced=True)
    entries[-1] = msgspec.structs.replace(entries[-1], decision=refused)
    with house(tmp_path, at(0)) as (given, source, store):
        store.carry("mx1", Position(), entries, Position(1, 1), at(0))
        learn(source, store)
        path = f"/servers/{reference(key_of(sighting(0)), store.secret)}"
        with client(given, VIEWER) as viewer, client(given, STRANGER) as stranger:
            yield viewer, stranger, path


def test_the_table_has_the_hours_with_messages_the_latest_first(
    paths: tuple[TestClient, TestClient, str],
) -> None:
    """Of the last two days; the picture beside it is named for those who do not see it."""
    viewer, _, path = paths
    text = viewer.get(path).text
    table = text[text.index("Messages by hour") : text.index("Latest messages")]

    hours = re.findall(r'<th scope="row"><time datetime="([^"]+)"', table)
    assert [hour[11:16] for hour in hours] == ["10:00", "09:00", "07:00"]
    assert [int(count) for count in re.findall(r'<td class="number">(\d+)<', table)] == [
        *(0, 0, 1, 0),
        *(1, 0, 0, 0),
        *(2, 0, 0, 0),
    ]
    assert f'src="{path}/messages.svg?lang=en"' in table
    assert 'alt="Messages by hour; the table below has the figures."' in table


def test_the_picture_says_what_it_shows(paths: tuple[TestClient, TestClient, str]) -> None:
    """A title, and the sums, in the visitor's language; every hour has a place, whether mail came or not."""
    viewer, _, path = paths
    english, german = (
        ElementTree.fromstring(viewer.get(f"{path}/messages.svg?lang={language}").content)  # noqa: S314
        for language in ("en", "de")
    )

    assert english.findtext(f"{SVG}title") == "mail.example.org: Messages by hour (UTC)"
    assert str(english.findtext(f"{SVG}desc")).startswith("taken: 3, delayed: 0, refused: 1")
    assert german.findtext(f"{SVG}title") == "mail.example.org: Nachrichten nach Stunde (UTC)"
    assert len([it for it in english.iter(f"{SVG}g") if it.get("class") == "bar"]) == 4 * HOURS
    counts = next(it for it in english.iter(f"{SVG}g") if str(it.get("class")).startswith("axis y"))
    assert [it.text for it in counts.iter(f"{SVG}text")] == ["0", "1", "2"], "no half messages"


def test_the_picture_is_no_page(paths: tuple[TestClient, TestClient, str]) -> None:
    """No script in it, nothing from elsewhere, and a policy that lets none in."""
    picture = paths[0].get(f"{paths[2]}/messages.svg")

    assert picture.headers["Content-Type"] == "image/svg+xml"
    assert picture.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert b"<script" not in picture.content
    assert b"href=" not in picture.content


def test_nobody_sees_another_tenants_picture(paths: tuple[TestClient, TestClient, str]) -> None:
    """As if there were no such server."""
    viewer, stranger, path = paths

    assert stranger.get(f"{path}/messages.svg").status_code == 404
    assert viewer.get("/servers/aaaabbbbccccdddd/messages.svg").status_code == 404
