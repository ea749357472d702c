"""The report page: Microsoft's columns first, filtered, sorted, paged, and as files."""

import contextlib
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import VIEWER, client, house, learn
from ledger_stories import NEW, at, entry, sighting
from pyarrow import parquet
from starlette.testclient import TestClient

from wehr.ledger.exporting import FIELDS
from wehr.ledger.journal import Position
from wehr.web.visit import Need, Visitor

NAMES = [f"ex{number:02}.example.org" for number in range(12)]


@contextlib.contextmanager
def browsing(folder: Path, visitor: Visitor = VIEWER, tenant: str = "default") -> Iterator[TestClient]:
    """The pages over twelve out-of-date servers and one in order."""
    entries = [entry(sighting(number / 10, name=name)) for number, name in enumerate(NAMES)]
    entries.append(entry(sighting(1, NEW, name="good.example.org"), compliant=True))
    with house(folder, at(35)) as (given, source, store):
        store.carry("mx1", Position(), entries, Position(1, 1), at(35))
        learn(source, store)
        with client(given, visitor) as browser:
            yield browser


def test_out_of_date_servers_are_shown_first_and_alone(tmp_path: Path) -> None:
    """Those that are in order only when they are asked for."""
    with browsing(tmp_path) as browser:
        usual = browser.get("/report").text
        every = browser.get("/report?out_of_date=").text
        good = browser.get("/report?out_of_date=false").text

    assert all(name in usual for name in NAMES)
    assert "good.example.org" not in usual
    assert "good.example.org" in every
    assert "good.example.org" in good
    assert NAMES[0] not in good


def test_the_columns_are_microsofts_first(tmp_path: Path) -> None:
    """In the order of the cmdlet's fields, then ours."""
    with browsing(tmp_path) as browser:
        text = browser.get("/report").text

    table = text.partition("<thead>")[2].partition("</thead>")[0]
    heads = ("Server", "Build", "Product", "First detected", "Recommended builds", "Throttled from")
    heads += ("Blocked from", "Next stage", "Verdict", "Missing updates", "Exploited holes", "Last seen")
    places = [table.index(f">{head}<") for head in heads]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("text=ex03", {"ex03.example.org"}),
        ("text=EX03", {"ex03.example.org"}),
        ("state=current&out_of_date=", {"good.example.org"}),
        ("branch=15.2", set()),
        ("cve=CVE-2022-41040&text=ex01", {"ex01.example.org"}),
        ("exploited=false", set()),
        ("tenant=other", set()),
        ("stage=9", set()),
    ],
)
def test_filters_narrow_it(asked: str, found: set[str], tmp_path: Path) -> None:
    """Each alone, in any case of letters."""
    with browsing(tmp_path) as browser:
        text = browser.get(f"/report?{asked}").text

    assert {name for name in (*NAMES, "good.example.org") if f">{name}<" in text} == found


@pytest.mark.parametrize("text", ["müller", "MÜLLER.example", "xn--mller-kva", " müller "])
def test_a_name_is_found_in_either_spelling(text: str, tmp_path: Path) -> None:
    """As its owner writes it, and as it stands in HELO."""
    entries = (entry(sighting(0, name="xn--mller-kva.example.test")), entry(sighting(0)))
    with house(tmp_path, at(1)) as (given, source, store):
        store.carry("mx1", Position(), entries, Position(1, 1), at(1))
        learn(source, store)
        with client(given, VIEWER) as browser:
            found = browser.get("/report", params={"text": text}).text
            odd = browser.get("/report", params={"text": "ü" * 500})

    assert "xn--mller-kva" in found.replace("<wbr>", "")
    assert ">mail.example.org<" not in found
    assert odd.status_code == 200


def test_paging_forth_and_back_shows_each_server_once(tmp_path: Path) -> None:
    """By the links of the page itself."""
    with browsing(tmp_path) as browser:
        seen, path = [], "/report?limit=5&sort=name&descending=true"
        while path:
            text = browser.get(path).text
            seen += [name for name in NAMES if f">{name}<" in text]
            path = _link(text, "next")
            last = text
        back = browser.get(_link(last, "prev")).text

    assert sorted(seen) == NAMES
    assert sum(f">{name}<" in back for name in NAMES) == 5


def _link(text: str, rel: str) -> str:
    _, found, rest = text.partition(f'rel="{rel}" href="')
    return rest.partition('"')[0].replace("&amp;", "&") if found else ""


def test_files_hold_what_the_page_finds_in_one_schema(tmp_path: Path) -> None:
    """CSV, JSON, HTML and Parquet, with the page's filters."""
    with browsing(tmp_path) as browser:
        answers = {
            shape: browser.get(f"/report.{shape}?text=ex0") for shape in ("csv", "json", "html", "parquet")
        }
        unknown = browser.get("/report.doc")

    rows = list(csv.DictReader(io.StringIO(answers["csv"].text)))
    found = json.loads(answers["json"].text)
    frame = parquet.read_table(io.BytesIO(answers["parquet"].content))
    assert tuple(rows[0]) == tuple(found[0]) == tuple(frame.column_names) == FIELDS
    assert len(rows) == len(found) == frame.num_rows == 10
    assert answers["html"].text.count("<tr>") == 11
    assert "attachment" in answers["csv"].headers["Content-Disposition"]
    assert unknown.status_code == 404


@pytest.mark.parametrize(
    "asked", ["stage=many", "sort=colour", "after=nonsense", "out_of_date=perhaps", "limit=x"]
)
def test_what_cannot_be_asked_is_bad_use(asked: str, tmp_path: Path) -> None:
    """400, not an error of ours."""
    with browsing(tmp_path) as browser:
        assert browser.get(f"/report?{asked}").status_code == 400


def test_another_tenants_servers_are_not_there(tmp_path: Path) -> None:
    """Neither on the page nor in a file, whatever is asked for."""
    stranger = Visitor("tom", Need.OPERATE, frozenset({"other"}), "token")
    with browsing(tmp_path, stranger) as browser:
        texts = [
            browser.get(path).text
            for path in ("/report", "/report?tenant=default", "/report.csv", "/report.json")
        ]

    assert not any(name in text for name in NAMES for text in texts)
