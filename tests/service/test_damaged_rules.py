"""A rule in the store that cannot be read: mail flows, and nobody is refused whom it may spare."""

import time
from datetime import UTC, datetime
from pathlib import Path

import messages
import msgspec
from running import Receiver, receiver, until

from wehr.doors.milter import MilterClient
from wehr.evidence import Session
from wehr.ledger import Event, carrying, open_store
from wehr.ledger.schema import exemptions
from wehr.policy.scope import Exemption

AT_ONCE = 'policy.ladder = "at-once"\npolicy.ladders = { at-once = [{ block = 60 }] }\n'
CLIENT = Session(client_ip="203.0.113.10", helo="ex01.example.com", recipients=("example.org",))
HEADERS = [("Received", " " + messages.exchange("15.1.2507.16").partition(": ")[2].partition("\nFrom")[0])]


def ask(wehr: Receiver) -> str:
    """The answer to a message of a server that is out of date."""
    with MilterClient(("127.0.0.1", wehr.port), CLIENT, timeout=3) as client:
        return client.deliver(HEADERS)[:3]


def test_an_exemption_that_cannot_be_read_refuses_nobody_until_it_is_put_right(tmp_path: Path) -> None:
    """Whom it spares nobody knows. The service starts with it, goes on serving, and sees it mended."""
    start = time.time()
    exemption = Exemption(datetime.fromtimestamp(start, UTC), "known partner", server="ex99.example.net")
    url = f"sqlite:///{tmp_path / 'wehr.sqlite'}"

    def write(value: bytes) -> None:
        with open_store(url) as store, store.writing() as connection:
            connection.execute(exemptions.update().values(value=value))
            carrying.bump(connection, "rules")

    with open_store(url) as store:
        store.put_exemption("e1", exemption, Event(start, "exemption-added"))
    write(b'{"since": 0}')
    with receiver(tmp_path, start, "enforce", AT_ONCE) as wehr:
        assert ask(wehr) == "acc"
        assert "exemption e1" in wehr.service.memory.doubt
        write(msgspec.json.encode(exemption))
        until(lambda: ask(wehr) == "550")
        write(b"{")
        until(lambda: ask(wehr) == "acc")
