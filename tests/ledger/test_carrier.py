"""From the journal into the store: nothing lost, nothing twice, whatever happens in between."""

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from ledger_stories import NEW, START, at, entry, sighting

from wehr.ledger.carrier import Carrier, replay
from wehr.ledger.errors import StoreAway, StoreUnreadable
from wehr.ledger.journal import Journal, segment_path, segments
from wehr.ledger.memory import Ledger
from wehr.ledger.rows import Event
from wehr.ledger.store import Store
from wehr.policy.pauses import Pause, request

Opener = Callable[[], Store]


class Crash(BaseException):
    """The end of a process, at a place of the test's choosing."""


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A node's journal."""
    return Journal(tmp_path / "journal", START, segment_bytes=2000)


def carrier_of(journal: Journal, opener: Opener, node: str = "mx1") -> Carrier:
    """The carrier that belongs to a journal."""
    return Carrier(opener, journal.folder, node, lambda: journal.segment)


def queue_ids(store: Store) -> Counter[str]:
    """How often each message is in the store."""
    return Counter(
        row.queue_id for server in store.servers() for row in store.history(server.ref, limit=10_000)
    )


def test_entries_reach_the_store_and_their_segments_go(journal: Journal, opener: Opener) -> None:
    """A step carries all there is; only the segment in use stays."""
    for day in range(20):
        journal.append(entry(sighting(day), queue_id=f"Q{day}"))
    carrier = carrier_of(journal, opener)

    learned = carrier.step(at(20))

    assert (learned.carried, learned.away) == (20, "")
    assert queue_ids(opener()) == Counter(f"Q{day}" for day in range(20))
    assert len(segments(journal.folder)) <= 2
    assert carrier.step(at(20)).carried == 0


@pytest.mark.parametrize("seed", range(25))
def test_a_crash_between_any_two_steps_neither_loses_nor_repeats(
    seed: int, tmp_path: Path, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes die before, inside and after commits and clean-ups; in the end every entry is there once."""
    dice = random.Random(seed)  # noqa: S311
    appended: list[str] = []
    real_carry, real_unlink = Store.carry, Path.unlink

    def perhaps_crash() -> None:
        if dice.random() < 0.2:
            raise Crash

    def carry(self: Store, *args: object) -> None:
        perhaps_crash()
        real_carry(self, *args)  # type: ignore[arg-type]
        perhaps_crash()

    def unlink(self: Path, missing_ok: bool = False) -> None:
        perhaps_crash()
        real_unlink(self, missing_ok=missing_ok)
        perhaps_crash()

    def write_events(*args: object) -> None:
        perhaps_crash()  # in the middle of the transaction

    monkeypatch.setattr(Store, "carry", carry)
    monkeypatch.setattr(Path, "unlink", unlink)
    monkeypatch.setattr("wehr.ledger.carrier.BATCH", 3)
    with monkeypatch.context() as inside:
        inside.setattr("wehr.ledger.carrying.write_events", write_events)
        for life in range(12):
            with Journal(tmp_path / "journal", START + life, segment_bytes=1500) as journal:
                carrier = carrier_of(journal, opener)
                try:
                    for _ in range(dice.randrange(6)):
                        for _ in range(dice.randrange(5)):
                            queue_id = f"Q{len(appended)}"
                            journal.append(entry(sighting(len(appended) / 10), queue_id=queue_id))
                            appended.append(queue_id)
                        carrier.step(START)
                except Crash:
                    pass
    monkeypatch.setattr(Store, "carry", real_carry)
    monkeypatch.setattr(Path, "unlink", real_unlink)
    with Journal(tmp_path / "journal", START + 99) as journal:
        carrier_of(journal, opener).step(START)

    store = opener()
    assert queue_ids(store) == Counter(appended)
    assert sum(tally.messages for tally in store.tallies()) == len(appended)


_WORKER = """
import sys
from pathlib import Path
from ledger_stories import entry, sighting
from wehr.ledger.carrier import Carrier
from wehr.ledger.journal import Journal
from wehr.ledger.store import open_store

folder, url, life = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
journal = Journal(folder, 2_000_000_000 + int(life), segment_bytes=4000)
carrier = Carrier(lambda: open_store(url), folder, "mx1", lambda: journal.segment)
number = 0
while True:
    for _ in range(7):
        queue_id = f"{life}-{number}"
        journal.append(entry(sighting(number / 1000), queue_id=queue_id))
        sys.stdout.write(queue_id + "\\n")  # the answer to the client
        sys.stdout.flush()
        number += 1
    carrier.step(0.0)
"""


@pytest.mark.timeout(900)
def test_killed_processes_leave_exactly_what_was_answered(
    tmp_path: Path, store_url: str, opener: Opener
) -> None:
    """A worker is killed again and again under load; the store ends up with what its clients were told.

    At most the one entry that each life wrote last may be in the journal without its answer being out.
    """
    opener().close()
    folder = tmp_path / "journal"
    dice = random.Random(4)  # noqa: S311
    answered: list[str] = []
    paths = os.pathsep.join(path for path in sys.path if path)
    for life in range(int(os.environ.get("WEHR_TEST_KILLS", "13"))):
        command = [sys.executable, "-c", _WORKER, str(folder), store_url, str(life)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}
        ) as worker:
            assert worker.stdout is not None
            answered += [worker.stdout.readline().strip() for _ in range(dice.randrange(1, 400))]
            worker.send_signal(signal.SIGKILL)
            answered += worker.stdout.read().split()
    with Journal(folder, 3_000_000_000) as journal:
        carrier_of(journal, opener).step(0.0)

    carried = queue_ids(opener())
    assert set(carried.values()) == {1}
    missing, unanswered = set(answered) - set(carried), set(carried) - set(answered)
    assert not missing
    assert all(f"{one.split('-')[0]}-{int(one.split('-')[1]) + 1}" not in carried for one in unanswered)


def test_a_store_that_is_away_is_caught_up_with(journal: Journal, opener: Opener) -> None:
    """While it is away entries stay in the journal; a step says so and raises nothing."""
    away = True

    def sometimes() -> Store:
        if away:
            raise StoreAway("store: gone")
        return opener()

    carrier = carrier_of(journal, sometimes)
    journal.append(entry(sighting(0), queue_id="Q0"))
    assert carrier.step(START).away == "store: gone"
    assert carrier.failures == 1
    journal.append(entry(sighting(1), queue_id="Q1"))
    away = False

    assert carrier.step(START).carried == 2
    assert queue_ids(opener()) == Counter(["Q0", "Q1"])


def test_a_commit_whose_answer_was_lost_is_not_repeated(
    journal: Journal, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the store goes away just after the commit, the next step finds that all was carried."""
    real = Store.carry

    def carry(self: Store, *args: object) -> None:
        real(self, *args)  # type: ignore[arg-type]
        raise StoreAway("store: the connection was lost")

    journal.append(entry(sighting(0), queue_id="Q0"))
    carrier = carrier_of(journal, opener)
    with monkeypatch.context() as broken:
        broken.setattr(Store, "carry", carry)
        assert carrier.step(START).away
    carrier.step(START)

    assert queue_ids(opener()) == Counter(["Q0"])


def test_a_damaged_store_is_not_waited_for(journal: Journal, opener: Opener) -> None:
    """Damage is raised, for nobody can wait it out."""

    def damaged() -> Store:
        raise StoreUnreadable("store: malformed")

    with pytest.raises(StoreUnreadable):
        carrier_of(journal, damaged).step(START)


def test_a_damaged_segment_is_counted_and_kept_aside(journal: Journal, opener: Opener) -> None:
    """What can be read is carried, and the file with the damage is not thrown away."""
    for day in range(30):
        journal.append(entry(sighting(day), queue_id=f"Q{day}"))
    first = segment_path(journal.folder, segments(journal.folder)[0])
    content = first.read_bytes()
    first.write_bytes(content[:-5])
    carrier = carrier_of(journal, opener)

    carrier.step(START)

    assert carrier.damaged > 0
    assert carrier.carried == 29
    assert [path.name for path in journal.folder.glob("*.damaged")] == [first.with_suffix(".damaged").name]


def test_nodes_learn_from_each_other(tmp_path: Path, opener: Opener) -> None:
    """A detection and a cure seen by one node are known to the other after a step of each."""
    ledgers = [Ledger(), Ledger()]
    journals = [Journal(tmp_path / f"mx{i}", START) for i in range(2)]
    carriers = [carrier_of(journal, opener, f"mx{i}") for i, journal in enumerate(journals)]
    for carrier, ledger in zip(carriers, ledgers, strict=True):
        carrier.start(ledger, START)
    story = [entry(sighting(0)), entry(sighting(1, NEW), compliant=True)]
    for one in story:
        ledgers[0].observe(one.key, one.sighting, one.compliant)
        journals[0].append(one)

        carriers[0].step(START)
        carriers[1].apply(carriers[1].step(START), ledgers[1])

        assert ledgers[1].get(one.key) == ledgers[0].get(one.key)
        assert ledgers[1].standing(one.key, at(1)) == ledgers[0].standing(one.key, at(1))


def test_pauses_and_exemptions_come_once_and_again_when_changed(journal: Journal, opener: Opener) -> None:
    """A step brings them at the start and after a change, and is silent otherwise."""
    carrier = carrier_of(journal, opener)
    pause = Pause("p1", "default", START, 10, START)

    assert carrier.start(Ledger(), START).pauses == ()
    assert carrier.step(START).pauses is None
    opener().change_pauses(lambda old: request(old, pause, START), Event(START, "pause"))
    assert carrier.step(START).pauses == (pause,)
    assert carrier.step(START).pauses is None


def test_a_start_brings_back_all_that_was_known(tmp_path: Path, opener: Opener) -> None:
    """What an earlier process left in the journal is in the ledger after the start, with the rest."""
    before = Ledger()
    with Journal(tmp_path / "mx1", START) as journal:
        carrier = carrier_of(journal, opener)
        for day in range(10):
            one = entry(sighting(day, name=f"{day}.example.org"))
            before.observe(one.key, one.sighting, one.compliant)
            journal.append(one)
            if day == 5:
                carrier.step(START)
    with Journal(tmp_path / "mx1", START) as journal:
        ledger = Ledger()
        carrier_of(journal, opener).start(ledger, START)

    assert dict(ledger) == dict(before)


def test_a_journal_can_be_replayed_without_the_store(tmp_path: Path) -> None:
    """A node whose store is away at the start knows at least what its journal holds."""
    before, after = Ledger(), Ledger()
    with Journal(tmp_path, START, segment_bytes=1000) as journal:
        for day in range(10):
            one = entry(sighting(day))
            before.observe(one.key, one.sighting, one.compliant)
            journal.append(one)

    assert replay(tmp_path, after) == 10
    assert dict(after) == dict(before)
