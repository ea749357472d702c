"""Refusals before the headers: in the history and the sums, and in nobody's state."""

from collections.abc import Callable
from pathlib import Path

import msgspec
from ledger_stories import OLD, START, at, entry, key_of, seen, sighting

from wehr.evidence.types import Confidence, Relation
from wehr.ledger.carrier import Carrier, replay
from wehr.ledger.condense import condense_oldest, next_digest, read_digest
from wehr.ledger.journal import Entry, Journal
from wehr.ledger.memory import Ledger, reference
from wehr.ledger.store import Store

KEY = key_of(sighting(0))
STATE = seen((0.0, OLD, False), (1.0, OLD, False))


def story() -> list[Entry]:
    """Two messages with headers; on eight days after them refusals without."""
    shown = [entry(sighting(float(day)), queue_id=f"Q{day}") for day in range(2)]
    last = sighting(0)
    early = [
        msgspec.structs.replace(
            shown[0],
            sighting=msgspec.structs.replace(
                last, at=at(2.0 + day), relation=Relation.NONE, confidence=Confidence.NONE, line=""
            ),
            compliant=None,
            queue_id=f"E{day}",
            door="policy_service",
        )
        for day in range(8)
    ]
    return [*early[:4], *shown, *early[4:]]  # workers' journals come in any order


def written(folder: Path) -> Journal:
    """A journal that holds the story."""
    journal = Journal(folder, START)
    for one in story():
        journal.append(one)
    return journal


def test_history_and_sums_hold_them_and_the_state_does_not(
    tmp_path: Path, opener: Callable[[], Store]
) -> None:
    """The server's row, its state and its latest evidence are of the messages that had headers."""
    with written(tmp_path) as journal:
        carrier = Carrier(opener, tmp_path, "mx1", lambda: journal.segment)
        carrier.step(at(20))
        assert carrier.store is not None
        store = carrier.store
        ref = reference(KEY, store.secret)
        row = store.server(ref)

        assert row is not None
        assert row.state == STATE
        assert (row.seen_at, row.line) == (at(1.0), sighting(0).line)
        history = store.history(ref)
        assert sum(it.relation == "none" for it in history) == 8
        assert {it.door for it in history if it.relation == "none"} == {"policy_service"}
        assert sum(tally.messages for tally in store.tallies(ref=ref)) == 10
        assert list(store.check()) == []
        carrier.close()


def test_without_anything_else_of_a_server_there_is_no_row(
    tmp_path: Path, opener: Callable[[], Store]
) -> None:
    """A batch of nothing but such refusals makes no server, and none is told of to other nodes."""
    with Journal(tmp_path, START) as journal:
        journal.append(story()[0])
        carrier = Carrier(opener, tmp_path, "mx1", lambda: journal.segment)
        learned = carrier.step(at(20))
        assert carrier.store is not None
        assert carrier.store.servers() == []
        assert learned.changes is None or not learned.changes.servers
        carrier.close()


def test_a_journal_replayed_or_condensed_keeps_them_out_of_the_state(tmp_path: Path) -> None:
    """At a start without the store, and when the store stays away; sums are kept."""
    ledger = Ledger()
    for _ in range(2):  # the two oldest segments are never condensed
        Journal(tmp_path, START).close()
    with written(tmp_path):
        assert replay(tmp_path, ledger) == 10
        assert ledger.get(KEY) == STATE

    assert condense_oldest(tmp_path, None) == 10
    span = next_digest(tmp_path, 0)
    assert span is not None
    digest = read_digest(tmp_path, span)
    assert digest is not None
    assert digest.servers() == [(KEY, STATE)]
    assert sum(count for _, count in digest.outcomes) == 10
