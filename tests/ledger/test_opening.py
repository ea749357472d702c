"""Opening a SQLite store: private, never overwriting what it cannot read."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from ledger_stories import START, entry, sighting

from wehr.ledger.errors import LedgerError, StoreAway, StoreNewer, StoreUnreadable
from wehr.ledger.journal import Position
from wehr.ledger.opening import open_engine
from wehr.ledger.schema import REVISION, metadata
from wehr.ledger.store import open_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is to be."""
    return tmp_path / "state" / "wehr.sqlite"


def url(path: Path) -> str:
    """The URL of a file."""
    return f"sqlite:///{path}"


def test_file_and_folder_are_private(path: Path) -> None:
    """Nobody but the owner reads what is remembered, in whatever file SQLite keeps it."""
    with open_store(url(path)) as store:
        store.carry("mx1", Position(), [entry(sighting(0))], Position(1, 1), START)

        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


def test_a_second_opening_finds_what_the_first_left(path: Path) -> None:
    """Opening changes nothing that is there."""
    with open_store(url(path)) as store:
        store.carry("mx1", Position(), [entry(sighting(0))], Position(1, 1), START)
        secret = store.secret
    with open_store(url(path)) as store:
        assert store.secret == secret
        assert store.count()["servers"] == 1


def test_a_store_that_is_not_there_is_made_only_on_request(path: Path) -> None:
    """A command that only reads makes no file."""
    with pytest.raises(StoreUnreadable, match=r"wehr\.sqlite: there is no store"):
        open_store(url(path), create=False)

    assert not path.exists()


@pytest.mark.parametrize(
    "content", [b"this is a text file\n" * 100, b"\x00" * 4096, b"SQLite format 3\x00" + b"\xff" * 9000]
)
def test_an_unreadable_file_is_reported_and_not_touched(path: Path, content: bytes) -> None:
    """What is no database stays as it is, byte for byte."""
    path.parent.mkdir()
    path.write_bytes(content)

    with pytest.raises(StoreUnreadable, match=r"wehr\.sqlite: .+; it has not been touched"):
        open_store(url(path))

    assert path.read_bytes() == content
    assert [file.name for file in path.parent.iterdir()] == ["wehr.sqlite"]


def test_another_programs_database_is_not_touched(path: Path) -> None:
    """A sound database with other tables is refused."""
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE bookmarks (id INTEGER)")
    other.commit()
    other.close()
    content = path.read_bytes()

    with pytest.raises(StoreUnreadable, match="another program's"):
        open_store(url(path))

    assert path.read_bytes() == content


def test_a_newer_store_is_not_touched(path: Path) -> None:
    """A program that is older than the tables says so and leaves them."""
    open_store(url(path)).close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()

    with pytest.raises(StoreNewer, match="newer Wehr"):
        open_store(url(path))


def test_damage_inside_is_told_apart_from_absence(path: Path) -> None:
    """A damaged page is reported as damage, with the remedy, not as a store to be waited for."""
    with open_store(url(path)) as store:
        many = [entry(sighting(0, name=f"{i}.example.org")) for i in range(2000)]
        store.carry("mx1", Position(), many, Position(1, 1), START)
    content = bytearray(path.read_bytes())
    content[4096 * 4 :] = b"\xaa" * (len(content) - 4096 * 4)
    path.write_bytes(content)

    with pytest.raises(StoreUnreadable, match="restore a backup"), open_store(url(path)) as store:
        list(store.load_states())

    assert path.read_bytes() == content


def test_a_damaged_state_is_damage(path: Path) -> None:
    """A row whose state cannot be read is reported, not skipped in silence."""
    with open_store(url(path)) as store:
        store.carry("mx1", Position(), [entry(sighting(0))], Position(1, 1), START)
        other = sqlite3.connect(path)
        other.execute("UPDATE servers SET state = x'00ff'")
        other.commit()
        other.close()

        with pytest.raises(StoreUnreadable, match="cannot be read"):
            list(store.load_states())


def test_a_locked_store_is_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that another program holds is to be tried again."""
    monkeypatch.setattr("wehr.ledger.opening._BUSY_MS", 10)
    with open_store(url(path)) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreAway, match="locked"):
            store.carry("mx1", Position(), [entry(sighting(0))], Position(1, 1), START)
        other.execute("ROLLBACK")
        other.close()

        store.carry("mx1", Position(), [entry(sighting(0))], Position(1, 1), START)


def test_reading_goes_on_while_another_writes(path: Path) -> None:
    """A writer in the middle of its transaction holds up nobody who reads."""
    with open_store(url(path)) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM servers")

        assert store.servers() == []
        assert store.changes(0).servers == ()
        other.close()


def test_who_opens_a_ready_store_waits_for_no_writer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report can be made while a node carries in what it has seen, however long that takes."""
    monkeypatch.setattr("wehr.ledger.opening._BUSY_MS", 10)
    open_store(url(path)).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with open_store(url(path), create=False) as store:
            assert store.servers() == []


def test_a_place_where_no_file_can_be_is_named(tmp_path: Path) -> None:
    """The message names the file, what the system says, and the remedy."""
    (tmp_path / "state").write_text("a file, not a folder")

    with pytest.raises(StoreUnreadable, match=r"state/wehr\.sqlite: cannot be made: .+; mend"):
        open_store(url(tmp_path / "state" / "wehr.sqlite"))


def test_a_folder_in_the_files_place_is_named(path: Path) -> None:
    """What cannot be opened is reported in one line."""
    path.mkdir(parents=True)

    with pytest.raises(StoreUnreadable, match=r"wehr\.sqlite: .+; mend its permissions"):
        open_store(url(path))


@pytest.mark.parametrize("text", ["nonsense", "sqlite://", "sqlite:///:memory:"])
def test_a_url_that_names_no_store_is_an_error(text: str) -> None:
    """The message says what a URL looks like, or what is wrong."""
    with pytest.raises(LedgerError, match=r"URL|file"):
        open_store(text)


def test_the_migrations_give_the_tables_that_the_program_uses(path: Path) -> None:
    """Schema and migrations say the same."""
    engine = open_engine(url(path))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, metadata)
        heads = context.get_current_heads()
    engine.dispose()

    assert differences == []
    assert heads == (REVISION,)


def test_the_newest_migration_is_the_one_the_program_names() -> None:
    """Whoever adds a migration must say so in the schema."""
    script = ScriptDirectory(str(Path(__file__).parents[2] / "src/wehr/ledger/migrations"))

    assert script.get_heads() == [REVISION]
