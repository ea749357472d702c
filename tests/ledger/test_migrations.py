"""A store of an earlier Wehr is brought up to date: nothing is lost, and the check finds it sound."""

import msgspec
from alembic import command
from alembic.config import Config
from ledger_stories import NEW, START, entry, sighting
from sqlalchemy import Connection, create_engine, text

from wehr.ledger.journal import Position
from wehr.ledger.selecting import days_of
from wehr.ledger.state import day_of, observe, pack_state
from wehr.ledger.store import open_store
from wehr.policy.laddering import Laddering, Past
from wehr.policy.pauses import Pause

PAUSE = Pause("p1", "default", START, 10, START, by="operator")
PAST = Past().noting(Laddering("exchange-online"), (), START).noting(Laddering("urgent"), (), START + 1)
SERVER = """
INSERT INTO servers VALUES (
    'aaaabbbbccccdddd', 'default', 'x', '192.0.2.0/24', :state, :at, :at, false, 'exchange',
    :at, '', '', 'direct', '', '', '', 'accept', 'report-stage', false, 1, 1)
"""
TOLD = "INSERT INTO events (at, kind, tenant, ref, name, actor, detail) VALUES "


def old_store(url: str) -> None:
    """A store as revision 0001 had it, with a pause, two ladders, and a server that was detected."""
    driver = url.replace("postgresql:", "postgresql+psycopg:")
    engine = create_engine(driver)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", "wehr.ledger:migrations")
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        fill(connection)
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA application_id = 0x57454852")
    engine.dispose()


def fill(connection: Connection) -> None:
    """What was in it."""
    state = pack_state(observe(None, sighting(0), compliant=False))
    for statement, values in (
        ("INSERT INTO meta VALUES ('secret', :it)", {"it": "ab" * 32}),
        ("INSERT INTO meta VALUES ('past', :it)", {"it": msgspec.json.encode(PAST).decode()}),
        ("INSERT INTO counter VALUES ('change', 1), ('rules', 2)", {}),
        ("INSERT INTO pauses VALUES ('p1', 'default', :it)", {"it": msgspec.json.encode(PAUSE)}),
        (
            TOLD + "(:at, 'pause-added', 'default', '', '', 'operator', :it)",
            {"at": START, "it": '{"id":"p1"}'},
        ),
        (
            "INSERT INTO tallies VALUES (:day, 'aaaabbbbccccdddd', 'accept', :why, false, :count)",
            [
                {"day": day_of(START), "why": "report-stage", "count": 3},
                {"day": day_of(START), "why": "compliant", "count": 4},
                {"day": day_of(START) - 60, "why": "compliant", "count": 5},
            ],
        ),
        (TOLD + "(:at, 'detected', 'default', 'aaaabbbbccccdddd', 'x', 'wehr', '{}')", {"at": START}),
        (
            SERVER,
            {"state": state, "at": START},
        ),
    ):
        connection.execute(text(statement), values)


def test_an_older_store_is_brought_up_to_date(store_url: str, tmp_path) -> None:
    """What stands is told by events that are added to those there were; then it is sound, and serves on."""
    (tmp_path / "state").mkdir(exist_ok=True)
    old_store(store_url)

    with open_store(store_url, create=False) as store:
        kinds = [event.kind for event in reversed(store.events())]
        assert kinds == ["pause-added", "detected", "recorded", "recorded"]
        assert store.pauses() == (PAUSE,)
        assert store.past() == PAST
        assert days_of(store, 0) == [(day_of(START), "accept", False, 7)]
        assert list(store.check()) == []
        store.carry("mx1", Position(), [entry(sighting(5, NEW), compliant=True)], Position(1, 1), START)
        assert list(store.check()) == []
