"""Chats through Apprise to a real HTTP server: short texts, at least once, and no secret in sight."""

import asyncio
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from notice_stories import DAY, SETTINGS, START, Hook, carry, hook, look, office, seen

from wehr.ledger import Event, Store
from wehr.ledger.outbox import Kind, Outbox, State
from wehr.notices import chat
from wehr.notices.courier import Courier, Errand
from wehr.notices.office import plan_chats, plan_notices
from wehr.notices.render import Templates
from wehr.notices.settings import LANGUAGES, Chat, Language
from wehr.notices.types import Undelivered
from wehr.service.outgoing import check_chats
from wehr.service.state_folder import StartError

TOKEN = "token-of-the-room"
# Apprise asks for a module of the standard library that is going to be taken away.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@pytest.fixture(name="box")
def _box() -> Iterator[Hook]:
    pytest.importorskip("apprise")
    with hook() as box:
        yield box


def run(store: Store, folder: Path, box: Hook, day: float, **changes: object) -> list[Errand]:
    """Plan and deliver, so many days after the start."""
    address = box.url.replace("http://", "json://").partition("?")[0]
    (folder / "room").write_text(f"# the administrators' room\n{address}/{TOKEN}\n")
    settings = replace(SETTINGS, chats=(replace(Chat("room"), **changes),))
    now = START + day * DAY
    plan_chats(office(settings), Outbox(store), now)
    courier = Courier(Outbox(store), settings, folder, node="n", clock=lambda: now)
    errands = []

    async def all_of_it() -> None:
        while errand := await courier.deliver_next():
            errands.append(errand)

    asyncio.run(all_of_it())
    return [errand for errand in errands if errand.item.kind is Kind.CHAT]


def heard(box: Hook) -> list[tuple[str, str]]:
    """The texts that the receiver took or refused, as title and body."""
    bodies = [json.loads(body) for _, body in box.requests]
    return [(body["title"], body["message"]) for body in bodies]


def test_what_happened_since_the_last_time_is_one_text(sqlite: Store, tmp_path: Path, box: Hook) -> None:
    """The same events as in the digest; writing of them makes no event, so it comes to an end."""
    run(sqlite, tmp_path, box, 0)
    carry(sqlite, [seen()])
    sqlite.add_event(Event(START, "logged-in", actor="eve"))
    detail = {"days": 30, "from": "2025-11-10T10:00:00Z"}
    sqlite.add_event(Event(START, "pause-added", "default", actor="eve", detail=detail))

    errands = run(sqlite, tmp_path, box, 1)

    assert [one.state for one in errands] == [State.SENT]
    assert run(sqlite, tmp_path, box, 2) == []
    ((title, body),) = heard(box)
    assert title == "Wehr on mx.receiver.test"
    assert body.splitlines() == [
        "mail.example.org: out of date (build 15.1.2507.16)",
        "default: paused from 2025-11-10T10:00:00Z for 30 days (eve)",
    ]


def test_it_speaks_the_language_that_is_configured(sqlite: Store, tmp_path: Path, box: Hook) -> None:
    """And tells only the kinds that are asked for."""
    run(sqlite, tmp_path, box, 0, language="de", events=("cured", "logged-in"))
    carry(sqlite, [seen()])
    sqlite.add_event(Event(START, "cured", name="mail.example.org", detail={"build": "15.2.2562.35"}))
    sqlite.add_event(Event(START, "logged-in", actor="eve"))

    run(sqlite, tmp_path, box, 1, language="de", events=("cured", "logged-in"))

    assert heard(box) == [
        (
            "Wehr auf mx.receiver.test",
            "mail.example.org: wieder aktuell (Build 15.2.2562.35)\nlogged-in (eve)",
        )
    ]


def test_a_flood_of_events_is_a_short_text(sqlite: Store, tmp_path: Path, box: Hook) -> None:
    """Twelve of them, and how many more: less than the narrowest service takes."""
    run(sqlite, tmp_path, box, 0)
    for number in range(500):
        sqlite.add_event(Event(START, "cured", name=f"{number}." + "a" * 240, detail={"build": "1." * 200}))

    run(sqlite, tmp_path, box, 1)

    ((title, body),) = heard(box)
    assert len(title + body) < 2000
    assert body.splitlines()[-1] == "and 488 more, see wehr events"
    assert len(body.splitlines()) == 13


def test_what_is_not_taken_is_sent_again(sqlite: Store, tmp_path: Path, box: Hook) -> None:
    """With back-off, in order, and what waits behind it waits as long; redirections are not followed."""
    run(sqlite, tmp_path, box, 0)
    sqlite.add_event(Event(START, "cured", name="first.example.org"))
    box.answers = [500, 301]
    states = [one.state for one in run(sqlite, tmp_path, box, 1)]
    sqlite.add_event(Event(START, "cured", name="second.example.org"))

    states += [one.state for day in (1.01, 1.02) for one in run(sqlite, tmp_path, box, day)]

    assert states[:2] == [State.WAITING, State.WAITING]
    assert states[2:] == [State.SENT, State.SENT]
    assert [body.partition(":")[0] for _, body in heard(box)] == [
        "first.example.org",
        "first.example.org",
        "first.example.org",
        "second.example.org",
    ]


def test_a_chat_that_is_away_for_a_week_is_given_up(sqlite: Store, tmp_path: Path, box: Hook) -> None:
    """And one that is no longer configured is let be."""
    run(sqlite, tmp_path, box, 0)
    sqlite.add_event(Event(START, "cured"))
    box.answers = [503] * 9

    assert [one.state for one in run(sqlite, tmp_path, box, 1)] == [State.WAITING]
    assert [one.state for one in run(sqlite, tmp_path, box, 9)] == [State.REFUSED]
    sqlite.add_event(Event(START, "cured"))
    assert [one.state for one in run(sqlite, tmp_path, box, 9)] == [State.WAITING]
    courier = Courier(Outbox(sqlite), SETTINGS, tmp_path, node="n", clock=lambda: START + 10 * DAY)
    errand = asyncio.run(courier.deliver_next())
    assert errand is not None
    assert errand.state is State.WITHDRAWN


def test_the_address_is_never_told(
    sqlite: Store,
    tmp_path: Path,
    box: Hook,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Neither in the outbox nor in the audit, a log or an output, whatever goes wrong."""
    caplog.set_level(logging.DEBUG)
    run(sqlite, tmp_path, box, 0)
    sqlite.add_event(Event(START, "cured"))
    box.answers = [500]
    run(sqlite, tmp_path, box, 1)
    run(sqlite, tmp_path, box, 2)

    told = repr(Outbox(sqlite).items()) + repr(sqlite.events()) + caplog.text + "".join(capfd.readouterr())
    assert len(box.requests) == 2
    assert TOKEN not in told


@pytest.mark.parametrize("url", ["nonsense://x/secret", "slack://not-a-token", "secret", "json://"])
def test_an_address_that_is_none_waits_and_is_not_told(url: str) -> None:
    """It is mended in time, or given up."""
    pytest.importorskip("apprise")
    body = chat.write([Event(START, "cured")], Templates(), "en", "mx")

    with pytest.raises(Undelivered) as caught:
        chat.say(url, body)
    assert str(caught.value) == "Apprise knows no such URL"


def test_a_file_without_an_address(sqlite: Store, tmp_path: Path, box: Hook) -> None:
    """It waits for somebody to write one into it."""
    (tmp_path / "empty").write_text("# nothing yet\n\n")
    run(sqlite, tmp_path, box, 0, url_file="empty")
    sqlite.add_event(Event(START, "cured"))

    (errand,) = run(sqlite, tmp_path, box, 1, url_file="empty")

    assert (errand.state, errand.said) == (State.WAITING, "empty holds no Apprise URL")


@given(st.text(max_size=300))
def test_a_strangers_words_are_no_mention_no_markup_and_one_line(name: str) -> None:
    """Names are stamped by whoever sends mail: nobody is called into the room by one."""
    body = json.loads(chat.write([Event(START, "cured", name=name, actor=name)], Templates(), "en", "mx"))

    assert not set(body["body"]) & set("@#<>*`~|[]\\!&\x00\x1b")
    assert "://" not in body["body"]
    assert len(body["body"].splitlines()) == 1


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", chat.TOLD)
def test_each_kind_has_words_of_its_own(kind: str, language: Language) -> None:
    """And does without a detail that another version has not written."""
    event = Event(START, kind, "default", name="mail.example.org", actor="eve")

    body = json.loads(chat.write([event], Templates(), language, "mx.example.org"))["body"]

    assert body
    assert not body.startswith(kind)


def test_notices_are_news_too(sqlite: Store, tmp_path: Path, box: Hook) -> None:
    """That one was sent is told once, and telling it is no news."""
    run(sqlite, tmp_path, box, 0)
    carry(sqlite, [seen()])
    outbox = Outbox(sqlite)
    plan_notices(look(sqlite, 2), outbox)
    item = outbox.claim("somebody", START + 2 * DAY, lease=60, most=9)
    assert item is not None
    outbox.finish(item, State.SENT, START + 2 * DAY)

    run(sqlite, tmp_path, box, 3)
    run(sqlite, tmp_path, box, 4)

    ((_, body),) = heard(box)
    assert body.splitlines()[1] == "example.org: notice sent (detected)"


def test_a_start_without_the_extra_ends_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where a chat is configured."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    monkeypatch.setattr("wehr.service.outgoing.find_spec", lambda name: None)

    check_chats(SETTINGS)
    with pytest.raises(StartError, match="extra 'chat'"):
        check_chats(replace(SETTINGS, chats=(Chat("room"),)))
    with pytest.raises(Undelivered, match="extra 'chat'"):
        chat.say("json://127.0.0.1/", b"{}")
