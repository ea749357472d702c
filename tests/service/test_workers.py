"""Several workers on one machine: one set of addresses, and nobody notices when one of them dies."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import messages
import pytest
from running import process, runs, until, workers_of

from wehr.doors.milter import MilterClient
from wehr.evidence import Session
from wehr.ledger import open_store
from wehr.service.state_folder import StateFolder
from wehr.service.workers import Supervisor

CLIENT = Session(client_ip="203.0.113.10", helo="ex01.example.com", recipients=("example.org",))
HEADERS = [("Received", " " + messages.exchange("15.1.2507.16").partition(": ")[2].partition("\nFrom")[0])]
TWO = "workers = 2\nreceiver.networks = []\n"


def deliver(port: int, count: int) -> None:
    """Hand over messages, each on a connection of its own."""
    for _ in range(count):
        with MilterClient(("127.0.0.1", port), CLIENT) as client:
            assert client.deliver(HEADERS) == "accept"


def nodes(state: Path) -> Counter[str]:
    """How many messages each worker has in the store."""
    with open_store(f"sqlite:///{state}/wehr.sqlite", create=False) as store:
        rows = [row for server in store.servers() for row in store.history(server.ref, limit=10_000)]
        return Counter(row.node for row in rows)


def modes(state: Path) -> dict[str, str]:
    """What each worker judges by, as it tells its fellows every second."""
    families = [it for file in (state / "metrics").glob("*.json") for it in json.loads(file.read_bytes())]
    samples = [labels for it in families if it["name"] == "wehr_info" for labels, _ in it["samples"]]
    return {worker: mode for worker, _, mode in samples}


def test_workers_share_an_address_and_a_store(tmp_path: Path) -> None:
    """Messages of many connections are answered by both, and all are in the one store, once."""
    with process(tmp_path, TWO) as wehr:
        assert len(workers_of(wehr.popen.pid)) == 2
        deliver(wehr.port, 200)

    found = nodes(tmp_path / "state")

    assert found.total() == 200
    assert len({node.rpartition(":")[0] for node in found}) == 1
    assert {node.rpartition(":")[2] for node in found} <= {"1", "2"}


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    """Mail flows meanwhile, and what the dead one had written down is not lost."""
    with process(tmp_path, TWO) as wehr:
        deliver(wehr.port, 50)
        first = workers_of(wehr.popen.pid)
        os.kill(first[0], signal.SIGKILL)
        deliver(wehr.port, 50)
        until(lambda: len(set(workers_of(wehr.popen.pid)) - set(first)) == 1)
        deliver(wehr.port, 50)
    with process(tmp_path, TWO):
        pass  # what a worker left that was killed while it started

    assert nodes(tmp_path / "state").total() == 150


def test_no_worker_outlives_its_supervisor(tmp_path: Path) -> None:
    """Killed, it cannot tell them; they notice, end in order, and leave the folder to the next."""
    with process(tmp_path, TWO) as wehr:
        deliver(wehr.port, 10)
        left = workers_of(wehr.popen.pid)
        os.kill(wehr.popen.pid, signal.SIGKILL)
        until(lambda: not any(map(runs, left)), 60)

    assert nodes(tmp_path / "state").total() == 10
    with process(tmp_path, TWO) as wehr:
        deliver(wehr.port, 1)


def test_a_hangup_reaches_every_worker(tmp_path: Path) -> None:
    """All of them judge by the new configuration; ``wehr reload`` finds the supervisor."""
    with process(tmp_path, TWO) as wehr:
        until(lambda: modes(tmp_path / "state") == {"1": "report", "2": "report"})
        deliver(wehr.port, 20)
        (tmp_path / "wehr.toml").write_text(TWO + "[policy]\nmode = 'off'\n")
        command = [sys.executable, "-m", "wehr", "reload", "--config", str(tmp_path / "wehr.toml")]
        subprocess.run([*command, "--state", str(tmp_path / "state")], check=True, capture_output=True)
        until(lambda: modes(tmp_path / "state") == {"1": "off", "2": "off"})
        deliver(wehr.port, 20)

    assert nodes(tmp_path / "state").total() == 20  # with mode off nothing is remembered


def test_the_journals_of_workers_that_are_no_more_are_carried_in(tmp_path: Path) -> None:
    """Two workers are killed with full journals; started as one, Wehr takes over what the second left."""
    with process(tmp_path, TWO) as wehr:
        pair = workers_of(wehr.popen.pid)
        deliver(wehr.port, 100)
        wehr.signal(signal.SIGKILL)
        for worker in pair:
            os.kill(worker, signal.SIGKILL)
    with process(tmp_path, "receiver.networks = []\n"):
        until(lambda: not (tmp_path / "state" / "journal-2").exists())

    assert nodes(tmp_path / "state").total() == 100


def test_workers_that_cannot_start_end_in_one_line(tmp_path: Path) -> None:
    """The first one's words, exit code 2, and no process left."""
    (tmp_path / "wehr.sqlite").write_bytes(b"not a database, but somebody's\n" * 50)
    command = [sys.executable, "-m", "wehr", "serve", "--workers", "2", "--state", str(tmp_path)]

    run = subprocess.run(
        [*command, "--listen", "127.0.0.1:0", "--socket", "", "--web", ""],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert "restore a backup" in run.stderr


def test_a_worker_that_cannot_be_started_again_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the program is being replaced, say: as soon as it is back, so is the worker."""
    monkeypatch.setattr("wehr.service.workers._FIRST_DELAY", 0.01)
    away = ["/nonexistent/program"]
    last = ["sh", "-c", "echo Ready.; kill -TERM $PPID; read line"]
    commands = iter([["echo", "Ready."], away, away, last])

    async def run() -> None:
        await Supervisor(1, lambda _: next(commands), ()).run(lambda: None)

    asyncio.run(asyncio.wait_for(run(), 60))

    assert next(commands, None) is None


@pytest.mark.parametrize("beyond", [1, 2])
def test_orphans_are_the_journals_beyond_the_workers(tmp_path: Path, beyond: int) -> None:
    """Other files are none."""
    for name in ("journal", "journal-2", "journal-3", "journal-x", "journal-3.old"):
        (tmp_path / name).mkdir()
    with StateFolder(tmp_path) as folder:
        found = [number for number, _ in folder.orphans(beyond)]

    assert found == list(range(beyond + 1, 4))


def test_a_node_keeps_its_name(tmp_path: Path) -> None:
    """It goes by the state folder, not by what the host is called today."""
    with StateFolder(tmp_path / "a") as folder:
        name = folder.node(1)
    with StateFolder(tmp_path / "a") as folder, StateFolder(tmp_path / "b") as other:
        assert folder.node(1) == name
        assert folder.node(2) != name
        assert other.node(1) != name
