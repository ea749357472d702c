"""A store that stays away: the journal is bounded, sums stay, and only the history of messages goes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from ledger_stories import NEW, START, entry, sighting

from wehr.ledger.carrier import Carrier
from wehr.ledger.condense import journal_bytes
from wehr.ledger.errors import StoreAway
from wehr.ledger.journal import Entry, Journal
from wehr.ledger.memory import Ledger
from wehr.ledger.store import Store

MOST = 30_000


class Gone:
    """A store that can be taken away."""

    def __init__(self, opener: Callable[[], Store]) -> None:
        self.away = False
        self._opener = opener

    def open(self) -> Store:
        """The store, if it is there."""
        if self.away:
            raise StoreAway("store: gone")
        return self._opener()


def story(count: int) -> list[Entry]:
    """Messages of seven servers over weeks, some of which are patched in the middle."""
    return [
        entry(
            sighting(
                i / 20, NEW if i > count / 2 and i % 7 < 3 else (15, 1, 2507, 6), name=f"{i % 7}.example.org"
            ),
            compliant=i > count / 2 and i % 7 < 3,
            queue_id=f"Q{i}",
        )
        for i in range(count)
    ]


@pytest.fixture(params=[None, 3, 40])
def crash_at(request: pytest.FixtureRequest) -> int | None:
    """After how many batches carrying is interrupted and begun anew."""
    found: int | None = request.param
    return found


def test_a_bounded_journal_keeps_states_and_sums(
    tmp_path: Path, opener: Callable[[], Store], crash_at: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the store comes back it knows every state and every count, and how many messages it does not."""
    monkeypatch.setattr("wehr.ledger.carrier.BATCH", 5)
    gone, ledger, entries = Gone(opener), Ledger(), story(600)
    with Journal(tmp_path / "j", START, segment_bytes=4000) as journal:
        carrier = Carrier(gone.open, journal.folder, "mx1", lambda: journal.segment, MOST)
        for i, one in enumerate(entries):
            ledger.observe(one.key, one.sighting, one.compliant)
            journal.append(one)
            if i == 30:
                carrier.step(START)
                gone.away = True
                carrier.close()
            if i > 30 and i % 10 == 0:
                assert carrier.step(START).away
                assert journal_bytes(journal.folder) < MOST + 8000
        assert carrier.condensed > 100
        gone.away = False
        fresh = Carrier(gone.open, journal.folder, "mx1", lambda: journal.segment, MOST)
        for _ in range(crash_at or 0):
            fresh.carry_once(START)
        again = Carrier(gone.open, journal.folder, "mx1", lambda: journal.segment, MOST)
        again.step(START)

    store = opener()
    assert dict(store.load_states()) == dict(ledger)
    assert sum(tally.messages for tally in store.tallies()) == len(entries)
    lost = sum(int(event.detail["messages"] or 0) for event in store.events() if event.kind == "history-lost")
    assert lost == carrier.condensed
    assert store.count()["sightings"] == len(entries) - lost
    assert list((tmp_path / "j").glob("*.digest")) == []
    assert list(store.check()) == []


def test_a_store_that_goes_again_in_the_middle_of_catching_up(
    tmp_path: Path, opener: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second absence while an old digest waits loses and repeats nothing."""
    monkeypatch.setattr("wehr.ledger.carrier.BATCH", 5)
    entries = story(500)
    for cut in range(0, 60, 4):
        folder, node = tmp_path / str(cut), f"mx{cut}"
        gone = Gone(opener)
        gone.away = True
        with Journal(folder, START, segment_bytes=4000) as journal:
            carrier = Carrier(gone.open, folder, node, partial(getattr, journal, "segment"), MOST)
            for one in entries[:250]:
                journal.append(one)
                carrier.step(START)
            gone.away = False
            for _ in range(cut):
                carrier.carry_once(START)
            gone.away = True
            carrier.close()
            for one in entries[250:]:
                journal.append(one)
                carrier.step(START)
            gone.away = False
            carrier.step(START)

        assert carrier.carried + carrier.condensed == len(entries)
    store = opener()
    assert sum(tally.messages for tally in store.tallies()) == 15 * len(entries)
    assert list(store.check()) == []


def test_within_its_bound_nothing_is_condensed(tmp_path: Path, opener: Callable[[], Store]) -> None:
    """A short absence loses no history."""
    gone = Gone(opener)
    gone.away = True
    with Journal(tmp_path / "j", START, segment_bytes=4000) as journal:
        carrier = Carrier(gone.open, journal.folder, "mx1", lambda: journal.segment)
        for one in story(100):
            journal.append(one)
        carrier.step(START)
        gone.away = False
        carrier.step(START)

    assert carrier.condensed == 0
    assert opener().count()["sightings"] == 100


def test_a_damaged_digest_is_kept_aside(tmp_path: Path, opener: Callable[[], Store]) -> None:
    """It stops nothing: what comes after it is carried in."""
    gone = Gone(opener)
    gone.away = True
    with Journal(tmp_path / "j", START, segment_bytes=4000) as journal:
        carrier = Carrier(gone.open, journal.folder, "mx1", lambda: journal.segment, MOST)
        for one in story(200):
            journal.append(one)
        carrier.step(START)
        digest = min(journal.folder.glob("*.digest"))
        digest.write_bytes(digest.read_bytes()[:-1])
        gone.away = False
        carrier.step(START)

    assert digest.with_suffix(".damaged").exists()
    assert opener().history(opener().servers()[0].ref, limit=1)[0].queue_id in {"Q199", "Q198", "Q197"}
