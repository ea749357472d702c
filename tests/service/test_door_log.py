"""The log of what goes wrong at a door: it names peers, however many there are, and minute after minute."""

import asyncio
import socket
from pathlib import Path

from running import Receiver, receiver
from structlog.testing import capture_logs

from wehr.service.config import Log
from wehr.service.logs import configure

START = 1_791_000_000.0


def rubbish(wehr: Receiver, count: int) -> None:
    """Peers that do not speak the protocol; each stays until it is cut off."""
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", wehr.port), 20) as peer:
            peer.sendall(b"\xff" * 5)
            assert peer.recv(1) == b""


def sweep(wehr: Receiver) -> None:
    """What the door does once a minute."""

    async def run() -> None:
        wehr.service.doors["milter"].sweep()

    asyncio.run_coroutine_threadsafe(run(), wehr.loop).result(20)


def test_ten_peers_are_named_in_each_minute_and_the_rest_counted(tmp_path: Path) -> None:
    """In the second minute as in the first: the count of the rest takes no name's place."""
    configure(Log())  # other tests may have set another level
    with capture_logs() as lines, receiver(tmp_path, START, "report") as wehr:
        for _ in range(2):
            rubbish(wehr, 13)
            sweep(wehr)
            wehr.clock.now += 60

    told = [line["detail"] for line in lines if line["event"] == "milter: protocol-error"]
    assert [text.startswith("cut off 127.0.0.1:") for text in told] == ([True] * 10 + [False]) * 2
    assert told[10] == told[21] == "3 more of the kind"
