"""What pages ask of many servers, or of many messages, at once."""

from ledger_stories import START, at, entry, key_of, sighting

from wehr.ledger import open_store
from wehr.ledger.journal import Position
from wehr.ledger.memory import reference
from wehr.ledger.selecting import hours_of


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
