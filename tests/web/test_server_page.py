"""The page of one server, and what an operator can do there."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import OPERATOR, VIEWER, client, house, learn
from ledger_stories import at, entry, key_of, sighting
from starlette.testclient import TestClient

from wehr.ledger import Store
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


def test_an_operator_pauses_and_ends_the_pause_and_both_are_in_the_audit(tmp_path: Path) -> None:
    """With reason and name."""
    with browsing(tmp_path) as (browser, path, store):
        paused = browser.post(f"{path}/pause", data={"days": "3", "why": "change freeze"})
        pause = store.pauses()[0]
        ended = browser.post(f"{path}/cancel", data={"pause": pause.id})
        events = {event.kind: event for event in store.events()}

    assert paused.status_code == ended.status_code == 303
    assert paused.headers["location"] == path
    assert (pause.days, pause.by, pause.why, pause.server) == (3, "olga", "change freeze", KEY)
    assert events["pause-added"].actor == events["pause-cancelled"].actor == "olga"


def test_a_reason_is_no_book(tmp_path: Path) -> None:
    """Every node remembers it."""
    with browsing(tmp_path) as (browser, path, store):
        answers = [browser.post(f"{path}/exempt", data={"until": "", "why": "x" * n}) for n in (1000, 1001)]
        kept = len(store.exemptions())

    assert [it.status_code for it in answers] == [303, 400]
    assert kept == 1


def test_an_operator_exempts_a_server_until_the_end_of_a_day(tmp_path: Path) -> None:
    """The exemption names the server and its network."""
    with browsing(tmp_path) as (browser, path, store):
        answer = browser.post(f"{path}/exempt", data={"until": "2024-12-24", "why": "replaced in December"})
        (exemption,) = store.exemptions().values()

    assert answer.status_code == 303
    assert (exemption.server, exemption.network, exemption.by) == (KEY.name, KEY.network, "olga")
    assert exemption.until is not None
    assert f"{exemption.until:%Y-%m-%d %H:%M}" == "2024-12-24 23:59"


@pytest.mark.parametrize(
    ("deed", "data", "code"),
    [
        ("pause", {"days": "0", "why": "x"}, 400),
        ("pause", {"days": "many", "why": "x"}, 400),
        ("pause", {"days": "3", "why": " "}, 400),
        ("pause", {"days": "300", "why": "x"}, 409),
        ("exempt", {"until": "soon", "why": "x"}, 400),
        ("exempt", {"until": "2001-01-01", "why": "x"}, 400),
        ("exempt", {"until": "", "why": ""}, 400),
        ("cancel", {"pause": "nonsense"}, 400),
    ],
)
def test_what_cannot_be_done_is_said_on_the_page(
    deed: str, data: dict[str, str], code: int, tmp_path: Path
) -> None:
    """And nothing is written."""
    with browsing(tmp_path) as (browser, path, store):
        answer = browser.post(f"{path}/{deed}", data=data)

        assert answer.status_code == code
        assert 'role="alert"' in answer.text
        assert not store.pauses()
        assert not store.exemptions()


def test_who_only_reads_sees_no_forms_and_can_do_nothing(tmp_path: Path) -> None:
    """Neither by the page nor past it."""
    with browsing(tmp_path, VIEWER) as (browser, path, store):
        text = browser.get(path).text
        answers = [
            browser.post(f"{path}/{deed}", data={"days": "1", "why": "x"})
            for deed in ("pause", "exempt", "cancel")
        ]

        assert "<form" not in text.partition("<main")[2]
        assert {answer.status_code for answer in answers} == {403}
        assert not store.pauses()


def test_another_tenants_server_is_not_there(tmp_path: Path) -> None:
    """404, for reading and for doing, as if there were none."""
    stranger = Visitor("tom", Need.OPERATE, frozenset({"other"}), "token")
    with browsing(tmp_path, stranger) as (browser, path, store):
        answers = [browser.get(path), browser.post(f"{path}/pause", data={"days": "1", "why": "x"})]

        assert {answer.status_code for answer in answers} == {404}
        assert not store.pauses()
