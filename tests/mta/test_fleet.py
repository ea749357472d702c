"""Three nodes on three loopback addresses, each with its own Postfix, and one store.

What one learns is in force on all within two seconds: PostgreSQL says that there is news, SQLite is asked.
"""

import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import messages
import postfix
import pytest
from postfix import Peer, Postfix
from postgres import Cluster
from running import Process, Receiver, process, receiver, until

from wehr.policy.types import ServerKey

pytestmark = [pytest.mark.mta, pytest.mark.xdist_group("mta"), pytest.mark.timeout(240)]

HOSTS = ("127.0.0.11", "127.0.0.12", "127.0.0.13")
WITHIN = 20.0
"""Seconds; the two that are promised are too few for what else a busy machine does meanwhile."""
PEER = Peer("ex01.example.com", "203.0.113.10", "ex01.example.com")
OLD, NEW = messages.exchange("15.1.2507.16"), messages.exchange("15.2.2562.53")
CONFIG = """
host_name = "mx.example.org"
receiver.networks = []
[policy]
mode = "enforce"
ladder = "at-once"
ladders = {{ at-once = [{{ block = 60 }}] }}
[store]
url = "{url}"
"""


KEY = ServerKey("default", "ex01.example.com", "203.0.113.0/24")


@dataclass(frozen=True)
class Node:
    """One receiver of the fleet: its Wehr and its Postfix, on an address of its own."""

    wehr: Process
    mx: Postfix
    folder: Path

    def ask(self, headers: str, peer: Peer = PEER) -> int:
        """The SMTP code that a message gets here."""
        return postfix.send(self.mx, peer, headers).code

    def run(self, *arguments: str) -> str:
        """A command of an operator on this node."""
        here = ("--config", str(self.folder / "wehr.toml"), "--state", str(self.folder / "state"))
        command = [sys.executable, "-m", "wehr", *arguments, *here]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture(name="url", params=["sqlite", "postgresql"])
def _url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty store that all nodes reach."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/wehr.sqlite"
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    name = f"fleet-{uuid.uuid4().hex}"
    yield cluster.create(name)
    cluster.drop(name)


@pytest.fixture(name="fleet")
def _fleet(tmp_path: Path, open_folder: Path, url: str) -> Iterator[list[Node]]:
    postfix.require_postfix()
    config = CONFIG.format(url=url)
    with ExitStack() as stack:
        nodes = []
        for host in HOSTS:
            folder = tmp_path / host
            wehr = stack.enter_context(process(folder, config, host=host))
            mx = stack.enter_context(postfix.running(open_folder / host, wehr.milter, host=host))
            nodes.append(Node(wehr, mx, folder))
        yield nodes


def everywhere(fleet: list[Node], code: int, headers: str = OLD, peer: Peer = PEER) -> None:
    """Soon every node answers so; a node that has is not asked again."""
    begun = time.monotonic()
    for node in fleet:
        until(lambda node=node: node.ask(headers, peer) == code, WITHIN)
    assert time.monotonic() - begun < WITHIN


def test_what_one_node_learns_is_in_force_on_all(fleet: list[Node]) -> None:
    """A pause, an exemption, their ends, and a cure: counted from when the command or the reply is there."""
    first, second, third = fleet

    assert first.ask(OLD) == 550
    until(lambda: '"detected"' in third.run("events", "--json"))

    second.run("pause", "add", "--days", "5", "--why", "holidays", "--by", "a test")
    everywhere([first, third, second], 250)
    pauses = third.run("pause", "list", "--json")
    second.run("pause", "cancel", pauses.partition('"id":"')[2].partition('"')[0])
    everywhere([first, third, second], 550)

    third.run("exempt", "add", "--network", "203.0.113.0/24", "--reason", "a test", "--by", "a test")
    everywhere([first, second, third], 250)
    exemptions = first.run("exempt", "list", "--json")
    first.run("exempt", "cancel", exemptions.partition('"id":"')[2].partition('"')[0])
    everywhere([third, second, first], 550)

    assert third.ask(NEW) == 250  # the cure: from now on its old stamps are excused
    everywhere([first, second, third], 250)

    kinds = first.run("events", "--json").splitlines()
    for kind in ("detected", "pause-added", "pause-cancelled", "exemption-added", "cured"):
        assert any(f'"kind":"{kind}"' in line for line in kinds), kind
    assert "sound" in first.run("store", "check")


LATER = """
policy.ladder = "later"
policy.ladders = {{ later = [{{ days = 30 }}, {{ block = 60 }}] }}
store.url = "{url}"
"""


def test_a_first_detection_is_in_force_on_all(
    tmp_path: Path, open_folder: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two seconds after one node's first sighting the others' clocks run from it: thirty days on they refuse.

    A node that had not heard of it would detect the server itself then, and report only.
    """
    postfix.require_postfix()
    monkeypatch.setattr("wehr.service.clock_watch._MOST", 1e9)  # the nodes' clocks are set
    with ExitStack() as stack:
        fleet: list[tuple[Receiver, Postfix]] = []
        for host in HOSTS:
            config = LATER.format(url=url)
            wehr = stack.enter_context(receiver(tmp_path / host, time.time(), "enforce", config))
            mx = stack.enter_context(postfix.running(open_folder / host, wehr.milter, host=host))
            fleet.append((wehr, mx))
        first, mx = fleet[0]

        assert postfix.send(mx, PEER, OLD).code == 250
        begun = time.monotonic()
        for wehr, _ in fleet[1:]:
            until(lambda wehr=wehr: KEY in wehr.service.memory.ledger, WITHIN)

        assert time.monotonic() - begun < WITHIN
        for wehr, mx in fleet[::-1]:
            wehr.clock.now += 30 * 86_400
            assert postfix.send(mx, PEER, OLD).code == 550
        assert first.service.memory.doubt == ""


def test_a_node_that_was_stopped_catches_up(fleet: list[Node], open_folder: Path) -> None:
    """What it did not hear of while it was away it knows when it takes mail again."""
    first, second, _ = fleet
    assert first.ask(OLD) == 550
    second.wehr.popen.terminate()
    second.wehr.popen.wait(30)
    assert first.ask(NEW) == 250
    until(lambda: '"cured"' in first.run("events", "--json"), 10)

    with process(second.folder, (second.folder / "wehr.toml").read_text(), host=HOSTS[1]) as again:
        assert again.popen.poll() is None
        with postfix.running(open_folder / "again", again.milter, host=HOSTS[1]) as mx:
            assert postfix.send(mx, PEER, OLD).code == 250
