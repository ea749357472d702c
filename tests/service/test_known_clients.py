"""Clients that are known outlive a restart, and workers of a machine learn of each other's."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from wehr.doors.clients import Busy, Clients, Terms
from wehr.service.known_clients import KnownClients

DAY = 86_400
TERMS = Terms(days=1, daily=1)


async def lived(folder: Path, worker: int, *ips: str) -> dict[str, Busy]:
    """One life of a worker that hears of these addresses; tells what it knew in the end."""
    clients = Clients()
    known = KnownClients(clients, folder, worker)
    await known.start()
    for ip in ips:
        clients.saw_other(ip, 20_000 * DAY, TERMS)
    await known.stop()
    return dict(clients.known())


def test_what_one_life_learned_the_next_knows_and_so_do_other_workers(tmp_path: Path) -> None:
    """Each reads all files and writes its own, for its owner alone."""
    asyncio.run(lived(tmp_path, 1, "192.0.2.1"))
    asyncio.run(lived(tmp_path, 2, "192.0.2.2"))
    day = Busy(20_000, 1)
    assert asyncio.run(lived(tmp_path, 1)) == {"192.0.2.1": day, "192.0.2.2": day}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clients-1", "clients-2"]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_file_that_is_not_whole_is_passed_over(tmp_path: Path, damage: bytes | None) -> None:
    """The clients are watched until they are known again."""
    asyncio.run(lived(tmp_path, 1, "192.0.2.1"))
    file = tmp_path / "clients-1"
    file.write_bytes(file.read_bytes()[:-1] if damage is None else damage)
    assert asyncio.run(lived(tmp_path, 1)) == {}


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    """One line is logged."""
    folder = tmp_path / "gone"
    with capture_logs() as logged:
        assert list(asyncio.run(lived(folder, 1, "192.0.2.1"))) == ["192.0.2.1"]
    assert any("cannot be kept" in line["event"] for line in logged)
