"""The journal: what is appended is read again, whatever a crash or a bad disk left of it."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_stories import START, entry, sighting

from wehr.evidence.types import Confidence, Sighting
from wehr.ledger.errors import JournalBusy
from wehr.ledger.journal import Entry, Journal, Position, make_frame, read_batch, segment_path, segments
from wehr.policy.types import Action, Decision, Reason

ENTRIES = [entry(sighting(day), queue_id=f"Q{day}") for day in range(5)]


def read_all(folder: Path, active: int | None = None) -> tuple[list[Entry], int]:
    """All entries, and the bytes that were passed over as damaged."""
    position, damaged = Position(), 0
    found: list[Entry] = []
    while True:
        batch = read_batch(folder, position, limit=2, active=active)
        found += batch.entries
        damaged += batch.damaged
        if batch.end == position:
            return found, damaged
        position = batch.end


def written(folder: Path) -> Path:
    """A segment that holds the entries."""
    with Journal(folder, START) as journal:
        for one in ENTRIES:
            journal.append(one)
        return segment_path(folder, journal.segment)


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    """Entries come back as they were, in order, in batches."""
    written(tmp_path / "a")

    assert read_all(tmp_path / "a") == (ENTRIES, 0)


@given(
    line=st.text(st.characters(codec="utf-8"), max_size=100),
    build=st.none() | st.lists(st.integers(0, 10**9), min_size=2, max_size=6).map(tuple),
    compliant=st.none() | st.booleans(),
    until=st.none() | st.floats(0, 1e10),
)
def test_an_entry_survives_whatever_it_holds(
    line: str,
    build: tuple[int, ...] | None,
    compliant: bool | None,
    until: float | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Stamped text, odd builds and absent values are the same after the journal."""
    folder = tmp_path_factory.mktemp("journal")
    one = Entry(
        ENTRIES[0].key,
        Sighting(
            START,
            line,
            "192.0.2.0/24",
            "exchange",
            build,
            ENTRIES[0].sighting.relation,
            Confidence.NONE,
            line=line,
        ),
        compliant,
        Decision(Action.BLOCK, Reason.BLOCKED, True, 8, 0, 60, until, "urgent"),
    )
    with Journal(folder, START) as journal:
        journal.append(one)

    assert read_all(folder) == ([one], 0)


def test_a_segment_torn_at_any_byte_loses_only_what_was_torn(tmp_path: Path) -> None:
    """Whole frames before the tear are read, and the journal goes on in the next segment."""
    path = written(tmp_path)
    whole = path.read_bytes()
    ends = [8]
    while ends[-1] < len(whole):
        ends.append(ends[-1] + 8 + int.from_bytes(whole[ends[-1] : ends[-1] + 4], "little"))
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        complete = sum(end <= cut for end in ends[1:])

        found, damaged = read_all(tmp_path)

        assert found == ENTRIES[:complete]
        assert damaged == (cut - ends[complete] if cut > 8 else 0)


def test_a_flipped_bit_never_gives_a_wrong_entry(tmp_path: Path) -> None:
    """Damage in the middle is passed over and counted; what was before it is read."""
    path = written(tmp_path)
    whole = path.read_bytes()
    for place in range(8, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])

        found, damaged = read_all(tmp_path)

        assert found == ENTRIES[: len(found)]
        assert len(found) < len(ENTRIES)
        assert damaged > 0


def test_the_segment_being_written_is_waited_for(tmp_path: Path) -> None:
    """An unfinished frame at the end of the active segment is no damage."""
    path = written(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    active = segments(tmp_path)[-1]

    found, damaged = read_all(tmp_path, active)
    assert (found, damaged) == (ENTRIES[:-1], 0)
    path.write_bytes(whole)
    assert read_all(tmp_path, active) == (ENTRIES, 0)


def test_a_new_process_begins_a_new_segment(tmp_path: Path) -> None:
    """Nothing is ever appended behind a tear."""
    path = written(tmp_path)
    with path.open("ab") as file:
        file.write(b"\x07\x00")
    with Journal(tmp_path, START) as journal:
        journal.append(ENTRIES[0])

    found, damaged = read_all(tmp_path)

    assert found == [*ENTRIES, ENTRIES[0]]
    assert damaged == 2


def test_segments_are_bounded(tmp_path: Path) -> None:
    """A full segment is followed by the next, and reading crosses over."""
    with Journal(tmp_path, START, segment_bytes=600) as journal:
        for one in ENTRIES * 4:
            journal.append(one)

    assert len(segments(tmp_path)) > 3
    assert all(segment_path(tmp_path, it).stat().st_size < 1500 for it in segments(tmp_path))
    assert read_all(tmp_path) == (ENTRIES * 4, 0)


def test_segment_numbers_rise_even_if_the_folder_was_lost(tmp_path: Path) -> None:
    """A position that the store remembers never points behind entries that are yet to be written."""
    with Journal(tmp_path / "a", START) as journal:
        first = journal.segment
    with Journal(tmp_path / "b", START + 60) as journal:
        assert journal.segment > first


def test_one_process_writes_at_a_time(tmp_path: Path) -> None:
    """A second writer is refused while the first lives, and let in afterwards."""
    with Journal(tmp_path, START), pytest.raises(JournalBusy, match=str(tmp_path)):
        Journal(tmp_path, START)

    Journal(tmp_path, START).close()


def test_a_full_disk_leaves_no_half_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that could not be written whole is an error, and the next one is read."""
    real = os.write
    with Journal(tmp_path, START) as journal:
        journal.append(ENTRIES[0])
        monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:20]))
        with pytest.raises(OSError, match="full"):
            journal.append(ENTRIES[1])
        monkeypatch.setattr(os, "write", real)
        journal.append(ENTRIES[2])

    assert read_all(tmp_path) == ([ENTRIES[0], ENTRIES[2]], 0)


def test_a_segment_that_cannot_be_begun_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk the old segment stays in use, and a later entry finds room again."""
    real = os.write
    with Journal(tmp_path, START, segment_bytes=1) as journal:
        journal.append(ENTRIES[0])
        monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:3]))
        with pytest.raises(OSError, match="full"):
            journal.append(ENTRIES[1])
        monkeypatch.setattr(os, "write", real)
        journal.append(ENTRIES[2])

    assert read_all(tmp_path) == ([ENTRIES[0], ENTRIES[2]], 0)


def test_an_entry_of_a_newer_program_is_passed_over(tmp_path: Path) -> None:
    """A sound frame that cannot be understood is counted, and what follows is read."""
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:8] + make_frame(b"\x81\xa1x\x01") + path.read_bytes()[8:])

    found, damaged = read_all(tmp_path)

    assert found == ENTRIES
    assert damaged == 12


def test_the_journal_is_private(tmp_path: Path) -> None:
    """Nobody but the owner reads what servers sent."""
    path = written(tmp_path / "journal")

    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_endless_entry_is_refused(tmp_path: Path) -> None:
    """A frame is bounded; nothing of a larger one is written."""
    huge = entry(sighting(0, name="x" * 100_000))
    with Journal(tmp_path, START) as journal, pytest.raises(ValueError, match="bytes"):
        journal.append(huge)

    assert read_all(tmp_path) == ([], 0)


def test_a_foreign_file_is_passed_over(tmp_path: Path) -> None:
    """A segment that is not ours is damage, not a crash."""
    written(tmp_path)
    segment_path(tmp_path, 7).write_bytes(b"hello, this is no journal")

    found, damaged = read_all(tmp_path)

    assert found == ENTRIES
    assert damaged > 0
