"""Clocks that go back, and clocks that are wrong."""

import time
import uuid
from pathlib import Path

import messages
import pytest
from postgres import Cluster
from running import Receiver, receiver, until

from wehr.doors.milter import MilterClient
from wehr.evidence import Session
from wehr.ledger import open_store
from wehr.service.clock import SetClock, SteadyClock, clock_error

CLIENT = Session(client_ip="203.0.113.10", helo="ex01.example.com", recipients=("example.org",))
HEADERS = [("Received", " " + messages.exchange("15.1.2507.16").partition(": ")[2].partition("\nFrom")[0])]
AT_ONCE = 'policy.ladder = "at-once"\npolicy.ladders = { at-once = [{ block = 60 }] }\n'
DAY = 86_400


def ask(wehr: Receiver) -> str:
    """One message of an out-of-date server."""
    with MilterClient(("127.0.0.1", wehr.port), CLIENT) as client:
        return client.deliver(HEADERS)[:3]


def test_a_steady_clock_stands_still_while_the_other_goes_back() -> None:
    """It goes on from where it stood."""
    below = SetClock(100.0)
    clock = SteadyClock(below)
    told = []
    for below.now in (100.0, 160.0, 50.0, 159.0, 161.0):
        told.append(clock())

    assert told == [100.0, 160.0, 160.0, 160.0, 161.0]


def test_a_steady_clock_can_be_told_better() -> None:
    """A time that is known to have been is not gone below; one that is borne out is taken as it is."""
    below = SetClock(100.0)
    clock = SteadyClock(below)
    clock.at_least(500.0)
    assert clock() == 500.0
    clock.trust()
    assert clock() == 100.0


@pytest.mark.parametrize(
    ("before", "stored", "after", "both_ways", "error"),
    [
        (100, 100, 100, True, 0),
        (100, 105, 110, True, 0),
        (100, 95, 210, True, 5),
        (100, 300, 110, True, -190),
        (300, 100, 301, True, 200),
        (300, 100, 301, False, 0),
        (100, 300, 101, False, -199),
    ],
)
def test_only_what_is_certain_counts_as_an_error(
    before: float, stored: float, after: float, both_ways: bool, error: float
) -> None:
    """A slow answer is no error; a stored time in the past says nothing against a clock."""
    assert clock_error(before, stored, after, both_ways=both_ways) == error


@pytest.mark.parametrize("off", [-120.0, 120.0])
def test_a_clock_that_differs_from_the_databases_refuses_nobody(
    tmp_path: Path, postgres: Cluster, off: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In either direction; when it is right again, it enforces again."""
    monkeypatch.setattr("wehr.service.clock_watch._SECONDS", 0.0)
    name = f"clock-{uuid.uuid4().hex}"
    url = postgres.create(name)
    try:
        with receiver(tmp_path, time.time() + off, "enforce", AT_ONCE + f'store.url = "{url}"\n') as wehr:
            assert ask(wehr) == "acc"
            assert "clock is 1" in wehr.service.memory.doubt
            wehr.clock.now = time.time()
            until(lambda: not wehr.service.memory.doubt)
            assert ask(wehr) == "550"
    finally:
        postgres.drop(name)


def test_a_clock_set_back_never_lowers_a_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set back by weeks, even over a restart: nobody is refused, but the stage that is recorded stays."""
    monkeypatch.setattr("wehr.service.clock_watch._SECONDS", 0.0)
    start = 1_790_000_000.0
    url = f"sqlite:///{tmp_path}/wehr.sqlite"

    def stages() -> list[int]:
        with open_store(url) as store:
            return [row.stage for server in store.servers() for row in store.history(server.ref)][::-1]

    with receiver(tmp_path, start, "enforce", "store.keep.sightings = 400") as wehr:
        for day in (0, 35, 95):
            wehr.clock.now = start + day * DAY
            ask(wehr)
        assert ask(wehr) == "550"
        until(lambda: len(stages()) == 4)
        wehr.clock.now = start + 20 * DAY
        until(lambda: bool(wehr.service.memory.doubt))
        assert ask(wehr) == "acc"
    with receiver(tmp_path, start + 20 * DAY, "enforce", "store.keep.sightings = 400") as wehr:
        assert "behind" in wehr.service.memory.doubt
        assert ask(wehr) == "acc"

    assert stages() == [1, 2, 8, 8, 8, 8]
