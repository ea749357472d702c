"""What every store promises, whatever its engine."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from ledger_stories import NEW, OLD, START, at, entry, key_of, sighting

from wehr.ledger.errors import PositionMoved, RuleDamaged, StoreUnreadable
from wehr.ledger.journal import Entry, Position
from wehr.ledger.memory import reference
from wehr.ledger.rows import Event, Tally
from wehr.ledger.schema import events, exemptions, pauses
from wehr.ledger.state import merge, observe
from wehr.ledger.store import Store
from wehr.policy.pauses import Pause, QuotaExceeded, request
from wehr.policy.scope import Exemption

HERE = Position(5, 100)
Opener = Callable[[], Store]


def carry(store: Store, *entries: Entry, node: str = "mx1") -> None:
    """Carry entries in, wherever the node's position is."""
    start = store.position(node)
    store.carry(node, start, entries, Position(start.segment, start.offset + 1), START)


def test_a_new_store_is_empty(store: Store) -> None:
    """Nothing is known, and every journal stands at its beginning."""
    assert list(store.load_states()) == []
    assert store.position("mx1") == Position()
    assert store.events() == []


def test_states_come_back_as_they_would_be_in_memory(store: Store, opener: Opener) -> None:
    """A server's stored state equals the one a node has that saw the same."""
    story = [entry(sighting(0)), entry(sighting(1)), entry(sighting(2, NEW), compliant=True)]
    expected = None
    for one in story:
        expected = observe(expected, one.sighting, one.compliant)

    carry(store, story[2], story[0])
    carry(store, story[1], node="mx2")

    assert dict(opener().load_states()) == {story[0].key: expected}


def test_a_batch_is_carried_once(store: Store) -> None:
    """A batch that is offered again from the same place is refused as a whole."""
    store.carry("mx1", Position(), [entry(sighting(0))], HERE, START)

    with pytest.raises(PositionMoved):
        store.carry("mx1", Position(), [entry(sighting(0))], HERE, START)

    assert store.position("mx1") == HERE
    assert store.count()["sightings"] == 1


def test_history_shows_what_was_seen_and_decided(store: Store) -> None:
    """Each message is a row, newest first, in pages."""
    ref = reference(key_of(sighting(0)), store.secret)
    carry(store, *(entry(sighting(day), queue_id=f"Q{day}") for day in range(5)))

    first = store.history(ref, limit=3)
    rest = store.history(ref, limit=3, before=first[-1].id)

    assert [row.queue_id for row in first + rest] == ["Q4", "Q3", "Q2", "Q1", "Q0"]
    assert first[0].build == "15.1.2507.6"
    assert first[0].compliant is False
    assert store.message("Q3")[0] == first[1]
    assert store.history("nosuchserver") == []


def test_a_message_is_found_by_its_queue_id(store: Store) -> None:
    """All that was decided on it, of the latest that was called so; no further back than is asked."""
    others = [entry(sighting(day)) for day in (0.5, 2.5)]
    again = [entry(sighting(day), queue_id="4XyZ") for day in (1, 2)]
    twice = entry(sighting(2.001, name="ex2.example.org"), queue_id="4XyZ")
    carry(store, *others, *again, twice)

    assert [row.at for row in store.message("4XyZ")] == [at(2.001), at(2)]
    assert len(store.message("4XyZ", since=at(2))) == 2
    assert store.message("4XyZ", since=at(2.01)) == []
    assert store.message("4xyz") == []


@pytest.mark.parametrize("age", [0, 0.25, 0.3, 2, 2.1, 25])
def test_a_message_of_any_age_is_found_and_the_latest_that_was_called_so(store: Store, age: float) -> None:
    """In the stretches that are looked through one after the other, and at their edges."""
    days = (4, 30 - age, 29.99 - age)
    carry(store, entry(sighting(30)), *(entry(sighting(day), queue_id="Q-aged") for day in days))

    assert [row.at for row in store.message("Q-aged")] == [at(30 - age), at(29.99 - age)]
    assert store.message("Q-aged", since=at(30.01 - age)) == []


def test_a_servers_row_holds_its_latest_evidence(store: Store) -> None:
    """Entries that come late do not replace newer evidence."""
    carry(store, entry(sighting(3, NEW), compliant=True))
    carry(store, entry(sighting(1, OLD)), node="mx2")

    (row,) = store.servers()

    assert row.build == "15.1.2507.61"
    assert row.seen_at == at(3)
    assert row.state.first_seen == at(1)
    assert store.server(row.ref) == row
    assert store.server("nosuchserver") is None


@pytest.mark.parametrize("name", ["mail.example.org", "MAIL.example.org", "out.example.org", "192.0.2.25"])
def test_a_server_is_found_by_what_people_know_of_it(store: Store, name: str) -> None:
    """By the stamped name, the client's verified name or its address."""
    carry(store, entry(sighting(0)), entry(sighting(0, name="other.example.org", client_ip="192.0.2.9")))

    found = store.servers(name=name)

    assert "mail.example.org" in {row.key.name for row in found}
    assert store.servers(name="nobody.example.org") == []


def test_tallies_count_messages_by_day_and_outcome(store: Store) -> None:
    """Rows add up over batches and nodes."""
    carry(store, entry(sighting(0)), entry(sighting(0.1)), entry(sighting(1)))
    carry(store, entry(sighting(0.2)), node="mx2")

    assert [tally.messages for tally in store.tallies()] == [3, 1]
    assert [tally.messages for tally in store.tallies(since_day=int(at(1) // 86400))] == [1]


def test_tallies_are_summed_over_days_and_reasons(store: Store) -> None:
    """Of some servers or all, from a day on."""
    other = sighting(1, name="other.example.org")
    ref, other_ref = (reference(key_of(it), store.secret) for it in (sighting(0), other))
    carry(store, entry(sighting(0)), entry(sighting(0.1)), entry(sighting(1)), entry(other))
    mine = Tally(0, ref, "accept", "", False, 3)

    assert store.sums(refs=[ref, "nosuchserver"]) == [mine]
    assert {tally.ref: tally.messages for tally in store.sums()} == {ref: 3, other_ref: 1}
    assert [tally.messages for tally in store.sums(refs=[ref], since_day=int(at(1) // 86400))] == [1]
    assert store.sums(refs=[]) == []


def test_detection_stages_and_cure_become_events(store: Store) -> None:
    """The life of an episode can be read from the events, each told once."""
    carry(store, entry(sighting(0)), entry(sighting(1)), entry(sighting(31), stage=2))
    carry(store, entry(sighting(32), stage=2))
    carry(store, entry(sighting(33, NEW), compliant=True, stage=0))

    events = list(reversed(store.events()))

    assert [event.kind for event in events] == ["detected", "stage", "cured"]
    assert [event.at for event in events] == [at(0), at(31), at(33)]
    assert events[1].detail["stage"] == 2
    assert {event.name for event in events} == {"mail.example.org"}


def test_a_detection_and_a_cure_in_one_batch_are_both_told(store: Store) -> None:
    """Catching up after a long time loses no event."""
    carry(store, entry(sighting(0)), entry(sighting(5, NEW), compliant=True))

    assert [event.kind for event in store.events()] == ["cured", "detected"]


def test_others_learn_of_changes(store: Store, opener: Opener) -> None:
    """A node that asks from its last change number gets what was written since, and no more."""
    other = opener()
    carry(store, entry(sighting(0)))
    first = other.changes(0)
    carry(store, entry(sighting(1, name="second.example.org")))
    second = other.changes(first.upto)

    assert [key.name for key, _ in first.servers] == ["mail.example.org"]
    assert [key.name for key, _ in second.servers] == ["second.example.org"]
    assert other.changes(second.upto).servers == ()
    assert other.last_change() == second.upto


def test_changes_come_in_pages_without_gaps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page never ends within a change."""
    for batch in range(7):
        carry(store, *(entry(sighting(0, name=f"{batch}-{i}.example.org")) for i in range(3)))
    monkeypatch.setattr("wehr.ledger.store._CHANGES", 8)
    upto, found = 0, []
    while (page := store.changes(upto)).servers:
        found += [key.name for key, _ in page.servers]
        upto = page.upto

    assert len(found) == len(set(found)) == 21


def test_load_states_reads_all_pages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every server comes once, however many there are."""
    carry(store, *(entry(sighting(0, name=f"{i}.example.org")) for i in range(20)))
    monkeypatch.setattr("wehr.ledger.store._CHANGES", 7)

    names = [key.name for key, _ in store.load_states()]

    assert sorted(names) == sorted(f"{i}.example.org" for i in range(20))


def test_states_can_be_merged_in_without_a_journal(store: Store) -> None:
    """What is known of a server is joined with what comes, and a new one is added."""
    one = observe(None, sighting(0), False)
    two = observe(None, sighting(5, NEW), True)
    key = key_of(sighting(0))

    assert store.merge_states([(key, one)]) == 1
    assert store.merge_states([(key, two)]) == 0

    assert dict(store.load_states()) == {key: merge(one, two)}


def test_pauses_are_kept_and_told(store: Store, opener: Opener) -> None:
    """A pause made on one node is read on another, with its event."""
    pause = Pause("p1", "default", START, 10, START, by="operator")
    before = store.changes(0).rules
    store.change_pauses(lambda old: request(old, pause, START), Event(START, "pause", actor="operator"))

    assert opener().pauses() == (pause,)
    assert store.changes(0).rules > before
    assert store.events()[0].actor == "operator"


def test_a_refused_pause_leaves_nothing(store: Store) -> None:
    """When the quota is used up neither the pause nor its event is written."""
    long = Pause("p1", "default", START, 365, START)

    with pytest.raises(QuotaExceeded):
        store.change_pauses(lambda old: request(old, long, START), Event(START, "pause"))

    assert store.pauses() == ()
    assert store.events() == []


def test_exemptions_are_kept_and_can_be_ended(store: Store, opener: Opener) -> None:
    """Putting one of the same id takes the other's place."""
    since = datetime(2026, 1, 1, tzinfo=UTC)
    first = Exemption(since, "known partner", server="mail.example.org")
    ended = Exemption(
        since, "known partner", until=datetime(2026, 2, 1, tzinfo=UTC), server="mail.example.org"
    )
    store.put_exemption("e1", first, Event(START, "exemption"))
    store.put_exemption("e1", ended, Event(START, "exemption-ended"))

    assert opener().exemptions() == {"e1": ended}


def test_what_comes_in_late_stands_where_it_happened(store: Store) -> None:
    """By time, page by page, none twice and none left out; of one moment, the last written first."""
    for number, day in enumerate((3, 1, 2, 2, 0, 2)):
        event = Event(at(day), "test", ref="r", name=str(number))
        store.add_event(event)
    names: list[str] = []
    before = None
    while page := store.events(ref="r", before=before, limit=2):
        names += [event.name for event in page]
        before = page[-1].id
    assert names == ["0", "5", "3", "2", "1", "4"]
    assert [event.name for event in store.events()] == names


def test_messages_that_come_in_late_stand_where_they_happened(store: Store) -> None:
    """Those of a node that could not reach the store for a day."""
    carry(store, entry(sighting(2)), entry(sighting(3)))
    carry(store, entry(sighting(1)), node="mx2")
    ref = store.servers()[0].ref
    first = store.history(ref, limit=2)
    assert [row.at for row in first] == [at(3), at(2)]
    assert [row.at for row in store.history(ref, before=first[-1].id)] == [at(1)]


@pytest.mark.parametrize("damage", [b"{", b'{"since":1}', b'{"since":"2026-01-01T00:00:00Z","reason":""}'])
def test_an_exemption_that_cannot_be_read_is_named_with_the_remedy(store: Store, damage: bytes) -> None:
    """Whoever asks hears which one it is; the check goes on and names it, too."""
    exemption = Exemption(datetime.fromtimestamp(START, UTC), "known partner", server="mail.example.org")
    store.put_exemption("e1", exemption, Event(START, "exemption-added"))
    with store.writing() as connection:
        connection.execute(exemptions.update().values(value=damage))
    with pytest.raises(RuleDamaged, match=r"exemption e1 .*cannot be read.*wehr store restore"):
        store.exemptions()
    assert any(line.startswith("exemption e1: ") for line in store.check())


@pytest.mark.parametrize("damage", [b"", b'{"id":"p1"}'])
def test_a_pause_that_cannot_be_read_is_named_and_not_written_over(store: Store, damage: bytes) -> None:
    """Nor is a new one counted against a quota that nobody knows."""
    pause = Pause("p1", "default", START, 10, START)
    store.change_pauses(lambda old: (*old, pause), Event(START, "pause-added"))
    with store.writing() as connection:
        connection.execute(pauses.update().values(value=damage))
    with pytest.raises(RuleDamaged, match="pause p1"):
        store.change_pauses(lambda old: (), Event(START, "pause-cancelled"))
    assert any(line.startswith("pause p1: ") for line in store.check())


def test_an_event_that_cannot_be_read_is_damage_of_the_store(store: Store) -> None:
    """It is told in this room's words, with the store's name."""
    store.add_event(Event(START, "test"))
    with store.writing() as connection:
        connection.execute(events.update().values(detail="{"))
    with pytest.raises(StoreUnreadable, match="restore a backup"):
        store.events()


def test_the_secret_is_shared_by_all_who_open_it(store: Store, opener: Opener) -> None:
    """References and windows are the same on every node."""
    other = opener()

    assert store.secret == other.secret
    assert len(store.secret) == 32


def test_two_may_write_at_once(store: Store, opener: Opener) -> None:
    """Nodes that carry at the same time wait for each other, and nothing is lost."""
    from concurrent.futures import ThreadPoolExecutor

    stores = [store, opener(), opener()]

    def work(number: int) -> None:
        for day in range(10):
            carry(stores[number], entry(sighting(day, name=f"{number}.example.org")), node=f"mx{number}")

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))

    assert store.count()["sightings"] == 30
    assert store.last_change() == 30


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE servers; --", "näme\u2028", "%s %(x)s :y", "\x01\x7f", "x" * 500]
)
def test_hostile_names_are_plain_text(store: Store, text: str) -> None:
    """What a stranger stamped comes back as it was, and does nothing else."""
    carry(store, entry(sighting(0, name=text)))

    (row,) = store.servers()

    assert row.key.name == text
    assert next(iter(store.load_states()))[0].name == text
