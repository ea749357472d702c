"""What pages ask of many servers, or of many messages, at once."""

from ledger_stories import START, at, entry, key_of, sighting
from msgspec.structs import replace

from wehr.ledger import open_store
from wehr.ledger.condense import Digest, Outcome
from wehr.ledger.journal import Position
from wehr.ledger.memory import reference
from wehr.ledger.selecting import days_of, hours_of
from wehr.ledger.state import DAY


def test_messages_are_counted_by_the_hour_they_came_in(store_url: str) -> None:
    """From the first to the last second of each; of one server, and since a moment."""
    seconds = (-3601, -1, 0, 1, 3599.75, 3600)
    entries = [entry(sighting(second / 86_400)) for second in seconds]
    others = [entry(sighting(0, name="other.example.org"))]
    with open_store(store_url) as store:
        store.carry("mx1", Position(), [*entries, *others], Position(1, 1), at(1))
        ref = reference(key_of(sighting(0)), store.secret)
        found = hours_of(store, ref, START - 3600)

    hour = START // 3600
    assert found == [(hour + n, "accept", False, count) for n, count in ((-1, 1), (0, 3), (1, 1))]


def test_messages_of_all_servers_are_counted_by_day(store_url: str) -> None:
    """By outcome, from a day on, those of some tenants or all; what a digest holds counts as well."""
    first = int(START // DAY)
    ours = [entry(sighting(day, name=f"{name}.example.org")) for day in (0, 1, 1.1) for name in "ab"]
    theirs = [replace(it, key=replace(it.key, tenant="city")) for it in ours[:3]]
    outcomes = [
        (Outcome(first + 1, theirs[0].key, action, "windows", enforced), count)
        for action, enforced, count in (("block", True, 2), ("block", False, 3), ("accept", False, 5))
    ]
    with open_store(store_url) as store:
        store.carry("mx1", Position(), ours, Position(1, 1), at(2))
        store.carry("mx1", Position(1, 1), theirs, Position(1, 2), at(2))
        store.carry_digest("mx1", Position(1, 2), Digest(10, at(1), [], outcomes), Position(1, 3), at(2))

        assert days_of(store, first, ("default",)) == [
            (first, "accept", False, 2),
            (first + 1, "accept", False, 4),
        ]
        assert days_of(store, first + 1, ("city",)) == [
            (first + 1, "accept", False, 6),
            (first + 1, "block", False, 3),
            (first + 1, "block", True, 2),
        ]
        assert days_of(store, first) == [
            (first, "accept", False, 4),
            (first + 1, "accept", False, 10),
            (first + 1, "block", False, 3),
            (first + 1, "block", True, 2),
        ]
        assert days_of(store, first, ()) == []
