"""Retention, checking and backing up."""

from pathlib import Path

import pytest
from ledger_stories import NEW, OLD, START, at, entry, sighting

from wehr.evidence.types import Confidence, Relation
from wehr.ledger.errors import LedgerError
from wehr.ledger.journal import Entry, Position
from wehr.ledger.maintenance import Cutoffs, Retention, cutoffs
from wehr.ledger.memory import Limits
from wehr.ledger.schema import servers
from wehr.ledger.state import observe, pack_state
from wehr.ledger.store import Store, open_store


def carry(store: Store, *entries: Entry) -> None:
    """Carry entries in."""
    start = store.position("mx1")
    store.carry("mx1", start, entries, Position(start.segment, start.offset + 1), START)


def prune_all(store: Store, now: float, retention: Retention | None = None) -> dict[str, int]:
    """Prune until nothing is left to remove; gives the sums."""
    total: dict[str, int] = {}
    while any((gone := store.prune(retention or Retention(), now)).values()):
        total = {table: total.get(table, 0) + count for table, count in gone.items()}
    return total


def test_cutoffs_are_days_before_now() -> None:
    """Each kind of row has its own age, servers the ledger's."""
    assert cutoffs(Retention(30, 400, 730), Limits(forget_days=180), at(1000)) == Cutoffs(
        at(970), at(600), at(270), at(820)
    )


def test_only_what_is_too_old_goes(store: Store) -> None:
    """Messages go after 30 days, and the server stays with its clock."""
    carry(store, *(entry(sighting(day)) for day in range(50)))

    gone = prune_all(store, at(49))

    assert {table: count for table, count in gone.items() if count} == {"sightings": 19}
    (server,) = store.servers()
    assert server.state.first_seen == at(0)


def test_everything_goes_in_the_end(store: Store) -> None:
    """After three years nothing of a server is left."""
    carry(store, entry(sighting(0)), entry(sighting(1, NEW), compliant=True))
    prune_all(store, at(1100))

    left = store.count()

    assert {table: left[table] for table in ("servers", "sightings", "tallies", "days", "events")} == {
        "servers": 0,
        "sightings": 0,
        "tallies": 0,
        "days": 0,
        "events": 0,
    }


def test_it_goes_in_small_batches(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One call never holds the store for long."""
    monkeypatch.setattr("wehr.ledger.maintenance._remove.__defaults__", (10,))
    carry(store, *(entry(sighting(day / 100)) for day in range(35)))

    assert [store.prune(Retention(), at(60))["sightings"] for _ in range(5)] == [10, 10, 10, 5, 0]


def test_servers_in_the_store_are_bounded(store_url: str) -> None:
    """Beyond the bound the unconfirmed seen longest ago go, confirmed ones last."""
    with open_store(store_url, limits=Limits(servers=5)) as store:
        sure = sighting(0, name="sure.example.org", confidence=Confidence.CONFIRMED)
        carry(store, entry(sure), *(entry(sighting(1 + i, name=f"{i}.example.org")) for i in range(9)))

        assert prune_all(store, at(10))["servers"] == 5
        assert {row.key.name for row in store.servers()} == {
            "sure.example.org",
            *(f"{i}.example.org" for i in range(5, 9)),
        }


def test_forged_names_of_a_network_are_bounded(store_url: str) -> None:
    """A flood of names from one network leaves its confirmed server, its old one, and its latest names."""
    with open_store(store_url, limits=Limits(servers_per_network=5)) as store:
        sure = sighting(0, name="sure.example.org", confidence=Confidence.CONFIRMED)
        old = [entry(sighting(day, name="old.example.org")) for day in (0, 3)]
        far = entry(sighting(0, name="far.example.org", network="198.51.100.0/24"))
        forged = [entry(sighting(4 + i / 100, name=f"{i}.example.org")) for i in range(20)]
        carry(store, entry(sure), *old, far, *forged)

        assert not prune_all(store, at(10))  # it never holds more
        assert {row.key.name for row in store.servers()} == {
            "sure.example.org",
            "old.example.org",
            "far.example.org",
            *(f"{i}.example.org" for i in range(17, 20)),
        }
        # What was told and counted of the others went with them; the messages stay, as others do.
        assert {event.name for event in store.events()} == {row.key.name for row in store.servers()}
        assert sum(tally.messages for tally in store.tallies()) == 7
        assert store.count()["sightings"] == 24
        assert list(store.check()) == []


def test_a_sound_store_has_no_faults(store: Store) -> None:
    """States know all their history, also when it came in any order, and when part of it is gone."""
    carry(store, entry(sighting(30, NEW), compliant=True), entry(sighting(0)), entry(sighting(5, OLD)))
    carry(store, entry(sighting(40, None, relation=Relation.BEHIND_RELAY), compliant=None))
    assert list(store.check()) == []
    prune_all(store, at(45))

    assert list(store.check()) == []


def test_a_state_that_lost_something_is_found(store: Store) -> None:
    """A state that does not hold what the history says is named with its server."""
    carry(store, entry(sighting(0)))
    (before,) = store.servers()
    carry(store, entry(sighting(9, NEW), compliant=True))
    with store._write() as connection:
        connection.execute(servers.update().values(state=pack_state(before.state)))

    faults = list(store.check())

    assert all(before.ref in fault for fault in faults)
    assert faults[0].endswith("its state does not know all that its history holds")
    assert faults[1].endswith("its last event says in compliance, its state does not")


def test_a_state_that_says_more_than_was_seen_is_found(store: Store) -> None:
    """Where all messages are kept, a state is what they say and no more; once some are gone, not less."""
    carry(store, entry(sighting(0)), entry(sighting(5)))
    (row,) = store.servers()
    more = observe(row.state, sighting(7), compliant=False)
    with store._write() as connection:
        connection.execute(servers.update().values(state=pack_state(more)))

    (fault,) = store.check()
    assert fault.endswith("its state says more than its whole history holds")
    store.prune(Retention(sightings=3), at(5))
    assert list(store.check()) == []


def test_a_backup_taken_in_use_is_a_store(store: Store, tmp_path: Path) -> None:
    """The copy opens, holds the same, and is private."""
    carry(store, entry(sighting(0)))
    target = tmp_path / "copy.sqlite"

    store.back_up(target)

    assert target.stat().st_mode & 0o777 == 0o600
    with open_store(f"sqlite:///{target}", create=False) as copy:
        assert copy.secret == store.secret
        assert dict(copy.load_states()) == dict(store.load_states())
    carry(store, entry(sighting(1)))


def test_a_backup_overwrites_nothing(store: Store, tmp_path: Path) -> None:
    """A file that is there stays."""
    target = tmp_path / "copy.sqlite"
    target.write_text("precious")

    with pytest.raises(LedgerError, match="exists"):
        store.back_up(target)

    assert target.read_text() == "precious"


def test_nothing_private_is_kept(store: Store, tmp_path: Path) -> None:
    """Of an entry only what the schema names is stored; the journal and store have no field for more."""
    fields = {name for kind in (Entry, type(entry(sighting(0)).sighting)) for name in kind.__struct_fields__}

    assert not fields & {"subject", "sender", "recipient", "body", "mail_from", "rcpt_to", "helo"}
