"""The present state is rebuilt from history and events, and what does not fit is named."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from operator import attrgetter

import msgspec
import pytest
from ledger_stories import NEW, OLD, START, at, entry, sighting
from sqlalchemy import delete, update

from wehr.ledger.journal import Entry, Position
from wehr.ledger.maintenance import Retention
from wehr.ledger.memory import Limits
from wehr.ledger.rows import Event
from wehr.ledger.schema import days, events, exemptions, meta, pauses
from wehr.ledger.selecting import days_of
from wehr.ledger.store import Store, open_store
from wehr.policy.laddering import Era, Laddering
from wehr.policy.pauses import Pause, cancel, extend, request
from wehr.policy.scope import Exemption

SINCE = datetime.fromtimestamp(START, UTC)
PAUSE = Pause("p1", "default", START, 10, START, by="operator")
EXEMPTION = Exemption(SINCE, "known partner", server="mail.example.org", tenant="default", by="operator")


def carry(store: Store, *entries: Entry) -> None:
    """Carry entries in."""
    start = store.position("mx1")
    store.carry("mx1", start, entries, Position(start.segment, start.offset + 1), START)


def lay_down(store: Store) -> None:
    """A pause made, extended and cancelled, one that holds, an exemption made and ended, three ladders."""
    store.change_pauses(lambda old: request(old, PAUSE, START), Event(START, "pause-added"))
    store.change_pauses(lambda old: extend(old, "p1", 5, START), Event(START, "pause-extended"))
    store.change_pauses(lambda old: cancel(old, "p1", at(1)), Event(at(1), "pause-cancelled"))
    other = msgspec.structs.replace(PAUSE, id="p2", start=at(5))
    store.change_pauses(lambda old: request(old, other, at(2)), Event(at(2), "pause-added"))
    store.put_exemption("e1", EXEMPTION, Event(START, "exemption-added", actor="operator"))
    ended = msgspec.structs.replace(EXEMPTION, until=datetime.fromtimestamp(at(3), UTC))
    store.put_exemption("e1", ended, Event(at(3), "exemption-cancelled", actor="operator"))
    for day, name in enumerate(("exchange-online", "urgent", "exchange-online")):
        laddering = Laddering(name)
        store.change_past(
            lambda past, laddering=laddering, day=day: past.noting(laddering, (), at(day)),
            Event(at(day), "ladder-changed"),
        )


def test_what_people_laid_down_is_rebuilt_from_the_events_alone(store: Store) -> None:
    """The last event of each rule says all of it, as the table does; and so do the ladders' events."""
    lay_down(store)

    told = [event.after for event in reversed(store.events()) if event.after]
    rebuilt = {
        word: {rule.get("id", ""): rule for after in told for kind, rule in after.items() if kind == word}
        for word in ("pause", "exemption")
    }

    assert msgspec.convert(list(rebuilt["pause"].values()), tuple[Pause, ...]) == store.pauses()
    assert msgspec.convert(rebuilt["exemption"][""], Exemption) == store.exemptions()["e1"]
    eras = [msgspec.convert(after["era"], Era) for after in told if "era" in after]
    assert tuple(eras) == store.past().eras[1:] != ()
    assert list(store.check()) == []


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (delete(pauses).where(pauses.c.id == "p2"), "pause p2: its events tell of it, and it is not there"),
        (
            update(pauses).where(pauses.c.id == "p1").values(value=msgspec.json.encode(PAUSE)),
            "pause p1: it is not what its last event made it",
        ),
        (delete(events).where(events.c.kind.like("pause%")), "pause p1: no event tells of it"),
        (
            update(exemptions).values(value=msgspec.json.encode(EXEMPTION)),
            "exemption e1: it is not what its last event made it",
        ),
        (delete(exemptions), "exemption e1: its events tell of it, and it is not there"),
        (
            delete(events).where(events.c.kind == "exemption-cancelled"),
            "exemption e1: it is not what its last event made it",
        ),
        (delete(events).where(events.c.kind == "ladder-changed"), "the ladders that have been in force"),
        (
            update(meta).where(meta.c.name == "past").values(value='{"eras":[],"learned":{}}'),
            "the ladders that have been in force",
        ),
    ],
)
def test_a_rule_that_is_not_as_its_events_made_it_is_named(store: Store, damage, fault: str) -> None:
    """Taken away, set back, or without the event that made it."""
    lay_down(store)
    with store._write() as connection:
        connection.execute(damage)

    assert [found for found in store.check() if found.startswith(fault)]


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (update(days).where(days.c.day == 20_002).values(messages=1), "its sum is 1, but 2 messages"),
        (delete(days).where(days.c.day == 20_002), "its sum is 0, but 2 messages"),
        (update(days).where(days.c.day == 20_002).values(tenant="x"), "its sum is 0, but 2 messages"),
    ],
)
def test_a_days_sum_that_lacks_what_is_counted_of_servers_is_named(store: Store, damage, fault: str) -> None:
    """With day, tenant and outcome."""
    carry(store, *(entry(sighting(day)) for day in (0, 1, 2, 2.25)))
    assert list(store.check()) == []
    with store._write() as connection:
        connection.execute(damage)

    (found,) = store.check()

    assert found.startswith("2024-10-06, tenant 'default', accept: " + fault)


def test_a_days_sum_may_say_more_than_is_counted_of_servers(store: Store) -> None:
    """It keeps what came from servers that had to make room, and its oldest days go before theirs."""
    store.limits = Limits(servers_per_network=1)
    carry(store, entry(sighting(0, name="one.example.org")))
    carry(store, *(entry(sighting(day, name="two.example.org")) for day in (1, 40)))
    assert sum(tally.messages for tally in store.sums()) < sum(row[3] for row in days_of(store, 0))
    assert list(store.check()) == []
    with store._write() as connection:
        connection.execute(delete(days).where(days.c.day <= 20_001))

    assert list(store.check()) == []


def test_a_server_that_had_to_make_room_and_came_back_is_no_fault(store: Store) -> None:
    """The history still holds its messages of before, of which its new state knows nothing."""
    store.limits = Limits(servers_per_network=1)
    for day, name in ((0, "one"), (1, "two"), (2, "one")):
        carry(store, entry(sighting(day, name=f"{name}.example.org")))

    assert [row.first_seen for row in store.servers()] == [at(2)]
    assert list(store.check()) == []


def test_a_server_that_was_forgotten_and_came_back_is_no_fault(store: Store) -> None:
    """Nor where single messages are kept for longer than servers."""
    retention = Retention(sightings=400)
    carry(store, entry(sighting(0)))
    while any(store.prune(retention, at(190)).values()):
        pass
    carry(store, entry(sighting(191)))

    assert [row.first_seen for row in store.servers()] == [at(191)]
    assert list(store.check()) == []


def test_what_came_late_of_a_server_that_came_back_is_no_fault(store: Store) -> None:
    """From another node, and from before the messages of which its new state knows nothing."""
    store.limits = Limits(servers_per_network=1)
    for name, *story in (("one", 1.5), ("two", 2), ("one", 0.25, 3)):
        carry(store, *(entry(sighting(day, name=f"{name}.example.org")) for day in story))

    assert [row.first_seen for row in store.servers()] == [at(0.25)]
    assert list(store.check()) == []


@pytest.mark.parametrize("days", [(5, 20), (20, 5), (5, 5)])
def test_a_history_that_no_longer_reaches_back_to_the_first_message_is_not_the_whole(
    store: Store, days: tuple[int, int]
) -> None:
    """Though there are as many messages in it as are counted."""
    carry(store, entry(sighting(0)), entry(sighting(30)))
    while any(store.prune(Retention(sightings=days[0], tallies=days[1]), at(31)).values()):
        pass

    assert list(store.check()) == []


def test_an_event_is_never_rewritten(store: Store) -> None:
    """Whatever comes later, the events there were are there still, byte for byte, in their order."""
    written: list[Event] = []
    steps: Sequence[Callable[[], object]] = (
        lambda: carry(store, entry(sighting(0)), entry(sighting(31), stage=2)),
        lambda: carry(store, entry(sighting(33, NEW), compliant=True, stage=0)),
        lambda: lay_down(store),
        lambda: carry(store, entry(sighting(70)), entry(sighting(1, name="late.example.org"))),
        lambda: store.prune(Retention(), at(80)),
    )
    for step in steps:
        step()
        now = sorted(store.events(), key=attrgetter("id"))
        assert now[: len(written)] == written
        written = now

    assert {event.kind for event in written} >= {"detected", "stage", "cured", "pause-extended"}


def test_a_rules_events_outlive_the_others(store: Store) -> None:
    """They are few, and without them a rule that stands could not be rebuilt."""
    lay_down(store)
    carry(store, entry(sighting(0)), entry(sighting(1, NEW), compliant=True))
    before = sum(bool(event.after) for event in store.events())

    store.prune(Retention(), at(2000))

    assert len(store.events()) == before > 0
    assert list(store.check()) == []


@pytest.mark.parametrize("days", [(5, 180), (30, 10), (60, 400), (1, 1)])
def test_other_days_of_memory_are_no_fault(store_url: str, days: tuple[int, int]) -> None:
    """Changed before, between and after any messages: the check finds nothing wrong, at no time."""
    limits = Limits(memory_days=days[0], forget_days=days[1])
    story = [
        entry(sighting(0)),
        entry(sighting(10, NEW), compliant=True),
        entry(sighting(20, OLD)),
        entry(sighting(22, OLD)),
        entry(sighting(45, OLD)),
    ]
    with open_store(store_url) as store:
        for number in range(len(story) + 1):
            names = [f"{number}-{before}.example.org" for before in range(2)]
            for name, first in zip(names, (Limits(), limits), strict=True):
                for place, one in enumerate(story):
                    store.limits = first if place < number else limits if first is not limits else Limits()
                    moved = msgspec.structs.replace(one.sighting, name=name)
                    carry(store, entry(moved, compliant=one.compliant))
                    assert list(store.check()) == []
        store.limits = limits
        assert list(store.check()) == []


def test_the_days_that_are_changed_are_told_with_the_next_message(store: Store) -> None:
    """A server that the new days put out of compliance is detected again then: events and clock agree."""
    carry(store, entry(sighting(0)), entry(sighting(10, NEW), compliant=True), entry(sighting(20)))
    store.limits = Limits(memory_days=5)
    assert [event.kind for event in reversed(store.events())] == ["detected", "cured"]

    carry(store, entry(sighting(20.25)))

    assert [event.kind for event in reversed(store.events())] == ["detected", "cured", "detected"]
    assert list(store.check()) == []
