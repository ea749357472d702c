"""The store is away in every way there is: mail flows, decisions stay, and all is caught up later."""

import asyncio
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import messages
import pytest
from msgspec.structs import replace
from postgres import Cluster
from proxy import Network, network
from running import Receiver, receiver, until
from sqlalchemy import select

from wehr.doors.milter import MilterClient
from wehr.evidence import Session
from wehr.ledger import Event, open_store
from wehr.ledger.schema import servers
from wehr.ledger.state import Stamp, pack_state, unpack_state
from wehr.policy.pauses import Pause, request

AT_ONCE = 'policy.ladder = "at-once"\npolicy.ladders = { at-once = [{ block = 60 }] }\n'
"""Whoever is out of date is refused from the first message on: so every answer shows what is remembered."""
LATER = 'policy.ladder = "later"\npolicy.ladders = { later = [{ days = 30 }, { block = 60 }] }\n'
MANY = 30


def headers(build: str, host: str) -> list[tuple[str, str]]:
    """A message of a server with this name and build."""
    return [("Received", " " + messages.exchange(build, host).partition(": ")[2].partition("\nFrom")[0])]


def ask(wehr: Receiver, build: str = "15.1.2507.16", host: str = "ex01.example.com") -> str:
    """One message's answer, and it must come before a store that takes ten seconds could have been asked."""
    session = Session(client_ip="203.0.113.10", helo=host, recipients=("example.org",))
    begun = time.monotonic()
    with MilterClient(("127.0.0.1", wehr.port), session, timeout=8) as client:
        answer = client.deliver(headers(build, host))
    assert time.monotonic() - begun < 8
    return answer[:3]


def stored(url: str) -> int:
    """How many messages are in the store; whoever writes to it now is waited for."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=20)) as file:
            return int(file.execute("SELECT count(*) FROM sightings").fetchone()[0])
    with open_store(url, create=False) as store:
        return store.count()["sightings"]


@pytest.fixture(name="database")
def _database(postgres: Cluster) -> Iterator[str]:
    name = f"away-{uuid.uuid4().hex}"
    postgres.create(name)
    yield name
    postgres.drop(name)


@pytest.fixture(name="net")
def _net(postgres: Cluster) -> Iterator[Network]:
    with network(postgres.port) as net:
        yield net


def through(net: Network, database: str) -> str:
    """The configuration of a store behind a network."""
    return f'store.url = "postgresql://postgres@127.0.0.1:{net.port}/{database}"\n'


Break = Callable[[Cluster, Network, str], None]

FULL = """
CREATE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER is_full BEFORE INSERT ON sightings EXECUTE FUNCTION is_full();
"""

WAYS: dict[str, tuple[Break, Break]] = {
    "stopped and restarted": (lambda pg, net, db: pg.stop(), lambda pg, net, db: pg.start()),
    "network down": (lambda pg, net, db: net.set("down"), lambda pg, net, db: net.set("up")),
    "network cut": (lambda pg, net, db: net.set("cut"), lambda pg, net, db: net.set("up")),
    "slow by 10 s": (lambda pg, net, db: net.set("slow"), lambda pg, net, db: net.set("up")),
    "disk full": (
        lambda pg, net, db: pg.run(FULL, db),
        lambda pg, net, db: pg.run("DROP TRIGGER is_full ON sightings", db),
    ),
    "read-only": (
        lambda pg, net, db: (
            pg.run(f'ALTER DATABASE "{db}" SET default_transaction_read_only = on'),
            net.close_pairs(),
        )[0],
        lambda pg, net, db: (
            pg.run(f'ALTER DATABASE "{db}" RESET default_transaction_read_only'),
            net.close_pairs(),
        )[0],
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_postgresql_is_away(way: str, tmp_path: Path, postgres: Cluster, net: Network, database: str) -> None:
    """Known servers are answered as before, new ones too, without delay; nothing is lost or counted twice."""
    spoil, mend = WAYS[way]
    with receiver(tmp_path, time.time(), "enforce", AT_ONCE + through(net, database)) as wehr:
        before = [ask(wehr), ask(wehr, "15.2.2562.53", "ok.example.com")]
        until(lambda: stored(postgres.url(database)) == 2)
        spoil(postgres, net, database)
        try:
            for number in range(MANY):
                assert [ask(wehr), ask(wehr, "15.2.2562.53", "ok.example.com")] == before == ["550", "acc"]
                assert ask(wehr, host=f"new{number}.example.com") == "550"
        finally:
            mend(postgres, net, database)
        until(lambda: stored(postgres.url(database)) == 2 + 3 * MANY, 60)

    with open_store(postgres.url(database), create=False) as store:
        assert stored(postgres.url(database)) == 2 + 3 * MANY
        assert sum(tally.messages for tally in store.tallies()) == 2 + 3 * MANY


@pytest.mark.parametrize(
    ("spoil", "mend"),
    [
        ("BEGIN EXCLUSIVE", "ROLLBACK"),
        ("PRAGMA query_only = on", "PRAGMA query_only = off"),
        ("PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1073741823"),
    ],
    ids=["locked", "read-only", "full"],
)
def test_sqlite_is_away(spoil: str, mend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with the embedded store: another program holds it, or it cannot be written."""
    monkeypatch.setattr("wehr.ledger.opening._BUSY_MS", 100)
    url = f"sqlite:///{tmp_path}/wehr.sqlite"
    with receiver(tmp_path, time.time(), "enforce", AT_ONCE) as wehr:
        assert ask(wehr) == "550"
        until(lambda: stored(url) == 1)
        other = sqlite3.connect(tmp_path / "wehr.sqlite", isolation_level=None)
        run = other.execute if "BEGIN" in spoil else partial(_run_inside, wehr)
        run(spoil)
        for number in range(MANY):
            assert ask(wehr) == "550"
            assert ask(wehr, host=f"new{number}.example.com") == "550"
        run(mend)
        other.close()
        until(lambda: stored(url) == 1 + 2 * MANY)


def test_an_error_that_nobody_thought_of_does_not_end_the_carrying(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told, and the journal is carried in at the next try."""
    with receiver(tmp_path, time.time(), "enforce", AT_ONCE) as wehr:
        node, failed = wehr.service.node, threading.Event()

        def fail(*_: object) -> None:
            failed.set()
            raise ValueError("made up")

        with monkeypatch.context() as patch:
            patch.setattr(node._carrier, "step", fail)
            assert failed.wait(20)
            assert ask(wehr) == "550"
        until(lambda: stored(f"sqlite:///{tmp_path}/wehr.sqlite") == 1)


def _run_inside(wehr: Receiver, statement: str) -> None:
    """Run a statement on the node's own connection, in the one thread that it belongs to."""
    node = wehr.service.node
    store = node._carrier.store
    assert store is not None

    def run() -> None:
        connection = store._engine.raw_connection()
        connection.driver_connection.execute(statement)  # type: ignore[union-attr]
        connection.close()

    asyncio.run_coroutine_threadsafe(node._thread.run(run), wehr.loop).result(30)


def test_a_node_starts_from_its_snapshot(
    tmp_path: Path, postgres: Cluster, net: Network, database: str
) -> None:
    """The store is away at the start: who was blocked is blocked, and all is caught up later."""
    now = time.time()
    config = LATER + through(net, database)
    with receiver(tmp_path, now, "enforce", config) as wehr:
        assert ask(wehr) == "acc"
        until(lambda: stored(postgres.url(database)) == 1)
        secret = wehr.service.memory.secret
    _age(postgres.url(database), 40)
    with receiver(tmp_path, now, "enforce", config) as wehr:
        assert ask(wehr) == "550"
        until((tmp_path / "snapshot").exists)
    net.set("down")

    with receiver(tmp_path, now, "enforce", config) as wehr:
        assert wehr.service.memory.secret == secret
        assert wehr.service.memory.doubt == ""
        assert ask(wehr) == "550"
        assert ask(wehr, host="new.example.com") == "acc"
        net.set("up")
        until(lambda: stored(postgres.url(database)) == 4, 60)


@pytest.mark.parametrize("worker", [1, 2])
def test_a_cure_that_the_store_has_not_heard_of_outlives_a_restart(
    worker: int, tmp_path: Path, postgres: Cluster, net: Network, database: str
) -> None:
    """The snapshot says blocked; the machine's journals, whichever worker's, say cured, and they count."""
    now = time.time()
    config = AT_ONCE + through(net, database)
    with receiver(tmp_path, now, "enforce", config) as wehr:
        assert ask(wehr) == "550"
        until(lambda: stored(postgres.url(database)) == 1)
    with receiver(tmp_path, now, "enforce", config) as wehr:  # its snapshot knows the server
        until((tmp_path / "snapshot").exists)
        net.set("down")
        assert [ask(wehr), ask(wehr, "15.2.2562.53"), ask(wehr)] == ["550", "acc", "acc"]
    if worker == 2:
        (tmp_path / "journal").rename(tmp_path / "journal-2")

    with receiver(tmp_path, now, "enforce", config) as wehr:
        assert wehr.service.memory.doubt == ""
        assert ask(wehr) == "acc"


def test_what_people_changed_is_in_the_snapshot_at_once(
    tmp_path: Path, postgres: Cluster, net: Network, database: str
) -> None:
    """A pause made a moment before the store goes away holds over a restart, too."""
    now = time.time()
    config = AT_ONCE + through(net, database)
    pause = Pause("p1", "default", now, 10, now)
    with receiver(tmp_path, now, "enforce", config) as wehr:
        assert ask(wehr) == "550"
        until((tmp_path / "snapshot").exists)
        written = (tmp_path / "snapshot").stat().st_mtime_ns
        with open_store(postgres.url(database)) as store:
            store.change_pauses(lambda old: request(old, pause, now), Event(now, "pause-added"))
        until(lambda: (tmp_path / "snapshot").stat().st_mtime_ns > written)
        assert ask(wehr) == "acc"
        net.set("down")

    with receiver(tmp_path, now, "enforce", config) as wehr:
        assert wehr.service.memory.doubt == ""
        assert ask(wehr) == "acc"


def _age(url: str, days: int) -> None:
    """Have all servers first seen so many days earlier."""
    with open_store(url, create=False) as store, store._write() as connection:
        for row in connection.execute(select(servers.c.ref, servers.c.state)).all():
            state = unpack_state(row.state)
            start = state.first_seen - days * 86_400
            stamps = tuple(
                Stamp(it.build, start, it.good, it.bad | it.bad << days, it.unjudged, (start,))
                for it in state.stamps
            )
            aged = replace(state, first_seen=start, stamps=stamps)
            connection.execute(
                servers.update().where(servers.c.ref == row.ref).values(state=pack_state(aged))
            )


def test_a_node_without_a_snapshot_refuses_nobody(
    tmp_path: Path, postgres: Cluster, net: Network, database: str
) -> None:
    """Until the store is there; what was seen meanwhile is in it then."""
    net.set("down")
    with receiver(tmp_path, time.time(), "enforce", AT_ONCE + through(net, database)) as wehr:
        assert "no snapshot" in wehr.service.memory.doubt
        assert [ask(wehr) for _ in range(3)] == ["acc"] * 3
        net.set("up")
        until(lambda: not wehr.service.memory.doubt, 60)
        assert ask(wehr) == "550"
        until(lambda: stored(postgres.url(database)) == 4)
        with open_store(postgres.url(database)) as store:
            assert store.secret == wehr.service.memory.secret


def test_what_others_wrote_meanwhile_is_learned(
    tmp_path: Path, postgres: Cluster, net: Network, database: str
) -> None:
    """A cure that another node saw while this one was cut off is in force when the store is back."""
    config = AT_ONCE + through(net, database)
    with receiver(tmp_path / "a", time.time(), "enforce", config) as cut_off:
        assert ask(cut_off) == "550"
        until(lambda: stored(postgres.url(database)) == 1)
        net.set("down")
        direct = AT_ONCE + f'store.url = "{postgres.url(database)}"\n'
        with receiver(tmp_path / "b", time.time(), "enforce", direct) as other:
            assert ask(other) == "550"
            assert ask(other, "15.2.2562.53") == "acc"
            assert ask(other) == "acc"
        assert ask(cut_off) == "550"
        net.set("up")
        until(lambda: ask(cut_off) == "acc", 60)
