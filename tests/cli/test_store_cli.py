"""``wehr store`` and ``wehr events``, over a played demonstration."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from postgres import Cluster

from wehr.cli import main
from wehr.ledger import open_store


def run(*arguments: str | Path, code: int = 0) -> Result:
    """Run a command that must end with a code; bad use is one line."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output + result.stderr
    assert code != 2 or result.stderr.count("\n") == 1, result.stderr
    return result


@pytest.fixture(name="played", scope="module")
def _played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state that a hundred days leave."""
    folder = tmp_path_factory.mktemp("demo") / "state"
    run("demo", "--seconds", "0", "--keep", folder)
    return folder


@pytest.fixture(name="state")
def _state(played: Path, tmp_path: Path) -> Path:
    """A copy of it of one's own."""
    folder = tmp_path / "state"
    folder.mkdir()
    run("store", "backup", folder / "wehr.sqlite", "--state", played)
    return folder


def content(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    from sqlalchemy import select

    from wehr.ledger.schema import metadata

    with open_store(url) as store, store._read() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in metadata.sorted_tables
        }


def test_a_played_store_is_sound(played: Path) -> None:
    """A hundred days of detections, cures, pauses and renames: history, events and states agree."""
    found = json.loads(run("store", "check", "--state", played, "--json").stdout)

    assert found["ok"] is True
    assert found["faults"] == []
    assert found["rows"]["events"] > 10


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("DELETE FROM events WHERE kind = 'cured'", "its last event says out of compliance"),
        ("UPDATE servers SET stage = stage - 2 WHERE stage > 4", "its last event says stage 8"),
        ("DELETE FROM events WHERE kind = 'pause-added'", "no event tells of it"),
        ("DELETE FROM sightings WHERE build = '15.2.2562.53'", ""),
        ("UPDATE sightings SET build = '15.2.9999.1' WHERE build = '15.2.2562.53'", "does not know all"),
        ("UPDATE sightings SET at = at + 864000, compliant = 0 WHERE build = '15.2.2562.53'", "not know all"),
    ],
)
def test_what_was_altered_by_hand_is_found(state: Path, damage: str, words: str) -> None:
    """Each alteration that the rest does not bear out is named; what is only gone is no fault."""
    with sqlite3.connect(state / "wehr.sqlite") as other:
        other.execute(damage)
    other.close()

    result = run("store", "check", "--state", state, code=1 if words else 0)

    assert words in result.stdout


def test_a_ledger_moves_to_postgresql_and_back_without_loss(
    state: Path, postgres: Cluster, tmp_path: Path
) -> None:
    """Every row of every table is the same at the end, the fleet's secret too; new rows can be added."""
    url = postgres.create("copied")
    try:
        there = run("store", "copy", state / "wehr.sqlite", url)
        run("store", "copy", url, tmp_path / "back.sqlite")

        before = content(f"sqlite:///{state / 'wehr.sqlite'}")
        assert content(url) == before
        assert content(f"sqlite:///{tmp_path / 'back.sqlite'}") == before
        assert len(before["sightings"]) > 1000
        assert f"{len(before['sightings'])} sightings" in there.stdout
        from wehr.ledger import Event

        with open_store(url) as store:
            store.add_event(Event(1.0, "test"))
            assert store.events(kinds=("test",))[0].id == max(row[0] for row in before["events"]) + 1

        twice = run("store", "copy", state / "wehr.sqlite", url, code=2)
        assert "holds a ledger already" in twice.stderr
    finally:
        postgres.drop("copied")


def test_postgresql_is_backed_up_into_a_file_and_restored(
    state: Path, postgres: Cluster, tmp_path: Path
) -> None:
    """The same commands serve both engines; the configuration names the store."""
    url = postgres.create("restored")
    config = tmp_path / "wehr.toml"
    config.write_text(f'[store]\nurl = "{url}"\n')
    here = ("--config", config, "--state", tmp_path / "other")
    try:
        run("store", "migrate", *here)
        run("store", "restore", state / "wehr.sqlite", *here)
        run("store", "backup", tmp_path / "backup.sqlite", *here)
        held = run("store", "restore", tmp_path / "backup.sqlite", *here, code=2)
        run("store", "restore", tmp_path / "backup.sqlite", *here, "--force")

        assert "--force" in held.stderr
        assert content(url) == content(f"sqlite:///{state / 'wehr.sqlite'}")
        assert json.loads(run("store", "check", *here, "--json").stdout)["ok"] is True
        assert json.loads(run("report", *here, "--json").stdout)
    finally:
        postgres.drop("restored")


def test_a_restore_overwrites_nothing_unless_told_to(state: Path, tmp_path: Path) -> None:
    """A store with something in it is left alone; with --force it is as the backup was."""
    backup = tmp_path / "backup.sqlite"
    run("store", "backup", backup, "--state", state)
    before = content(f"sqlite:///{backup}")
    with sqlite3.connect(state / "wehr.sqlite") as other:
        other.execute("DELETE FROM events")
    other.close()

    refused = run("store", "restore", backup, "--state", state, code=2)
    assert "holds a ledger already" in refused.stderr
    assert content(f"sqlite:///{state / 'wehr.sqlite'}")["events"] == []
    run("store", "restore", backup, "--state", state, "--force")

    assert content(f"sqlite:///{state / 'wehr.sqlite'}") == before


def test_a_damaged_store_is_moved_aside_by_a_forced_restore(state: Path, tmp_path: Path) -> None:
    """What could not be read is kept beside the restored one."""
    run("store", "backup", tmp_path / "backup.sqlite", "--state", state)
    (state / "wehr.sqlite").write_bytes(b"no database any more" * 500)

    run("store", "restore", tmp_path / "backup.sqlite", "--state", state, code=2)
    run("store", "restore", tmp_path / "backup.sqlite", "--state", state, "--force")

    assert (state / "wehr.sqlite.damaged").read_bytes() == b"no database any more" * 500
    run("store", "check", "--state", state)


def test_a_store_of_a_newer_wehr_is_moved_aside_by_a_forced_restore(state: Path, tmp_path: Path) -> None:
    """So a new version can be taken back with the backup that was made before it."""
    run("store", "backup", tmp_path / "backup.sqlite", "--state", state)
    with closing(sqlite3.connect(state / "wehr.sqlite")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    run("store", "check", "--state", state, code=2)
    run("store", "restore", tmp_path / "backup.sqlite", "--state", state, "--force")

    assert (state / "wehr.sqlite.newer").is_file()
    run("store", "check", "--state", state)


def test_bad_use_is_one_line(tmp_path: Path) -> None:
    """Exit code 2, and nothing is made."""
    for arguments in (
        ("store", "check"),
        ("store", "backup", tmp_path / "b.sqlite"),
        ("store", "restore", tmp_path / "nothing.sqlite"),
        ("store", "copy", tmp_path / "nothing.sqlite", tmp_path / "t.sqlite"),
        ("store", "copy", "mysql://h/d", tmp_path / "t.sqlite"),
        ("events",),
    ):
        place = () if "copy" in arguments else ("--state", tmp_path)
        run(*arguments, *place, code=2)

    assert list(tmp_path.iterdir()) == []


def test_events_are_listed_by_what_is_asked_for(played: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By kind, server, person and time; newest first; JSON is one document a line."""

    def events(*filters: str) -> list[dict[str, object]]:
        lines = run("events", "--state", played, "--json", *filters).stdout.splitlines()
        return [json.loads(line) for line in lines]

    monkeypatch.setenv("COLUMNS", "200")  # narrower, names are folded
    everything = events()
    bakery = events("--server", "ex01.bakery.example")
    middle = str(everything[len(everything) // 2]["at"])

    assert {event["kind"] for event in everything} >= {"detected", "stage", "cured", "pause-added"}
    assert [event["kind"] for event in reversed(bakery)][:2] == ["detected", "stage"]
    assert {event["kind"] for event in events("--kind", "cured", "--kind", "detected")} == {
        "cured",
        "detected",
    }
    assert {event["kind"] for event in events("--by", "demo")} == {"pause-added"}
    assert len(events("--since", middle)) + len(events("--until", middle)) == len(everything)
    assert len(events("--limit", "3")) == 3
    assert "ex01.bakery.example" in run("events", "--state", played).stdout
    assert events("--tenant", "nobody") == []
