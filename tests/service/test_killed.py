"""Any process killed at any moment under load: the store ends up with what clients were answered.

WEHR_TEST_KILLS says how many: by default 13 here and 13 in the carrier test, with each engine, 52 in all.
"""

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import messages
import pytest
from postgres import Cluster
from running import Process, process, runs, until, workers_of
from sqlalchemy import select

from wehr.doors.milter import MilterClient
from wehr.doors.milter.codec import ProtocolError
from wehr.evidence import Session
from wehr.ledger import open_store
from wehr.ledger.schema import sightings, tallies

pytestmark = pytest.mark.timeout(900)

KILLS = int(os.environ.get("WEHR_TEST_KILLS", "13"))
CLIENTS = 4
CONFIG = """
workers = 2
receiver.networks = []
[policy]
mode = "enforce"
ladder = "at-once"
ladders = { at-once = [{ block = 60 }] }
"""


def headers(build: str) -> list[tuple[str, str]]:
    """A message of a server with this build."""
    return [("Received", " " + messages.exchange(build).partition(": ")[2].partition("\nFrom")[0])]


HEADERS = {"accept": headers("15.2.2562.53"), "block": headers("15.1.2507.16")}
"""Messages of an up-to-date server, and of one that the configuration refuses at once."""


class Load(threading.Thread):
    """A mail system's client that hands over messages without end, and counts what it is answered.

    Each message has a queue id of its own. One whose answer did not come is *in flight*: it may be recorded.
    """

    def __init__(self, port: int, number: int) -> None:
        super().__init__(daemon=True)
        self.answered: dict[str, str] = {}
        self.in_flight: set[str] = set()
        self.stop = threading.Event()
        self.port = port
        self._number = number
        self._sent = 0

    def run(self) -> None:
        """Hand over until told to stop; connect again whenever the connection is lost."""
        while not self.stop.is_set():
            under_way = ""
            try:
                with MilterClient(("127.0.0.1", self.port), self._session()) as client:
                    while not self.stop.is_set():
                        self._sent += 1
                        number = self._number * 10_000_000 + self._sent
                        client.protocol._queue_ids = number - 1
                        under_way = f"{number:010X}"
                        expected = "block" if number % 2 else "accept"
                        answer = client.deliver(HEADERS[expected])
                        self.answered[under_way] = "block" if answer.startswith("550 ") else answer
                        under_way = ""
            except (OSError, ProtocolError):
                if under_way:
                    self.in_flight.add(under_way)
                time.sleep(0.02)

    def _session(self) -> Session:
        return Session(
            client_ip=f"203.0.{self._number}.10", helo="ex01.example.com", recipients=("example.org",)
        )


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty store of each engine."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/state/wehr.sqlite"
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    yield cluster.create("killed")
    cluster.drop("killed")


def victims(wehr: Process, url: str, request: pytest.FixtureRequest) -> list[int]:
    """All processes there are: the supervisor, its workers, and the database's own for them."""
    found = [wehr.popen.pid, *workers_of(wehr.popen.pid)]
    if url.startswith("postgresql"):
        found += request.getfixturevalue("postgres").backends()
    return found


def test_what_clients_were_answered_is_what_the_store_holds(
    tmp_path: Path, url: str, request: pytest.FixtureRequest
) -> None:
    """After kills at random moments every answer is recorded once, as it was given, and nothing else is.

    The one thing that a client cannot know of is the message it had in flight when the process died: that
    one may be recorded without its answer being out.
    """
    dice = random.Random(7)  # noqa: S311
    config = CONFIG + f'[store]\nurl = "{url}"\n'
    load = [Load(0, number) for number in range(CLIENTS)]
    kills = 0
    killed: Counter[str] = Counter()
    while kills < KILLS:
        with contextlib.ExitStack() as stack:
            wehr = stack.enter_context(process(tmp_path, config))
            for one in load:
                one.port = wehr.port
                if not one.ident:
                    one.start()
            while kills < KILLS and wehr.popen.poll() is None:
                time.sleep(dice.uniform(0.05, 1.5))
                victim = dice.choice(victims(wehr, url, request))
                workers = workers_of(wehr.popen.pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
                kills += 1
                killed[
                    "supervisor" if victim == wehr.popen.pid else "worker" if victim in workers else "db"
                ] += 1
                if victim == wehr.popen.pid:
                    wehr.popen.wait(30)
                    until(lambda left=workers: not any(map(runs, left)), 60)
    for one in load:
        one.stop.set()
        one.join(30)
    with process(tmp_path, config):
        pass  # carries in what the last ones left

    answered = {queue_id: answer for one in load for queue_id, answer in one.answered.items()}
    in_flight = {queue_id for one in load for queue_id in one.in_flight}
    with open_store(url, create=False) as store, store._read() as connection:
        rows = connection.execute(select(sightings.c.queue_id, sightings.c.action)).all()
        counted = sum(row.messages for row in connection.execute(select(tallies.c.messages)))
    recorded = {row.queue_id: row.action for row in rows}
    print(
        f"{kills} kills {dict(killed)}, {len(answered)} answered, {len(recorded)} recorded, "
        f"{len(set(recorded) - set(answered))} of {len(in_flight)} in flight recorded"
    )
    assert len(answered) > 20 * KILLS
    assert set(answered.values()) == {"accept", "block"}
    assert len(recorded) == len(rows) == counted
    assert {queue_id: recorded.get(queue_id) for queue_id in answered} == answered
    assert set(recorded) - set(answered) <= in_flight
