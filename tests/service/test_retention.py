"""What is too old goes by itself, from the store and from memory."""

from datetime import UTC, datetime
from pathlib import Path

import messages
from running import Receiver, receiver, until

from wehr.doors.milter import MilterClient
from wehr.evidence import Session
from wehr.ledger import open_store

START = datetime(2026, 10, 12, 9, 0, tzinfo=UTC).timestamp()
DAY = 86_400


def deliver(wehr: Receiver, host: str) -> None:
    """One message of an out-of-date server."""
    session = Session(client_ip="203.0.113.10", helo=host, recipients=("example.org",))
    headers = " " + messages.exchange("15.1.2507.16", host).partition(": ")[2].partition("\nFrom")[0]
    with MilterClient(("127.0.0.1", wehr.port), session) as client:
        client.deliver([("Received", headers)])


def test_each_kind_of_row_is_kept_for_as_long_as_is_configured(tmp_path: Path) -> None:
    """Messages go first, then counts and events; a server with its clock stays until it is forgotten."""

    def count() -> dict[str, int]:
        with open_store(f"sqlite:///{tmp_path}/wehr.sqlite") as store:
            return store.count()

    keep = "store.keep = { sightings = 5, tallies = 10, events = 200 }"
    with receiver(tmp_path, START, "report", keep) as wehr:
        deliver(wehr, "a.example.com")
        until(lambda: count()["sightings"] == 1)
        wehr.clock.now += 6 * DAY
        until(lambda: count()["sightings"] == 0)
        assert count()["tallies"] == 1
        wehr.clock.now += 6 * DAY
        until(lambda: count()["tallies"] == 0)
        assert (count()["servers"], count()["events"]) == (1, 1)
        assert len(wehr.service.memory.ledger) == 1
        wehr.clock.now += 170 * DAY
        until(lambda: count()["servers"] == 0)
        until(lambda: len(wehr.service.memory.ledger) == 0)
        assert count()["events"] == 1
        wehr.clock.now += 30 * DAY
        until(lambda: count()["events"] == 0)
