"""A flood of forged names from a few networks: real servers keep their records, and the report is as before.

`python bench/ledger.py --flood 1000000` is the same with a million, through the gate, and with figures.
"""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from ledger_stories import entry, key_of, sighting
from msgspec.structs import replace

from wehr.cli import main
from wehr.evidence.types import Confidence, Sighting
from wehr.ledger import Entry, Ledger, Limits, Position, Store, open_store
from wehr.ledger.crowds import CROWD, part_crowds

DAY = 86_400
FORGED, NETWORKS = 20_000, 4
HERE = "198.51.0.0/24"
"""One of the networks that the forger sends from."""


def moved(one: Sighting, at: float) -> Sighting:
    """The same message at a time."""
    return replace(one, at=at)


def real(now: float) -> list[Sighting]:
    """A confirmed server and one seen for weeks, both in the forger's network; and a new one elsewhere."""
    sure = sighting(0, name="sure.example.org", network=HERE, confidence=Confidence.CONFIRMED)
    old = sighting(0, name="old.example.org", network=HERE)
    new = sighting(0, name="new.example.org", network="203.0.113.0/24")
    return [
        *(moved(old, now - day * DAY) for day in range(45, 0, -1)),
        moved(sure, now - 2 * DAY),
        moved(new, now - 3600),
    ]


def forged(number: int, now: float) -> Sighting:
    """A message with a name that nobody has seen before."""
    network = f"198.51.{number % NETWORKS}.0/24"
    return moved(sighting(0, name=f"a{number}.forged.test", network=network), now - 600 + number / FORGED)


def take(store: Store, ledger: Ledger, some: list[Sighting]) -> None:
    """Have a node see these, and carry them in."""
    entries: list[Entry] = [entry(one) for one in some]
    for one in entries:
        ledger.observe(one.key, one.sighting, one.compliant)
        ledger.standing(one.key, one.sighting.at)
    start = store.position("mx1")
    store.carry("mx1", start, entries, Position(start.segment, start.offset + 1), some[-1].at)


def shown(state: Path, *options: str) -> tuple[str, str]:
    """What ``wehr report`` prints, and what it says beside it."""
    run = CliRunner().invoke(main, ["report", "--state", str(state), *options], catch_exceptions=False)
    assert run.exit_code == 0, run.output
    return run.stdout, run.stderr


@pytest.mark.timeout(120)
def test_a_flood_of_forged_names_changes_nothing_for_real_servers(tmp_path: Path) -> None:
    """Records, clocks, stages, events and the whole report stay, bounded in memory and in the store."""
    now, ledger = time.time(), Ledger()
    with open_store(f"sqlite:///{tmp_path}/wehr.sqlite") as store:
        honest = real(now)
        take(store, ledger, honest)
        keys = {key_of(one) for one in honest}
        before = {key: (ledger.get(key), ledger.standing(key, now)) for key in keys}
        stored = {row.key: row for row in store.servers()}
        events = [event for event in store.events() if event.ref in {row.ref for row in stored.values()}]
        report = shown(tmp_path, "--json")

        for first in range(0, FORGED, 2000):
            take(store, ledger, [forged(number, now) for number in range(first, first + 2000)])

        bound = NETWORKS * Limits().servers_per_network + 1
        assert len(ledger) <= bound
        assert store.count()["servers"] <= bound
        assert store.count()["events"] <= bound + len(events)
        assert {key: (ledger.get(key), ledger.standing(key, now)) for key in keys} == before
        assert {row.key: row for row in store.servers() if row.key in keys} == stored
        assert [event for event in store.events(limit=5000) if event in events] == events
        assert list(store.check()) == []

    again, beside = shown(tmp_path, "--json")
    assert json.loads(again) == json.loads(report[0])
    assert f"{bound - 3} unconfirmed names" in beside
    everything, beside = shown(tmp_path, "--json", "--all", "--limit", "3")
    assert {row["server_fqdn"] for row in json.loads(everything)} >= {"sure.example.org", "old.example.org"}
    assert "unconfirmed names" not in beside


@pytest.mark.parametrize(("names", "left_out"), [(CROWD, 0), (CROWD + 1, CROWD + 1)])
def test_a_crowd_is_more_new_names_than_a_network_has(names: int, left_out: int, tmp_path: Path) -> None:
    """Confirmed servers and those seen for a day are in nobody's crowd."""
    with open_store(f"sqlite:///{tmp_path}/wehr.sqlite") as store:
        some = [forged(number * NETWORKS, 1_700_000_000.0) for number in range(names)]
        take(store, Ledger(), [*real(1_700_000_000.0), *some])
        rows = store.servers()

    kept, crowd = part_crowds(rows)

    assert len(rows) - len(kept) == crowd.names == left_out
    assert crowd.networks == bool(left_out)
    assert {"sure.example.org", "old.example.org", "new.example.org"} <= {row.key.name for row in kept}
