"""The digest for one's own administrators, and that it comes once."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace
from notice_stories import CATALOGUE, DAY, NEW, SETTINGS, START, basis, carry, look, mailbox, office, seen

from wehr.ledger import Event, Store
from wehr.ledger.outbox import Draft, Kind, Outbox
from wehr.notices.courier import Courier
from wehr.notices.digest import TOLD, conditions, gather, period, plan_digest, write
from wehr.notices.office import plan_notices
from wehr.notices.settings import LANGUAGES, Digest, Language
from wehr.policy.pauses import Pause
from wehr.policy.scope import Exemption


@pytest.mark.parametrize(
    ("every", "moment", "name"),
    [
        ("day", datetime(2026, 5, 20, 6, tzinfo=UTC), "2026-05-20"),
        ("day", datetime(2026, 5, 20, 5, 59, tzinfo=UTC), "2026-05-19"),
        ("week", datetime(2026, 5, 20, 6, tzinfo=UTC), "2026-05-18"),
        ("week", datetime(2026, 5, 18, 5, 59, tzinfo=UTC), "2026-05-11"),
    ],
)
def test_which_digest_is_due(every: str, moment: datetime, name: str) -> None:
    """From six o'clock on the day's, or Monday's."""
    due = period(Digest(to=("a@b.test",), every=every), moment.timestamp())  # type: ignore[arg-type]

    assert due is not None
    assert due[0] == name


def plan(store: Store, day: float, language: Language = "en", every: str = "day") -> list[Draft]:
    """Plan the digest, so many days after the start."""
    digest = Digest(to=("admins@receiver.test",), every=every, language=language)  # type: ignore[arg-type]
    return plan_digest(office(replace(SETTINGS, digest=digest)), store, basis(store, day), 60)


def test_there_is_one_a_day_for_all_nodes(store: Store) -> None:
    """However often it is asked for."""
    carry(store, [seen()])

    assert [len(plan(store, day)) for day in (0, 0.1, 0.5, 0.9, 1.0, 1.2)] == [1, 0, 0, 1, 0, 0]


def test_nobody_gets_one_unless_asked_for(store: Store) -> None:
    """Without addresses there is none."""
    assert plan_digest(office(), store, basis(store, 0), 60) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_it_tells(sqlite: Store, language: Language) -> None:
    """New, cured, stages, pauses and exemptions that end, silent nodes, what waits for a person."""
    carry(sqlite, [seen("new.example.org", 0.6), seen("patched.example.net", 0, ip="198.51.100.1")])
    carry(sqlite, [seen("patched.example.net", 0.7, NEW, ip="198.51.100.1", compliant=True)])
    stage = {"build": "15.1.2507.16", "previous": 1, "stage": 2, "throttle": 5, "block": 0, "enforced": True}
    sqlite.add_event(Event(START + 0.8 * DAY, "stage", "default", "ref", "staged.example.org", detail=stage))
    pause = Pause("p", "default", START, 5, START)
    sqlite.change_pauses(lambda _: (pause,), Event(START, "pause-added", detail={"id": "p"}))
    ends = Exemption(
        datetime.fromtimestamp(START, UTC), "why", datetime.fromtimestamp(START + 3 * DAY, UTC), "ex.org"
    )
    sqlite.put_exemption("e", ends, Event(START, "exemption-added", detail={"id": "e"}))
    outbox = Outbox(sqlite)
    carry(sqlite, [seen("nobody.example.org", 0.61, ip="203.0.113.1", client_name="")])
    plan_notices(look(sqlite, 1.62), outbox)
    outbox.stop(START, "eve", "")

    (draft,) = plan(sqlite, 1.7, language, "week")
    (text,) = [part for part in _parts(draft.body) if "new.example.org" in part and "<p>" not in part]

    for fact in ("patched.example.net", "staged.example.org", "default", "ex.org", "mx1", "203.0.113.0/24"):
        assert fact in text, text
    assert ("Out of date now" if language == "en" else "Zurzeit veraltet") in text
    assert ("stopped" if language == "en" else "angehalten") in text
    for line in text.splitlines():
        assert len(line) <= 72, line
    assert "None" not in text
    assert "{" not in text


def test_an_old_catalogue_is_told(sqlite: Store) -> None:
    """With its age."""
    late = (datetime.combine(CATALOGUE.date, datetime.min.time(), UTC).timestamp() - START) / DAY + 100

    (draft,) = plan(sqlite, late)

    assert any("The catalogue is 100 days old" in part for part in _parts(draft.body))


def test_what_comes_about_by_itself_is_noted_once_for_webhooks(store: Store) -> None:
    """An old catalogue, a silent node, a pause and an exemption that end: in the audit, once."""
    carry(store, [seen()])
    pause = Pause("p", "default", START, 5, START)
    store.change_pauses(lambda _: (pause,), Event(START, "pause-added", detail={"id": "p"}))
    start, end = (datetime.fromtimestamp(START + day * DAY, UTC) for day in (0, 3))
    store.put_exemption("e", Exemption(start, "why", end, "ex.org"), Event(START, "exemption-added"))
    outbox = Outbox(store)

    for day in (1, 1.5, 2):
        outbox.note_once(conditions(basis(store, day), outbox.nodes(), 60))
    outbox.note_once(conditions(basis(store, 600), {}, 60))

    found = sorted(
        (event.kind, event.name) for event in store.events() if event.kind.endswith(("ing", "stale"))
    )
    assert found == [
        ("catalogue-stale", ""),
        ("exemption-ending", "ex.org"),
        ("node-lagging", "mx1"),
        ("pause-ending", "default"),
    ]


def test_a_quiet_day_says_so(sqlite: Store) -> None:
    """So that one knows that it runs."""
    (draft,) = plan(sqlite, 0)

    assert any("Nothing happened." in part for part in _parts(draft.body))


def test_it_reaches_ones_own_administrators(sqlite: Store) -> None:
    """By the same outbox, whatever the hour's bound for notices is."""
    plan(sqlite, 0)
    with mailbox() as box:
        settings = replace(SETTINGS, submission=replace(SETTINGS.submission, port=box.port))
        courier = Courier(Outbox(sqlite), settings, Path("/nowhere"), node="n", clock=lambda: START)
        asyncio.run(courier.deliver_next())

    assert box.envelopes[0].rcpt_tos == ["admins@receiver.test"]
    assert box.messages[0]["Auto-Submitted"] == "auto-generated"
    assert Outbox(sqlite).items(kind=Kind.DIGEST)[0].state == "sent"


def _parts(content: bytes) -> list[str]:
    from email import message_from_bytes, policy

    message = message_from_bytes(content, policy=policy.default)
    return [part.get_content() for part in message.walk() if part.get_content_maintype() == "text"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_is_told_in_words(sqlite: Store, language: Language) -> None:
    """And not by the name that programs know it by."""
    told = [Event(START, kind, name="mail.example.org", detail=_STAGE) for kind in TOLD]
    news = gather(
        told,
        [],
        basis(sqlite, 1),
        since=START,
        host="mx",
        stale_after=9999,
        nodes={},
        stuck=(),
        stopped=False,
    )

    text = write(news, office(replace(SETTINGS, digest=Digest(("a@b.test",), language=language))), "d", b"k")

    body = "".join(_parts(text.body))
    assert set(news.events) == set(TOLD)
    assert not [kind for kind in TOLD if "-" in kind and kind in body]


_STAGE: dict[str, str | int | float | bool | None] = {
    "build": "15.1.2507.16",
    "previous": 1,
    "stage": 2,
    "throttle": 5,
    "block": 0,
    "enforced": True,
}
